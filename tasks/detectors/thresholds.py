"""The thresholds of a model: the class, its stored form, and how one is read from it.

Belongs here: ``Thresholds``, which ``model.json`` stores, the operating points, and flagging by
them. Does not belong here: the choice of ``default`` in training
(``tasks.training.threshold_choice``), or of the threshold of a night
(``tasks.evaluation.operating_points``).
"""

import math
from typing import Literal, get_args

import numpy as np
import polars as pl
from pydantic import BaseModel

from expectations.errors import UsageError
from tasks.arrays import Floats
from tasks.detectors.tails import Tail

OperatingPointName = Literal["default", "low_alert", "p50"]
"""``default`` and ``low_alert`` are thresholds of ``anomaly_score``, ``p50`` of
``classifier_score``."""

OPERATING_POINTS: tuple[OperatingPointName, ...] = get_args(OperatingPointName)

P50_LOG_ODDS = 0.0
"""The log-odds of a probability of one half."""

KEPT_SHARE, MOST_KEPT = 0.05, 5_000
"""Highest scores of held-out normals that are kept, to read thresholds for other false-positive
rates from. A guess: no user asks for more than one alert in twenty normals."""


class Thresholds(BaseModel, frozen=True):
    """Scores above which a connection is flagged, in decades of surprise."""

    default: float
    """The threshold with the best expected F1, attacks of new kinds included."""
    low_alert: float
    """The threshold for few false alarms; not below ``default``."""
    default_rate: float | None = None
    """Share of held-out normals that ``default`` flags, in [0, 1]. This and the next fields are
    empty in a model that an earlier version stored."""
    low_alert_rate: float | None = None
    """Share of held-out normals that ``low_alert`` was chosen to flag at most, in [0, 1]."""
    normal: Tail | None = None
    """The tail of held-out normals' anomaly scores. It gives the threshold for a false-positive
    rate that is too low or too high for ``highest``."""
    highest: tuple[float, ...] = ()
    """The highest anomaly scores of held-out normals, falling. They give the threshold for all
    other false-positive rates."""
    normals: int = 0
    """Number of held-out normals."""

    @classmethod
    def from_held_out(cls, normal: Floats, default: float) -> "Thresholds":
        """Return thresholds with the scores of held-out normals; ``low_alert`` is ``default``.

        Args:
            normal: anomaly scores of held-out normals, (n,), at least one.
            default: the threshold that is already chosen.
        """
        kept = min(MOST_KEPT, math.ceil(KEPT_SHARE * len(normal)))
        return cls(
            default=default,
            low_alert=default,
            default_rate=float((normal > default).mean()),
            normal=Tail.fit(normal),
            highest=tuple(np.sort(normal)[::-1][:kept].tolist()),
            normals=len(normal),
        )

    def value(self, operating_point: str) -> float:
        """Return the threshold of an operating point, of the score ``score_column`` names.

        Raises:
            UsageError: there is no such operating point.
        """
        if score_column(operating_point) == "classifier_score":
            return P50_LOG_ODDS
        return self.low_alert if operating_point == "low_alert" else self.default

    def target_flag_rate(self, operating_point: str) -> float | None:
        """Return the share of normal connections that an operating point is meant to flag.

        None for ``p50``, which has no target, and where the model does not know the rate.

        Raises:
            UsageError: there is no such operating point.
        """
        score_column(operating_point)
        rates = {"default": self.default_rate, "low_alert": self.low_alert_rate}
        return rates.get(operating_point)

    def for_rate(self, rate: float) -> float:
        """Return the lowest threshold that flags at most a share of the held-out normals.

        It is not below ``default``. A rate of less than one of the normals is extrapolated.

        Args:
            rate: the share, in (0, 1).

        Raises:
            UsageError: an earlier version stored the model, without its normals' scores.
        """
        if self.normal is None:
            message = (
                "Cannot choose a threshold by a false-positive rate: an earlier version of Noctule"
                " trained this model and did not keep the scores of normal connections. Train"
                " again, or unset NOCTULE_LOW_ALERT_RATE and NOCTULE_ALERT_BUDGET."
            )
            raise UsageError(message)
        allowed = int(rate * (self.normals - 1))  # number of normals that may score higher
        if 1 <= allowed < len(self.highest):
            return max(self.default, self.highest[allowed])
        beyond = self.normal.score_at(-math.log10(rate))
        if not allowed and self.highest:
            beyond = max(beyond, self.highest[0])
        return max(self.default, beyond)

    def with_low_alert_rate(self, rate: float) -> "Thresholds":
        """Return the thresholds with ``low_alert`` at another false-positive rate, in (0, 1).

        Where ``default`` is the higher threshold, it serves as ``low_alert``, with its own rate.

        Raises:
            UsageError: see ``for_rate``.
        """
        low_alert = self.for_rate(rate)
        if low_alert <= self.default and self.default_rate is not None:
            rate = min(rate, self.default_rate)
        return self.model_copy(update={"low_alert": low_alert, "low_alert_rate": rate})


def score_column(operating_point: str) -> Literal["anomaly_score", "classifier_score"]:
    """Return the name of the score that an operating point compares with its threshold.

    Raises:
        UsageError: there is no such operating point.
    """
    if operating_point not in OPERATING_POINTS:
        message = (
            f"There is no operating point {operating_point!r}: choose one of "
            f"{', '.join(OPERATING_POINTS)}."
        )
        raise UsageError(message)
    return "classifier_score" if operating_point == "p50" else "anomaly_score"


def flag(scores: pl.DataFrame, operating_point: str, threshold: float) -> pl.Series:
    """Flag the connections whose score is above the threshold, Boolean (n_rows,)."""
    return (scores[score_column(operating_point)] > threshold).alias("is_flagged")
