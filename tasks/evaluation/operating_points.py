"""Where tonight's scores are cut: an operating point's threshold, and whether it keeps its promise.

Belongs here: choosing a threshold by a rate of false alarms or an alert budget, and saying when the
rate that came of it is another. Does not belong here: the thresholds a fit chooses (see
``tasks.training.threshold_choice``), or reading what is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median

from pydantic import BaseModel

from tasks.detectors.model_card import ModelCard
from tasks.evaluation.labels import LabelledCounts
from tasks.wording import plural

PARTED = 3.0
"""From how many times its target on, or how small a part of it, a realised rate is reported. A
guess: in practice a rate of a few percent came out as up to seven times what was aimed at."""

DEVIATIONS = 4.0
"""And from how many standard deviations on: a small batch flags none, or three, by chance."""

LEAST = 0.001
"""What ``default`` is taken to aim at, at least: that of a model whose held-out normals were all
told apart aims at zero, and ten alerts among 10,000 connections are no parting."""

LOUD_NIGHTS = 3
"""Fewest nights of which the one with the most alerts is left out: of two it might be the usual
one."""

MOST = 0.5
"""Highest rate that a budget is turned into: beyond it, it is no limit at all."""


class ThresholdChoice(BaseModel, frozen=True):
    """The threshold of a night, and what it was chosen for."""

    threshold: float
    """Of ``anomaly_score``; a connection above is flagged."""
    target_flag_rate: float | None
    """Share of connections it is to flag, in [0, 1]."""
    budget: int | None = None
    """Alerts of a night, where it was chosen for that: the share is then of all connections, and
    not of normal ones."""


@dataclass(frozen=True)
class EarlierNight:
    """An earlier night, as a budget is chosen by it."""

    rows: int
    """Connections scored, of all its batches."""
    score: float | None
    """The score exceeded by as many as the budget allows, by the model that is to score; None where
    another model scored that night."""


def choose_threshold(
    card: ModelCard,
    operating_point: str,
    *,
    rate: float | None = None,
    budget: int | None = None,
    nights: Sequence[EarlierNight] = (),
) -> ThresholdChoice:
    """Choose the threshold that an operating point has tonight.

    No score of tonight has any part in it: a row's flag does not depend on the others.

    Args:
        card: of the model that is to score.
        operating_point: the one that flags; the others only matter to ``low_alert``.
        rate: share of normal connections to flag, in (0, 1).
        budget: most alerts a night. It would have been kept on every earlier night but the one
            with the most: one night of attacks does not blind the next ones.
        nights: the earlier ones; without one scored by this model, the budget is turned into a rate
            by how many connections a night has, and without any, it waits for the second night.

    Returns:
        The choice; of ``low_alert`` never below ``default``.

    Raises:
        UsageError: the model does not know how its normals scored, and would need it.
    """
    thresholds = card.thresholds
    if operating_point == "low_alert" and rate is not None:
        thresholds = thresholds.with_low_alert_rate(rate)
    elif operating_point == "low_alert" and budget is not None and nights:
        usual = median(night.rows for night in nights)
        target = min(budget / usual, MOST) if usual else MOST
        scores = sorted(night.score for night in nights if night.score is not None)
        kept = scores[-2] if len(scores) >= LOUD_NIGHTS else max(scores, default=None)
        return ThresholdChoice(
            threshold=(
                thresholds.for_rate(target) if kept is None else max(thresholds.default, kept)
            ),
            target_flag_rate=target,
            budget=budget,
        )
    return ThresholdChoice(
        threshold=thresholds.value(operating_point),
        target_flag_rate=thresholds.target_flag_rate(operating_point),
    )


def describe_rate_deviation(
    operating_point: str,
    target: float | None,
    flagged: int,
    rows: int,
    labelled: LabelledCounts | None = None,
    *,
    usual: float | None = None,
    budget: int | None = None,
) -> str | None:
    """Say that a rate is far from its target; None where it is not, or chance would explain it.

    Of a labelled batch that is the false-positive rate. Else it is the share of all rows that is
    flagged, which attacks raise as well: where every night has some, it is far from what is usual
    that is told of.

    Args:
        operating_point: what flagged them.
        target: share that it is to flag, in [0, 1]; None where that is not known.
        flagged: flagged rows.
        rows: scored rows.
        labelled: what became of those with a label.
        usual: share that the same model flagged of an earlier night; None where there is none.
        budget: most alerts a night, where the threshold was chosen for that.
    """
    if budget is not None:
        if flagged <= budget:
            return None
        return (
            f"flagged {plural(flagged, 'connection')}, more than the budget of {budget:,} for a"
            " night: attacks, or traffic that has changed"
        )
    if target is None:
        return None
    what, why = "of all", "attacks, or traffic that has changed since training"
    expected = target
    if labelled is not None and labelled.normal:
        flagged, rows = labelled.flagged_normal, labelled.normal
        what = f"of {plural(rows, 'connection')} labelled normal"
        why = "normal traffic has changed since training, or its labels are wrong"
    else:
        expected = max(target, usual or 0.0)
    floor = LEAST if operating_point == "default" else 0.0
    is_more = flagged > target * rows
    if not _has_parted(flagged, rows, max(expected if is_more else target, floor)):
        return None
    few = "traffic that has changed since training"
    than_usual = f", and {expected:.2%} is usual" if is_more and expected > target else ""
    return (
        f"flagged {flagged / rows:.2%} {what}, where {operating_point} is to flag {target:.2%}"
        f"{than_usual}: {why if is_more else few}"
    )


def _has_parted(flagged: int, rows: int, target: float) -> bool:
    expected = target * rows
    is_far = flagged > PARTED * expected or flagged * PARTED < expected
    deviation = sqrt(max(expected * (1.0 - target), 1.0))
    return is_far and abs(flagged - expected) > DEVIATIONS * deviation
