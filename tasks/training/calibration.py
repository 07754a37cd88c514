"""From held-out raw scores to what turns raw scores into flags: the tails and the thresholds.

Belongs here: choosing both from any part of the training rows, and applying them to scores made in
training. Does not belong here: making the raw scores (see ``held_out``), what makes a good
threshold (see ``threshold_choice``), or how good the result is (see ``assessment``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tasks.arrays import Floats, Mask
from tasks.detectors.member import MemberName
from tasks.detectors.model import sum_tails
from tasks.detectors.tails import Tail
from tasks.detectors.thresholds import Thresholds
from tasks.training.held_out import HeldOutGroupScores, OutOfFoldScores
from tasks.training.threshold_choice import choose_thresholds


@dataclass(frozen=True)
class HeldOutScores:
    """All that is known of the training rows by detectors not fitted on them."""

    is_attack: Mask
    """(n_rows,)."""
    out_of_fold: OutOfFoldScores
    kinds: Mapping[str, HeldOutGroupScores]
    """Of each kind of attack that was held out; may be empty."""


@dataclass(frozen=True)
class Calibration:
    """What turns raw scores into flags."""

    tails: Mapping[MemberName, Tail]
    """A tail for each detector, by its name."""
    thresholds: Thresholds

    def score(self, raw: OutOfFoldScores) -> Floats:
        """Return the anomaly score of every training row, (n_rows,)."""
        return _join(self.tails, raw)


def calibrate(evidence: HeldOutScores, keep: Mask) -> Calibration:
    """Fit the tails to, and choose the thresholds by, some of the training rows.

    Whatever is judged by the result on the other rows is judged out of sample: no score or label of
    a row that is not kept has any part in it. (The detectors that scored the kept rows may have
    been fitted on the others; only fits upon fits could avoid that.)

    Args:
        evidence: held-out scores of all training rows.
        keep: (n_rows,), the rows to choose by: normals, attacks and any kinds among them.

    Returns:
        The calibration. AttackGroups of attack without a kept row have no part in it.
    """
    raw, is_attack = evidence.out_of_fold, evidence.is_attack
    normal = keep & ~is_attack
    tails = {
        role: Tail.fit(scores[normal], is_logarithmic=role == "one_class")
        for role, scores in raw.scores.items()
    }
    score = _join(tails, raw)
    novel = {
        name: score_group(kind, raw, tails["one_class"], keep)
        for name, kind in evidence.kinds.items()
        if keep[kind.rows].any()
    }
    return Calibration(tails, choose_thresholds(score[normal], score[keep & is_attack], novel))


def score_group(
    kind: HeldOutGroupScores, raw: OutOfFoldScores, one_class_tail: Tail, keep: Mask
) -> Floats:
    """Return the anomaly scores of a held-out kind of attack, (n_kept_of_kind,).

    Args:
        kind: raw scores by the classifier that was not fitted on the kind.
        raw: of all training rows; the one-class detector's, with the kind's own categories hidden.
        one_class_tail: the tail of those.
        keep: (n_rows,), the rows of the kind to score, and the normals to fit the classifier's tail
            to; see ``HeldOutGroupScores.normals``.
    """
    tail = Tail.fit(kind.classifier_of_normals[keep[kind.normals]])
    kept = keep[kind.rows]
    return sum_tails(
        {
            "classifier": tail.decades(kind.classifier[kept]),
            "one_class": one_class_tail.decades(raw.one_class_as_new[kind.rows[kept]]),
        }
    )


def _join(tails: Mapping[MemberName, Tail], raw: OutOfFoldScores) -> Floats:
    return sum_tails({role: tails[role].decades(scores) for role, scores in raw.scores.items()})
