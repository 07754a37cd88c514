"""The threshold of a night, and the note where its flag rate misses the target.

Belongs here: choosing the threshold of a night from the model's ``Thresholds``, by a false-positive
rate or an alert budget, and comparing the realised rate with its target. Does not belong here: the
class and its reading (``tasks.detectors.thresholds``), the thresholds that training chooses
(``tasks.training.threshold_choice``), or reading from the database.
"""

from collections.abc import Sequence
from math import sqrt
from statistics import median

from pydantic import BaseModel

from storage.nights import EarlierNight
from tasks.detectors.model_card import ModelCard
from tasks.evaluation.labels import LabelledCounts
from tasks.wording import plural

DEVIATION_FACTOR = 3.0
"""A realised rate is reported if it differs from its target by more than this factor. A guess: in
practice a rate of a few percent was up to seven times its target."""

DEVIATIONS = 4.0
"""It must also differ by this many standard deviations: a small batch flags 0 or 3 by chance."""

LEAST_TARGET = 0.001
"""Smallest target of ``default``. A model that separates all held-out normals has a target of zero,
and ten alerts among 10,000 connections are not worth a note."""

LOUD_NIGHTS = 3
"""Fewest nights from which the one with the most alerts is left out: of two nights, that one may be
the usual one."""

MAX_BUDGET_RATE = 0.5
"""Highest rate that a budget becomes: a higher rate would not limit anything."""


class ThresholdChoice(BaseModel, frozen=True):
    """The threshold of a night, and the target it was chosen by."""

    threshold: float
    """Threshold of ``anomaly_score``; connections with a higher score are flagged."""
    target_flag_rate: float | None
    """Share of normal connections that it is meant to flag, in [0, 1]."""
    budget: int | None = None
    """Most alerts a night, where it was chosen by that: the share is then of all connections."""


def choose_threshold(
    card: ModelCard,
    operating_point: str,
    *,
    rate: float | None = None,
    budget: int | None = None,
    nights: Sequence[EarlierNight] = (),
) -> ThresholdChoice:
    """Choose tonight's threshold of an operating point.

    It does not depend on tonight's scores, so that a row's flag does not depend on other rows.

    Args:
        card: of the model that scores.
        operating_point: the one that flags; the other arguments matter to ``low_alert`` only.
        rate: share of normal connections to flag, in (0, 1).
        budget: most alerts a night. The threshold would have kept it on every earlier night except
            the one with the most alerts, so that one night of attacks does not hide the next ones.
        nights: earlier nights, read for this model and budget. If this model scored none of them,
            the budget becomes a rate, by the usual number of connections. Without any night, the
            budget has no effect.

    Returns:
        The choice; that of ``low_alert`` is never below ``default``.

    Raises:
        UsageError: it needs the scores of the model's normals, which an earlier version did not
            store.
    """
    thresholds = card.thresholds
    if operating_point == "low_alert" and rate is not None:
        thresholds = thresholds.with_low_alert_rate(rate)
    elif operating_point == "low_alert" and budget is not None and nights:
        usual = median(night.rows for night in nights)
        target = min(budget / usual, MAX_BUDGET_RATE) if usual else MAX_BUDGET_RATE
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
    """Return a sentence if a rate is far from its target; None if it is not, or by chance.

    For a labelled batch, compare the false-positive rate. Otherwise compare the share of all rows
    that is flagged. Attacks raise it too, so that it must also be far above the usual share.

    Args:
        operating_point: the one that flagged.
        target: share that it is meant to flag, in [0, 1]; None where that is not known.
        flagged: flagged rows.
        rows: scored rows.
        labelled: counts of the rows with a label.
        usual: share that the same model flagged on earlier nights; None where there are none.
        budget: most alerts a night, where the threshold was chosen by that.
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
    floor = LEAST_TARGET if operating_point == "default" else 0.0
    is_more = flagged > target * rows
    if not _is_far(flagged, rows, max(expected if is_more else target, floor)):
        return None
    few = "traffic that has changed since training"
    than_usual = f", and {expected:.2%} is usual" if is_more and expected > target else ""
    return (
        f"flagged {flagged / rows:.2%} {what}; the target of {operating_point} is {target:.2%}"
        f"{than_usual}: {why if is_more else few}"
    )


def _is_far(flagged: int, rows: int, target: float) -> bool:
    expected = target * rows
    is_outside = flagged > DEVIATION_FACTOR * expected or flagged * DEVIATION_FACTOR < expected
    deviation = sqrt(max(expected * (1.0 - target), 1.0))
    return is_outside and abs(flagged - expected) > DEVIATIONS * deviation
