"""The tails and thresholds of a model, chosen from held-out raw scores.

Belongs here: choosing both from any part of the training rows, and applying them to scores made in
training. Does not belong here: making the raw scores (``held_out``), what makes a good threshold
(``threshold_choice``), or how good the result is (``assessment``).
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
    """All scores of the training rows by detectors that were not fitted on them."""

    is_attack: Mask
    """(n_rows,)."""
    out_of_fold: OutOfFoldScores
    groups: Mapping[str, HeldOutGroupScores]
    """The scores by held-out group of attacks; may be empty."""


@dataclass(frozen=True)
class Calibration:
    """What turns raw scores into flags."""

    tails: Mapping[MemberName, Tail]
    """The tails by detector."""
    thresholds: Thresholds

    def score(self, raw: OutOfFoldScores) -> Floats:
        """Return the anomaly score of every training row, (n_rows,)."""
        return _sum(self.tails, raw)


def calibrate(held_out: HeldOutScores, keep: Mask) -> Calibration:
    """Fit the tails to, and choose the thresholds by, some of the training rows.

    An assessment on the other rows is out of sample: no score or label of a row that is not kept
    has a part in the result. (The detectors that scored the kept rows may have been fitted on the
    other rows; only nested fits could avoid that.) A group of attacks without a kept row has no
    part in it either.

    ``keep`` is (n_rows,), the rows to choose by: normal rows, attacks and held-out groups.
    """
    raw, is_attack = held_out.out_of_fold, held_out.is_attack
    normal = keep & ~is_attack
    tails = {
        name: Tail.fit(scores[normal], is_logarithmic=name == "one_class")
        for name, scores in raw.scores.items()
    }
    score = _sum(tails, raw)
    novel = {
        name: score_group(group, raw, tails["one_class"], keep)
        for name, group in held_out.groups.items()
        if keep[group.rows].any()
    }
    return Calibration(tails, choose_thresholds(score[normal], score[keep & is_attack], novel))


def score_group(
    group: HeldOutGroupScores, raw: OutOfFoldScores, one_class_tail: Tail, keep: Mask
) -> Floats:
    """Return the anomaly scores of a held-out group of attacks, (n_kept_of_group,).

    ``keep`` is (n_rows,), the rows of the group to score, and the normal rows to fit the
    classifier's tail to; see ``HeldOutGroupScores.normals``.
    """
    tail = Tail.fit(group.classifier_of_normals[keep[group.normals]])
    kept = keep[group.rows]
    return sum_tails(
        {
            "classifier": tail.decades(group.classifier[kept]),
            "one_class": one_class_tail.decades(raw.one_class_as_new[group.rows[kept]]),
        }
    )


def _sum(tails: Mapping[MemberName, Tail], raw: OutOfFoldScores) -> Floats:
    return sum_tails({name: tails[name].decades(scores) for name, scores in raw.scores.items()})
