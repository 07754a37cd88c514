"""The thresholds of a model, and what it knows to choose another by.

Belongs here: what is stored of them, and reading one for a rate of false alarms. Does not belong
here: choosing them at training (``tasks.training.threshold_choice``), or for a night
(``tasks.evaluation.operating_points``).
"""

import math

from pydantic import BaseModel, ConfigDict

from expectations.errors import UsageError
from tasks.detectors.tails import Tail


class Thresholds(BaseModel):
    """Decades of surprise above which a connection is flagged."""

    model_config = ConfigDict(frozen=True)

    default: float
    """For the best F1 to be expected, attacks of new kinds included."""
    low_alert: float
    """For few false alarms; not below ``default``."""
    default_rate: float | None = None
    """Share of held-out normals that ``default`` flags, in [0, 1]; None in a model stored before
    it was kept, as the others."""
    low_alert_rate: float | None = None
    """Share of held-out normals that ``low_alert`` was chosen to flag at most, in [0, 1]."""
    normal: Tail | None = None
    """How rarely a held-out normal has an anomaly score: what a threshold is read from for a rate
    of false alarms so low or so high that ``highest`` has none."""
    highest: tuple[float, ...] = ()
    """The highest anomaly scores of held-out normals, falling: from them a threshold for a rate of
    false alarms is read. Empty in a model stored before they were kept."""
    normals: int = 0
    """Held-out normals there are."""

    def at_rate(self, rate: float) -> float:
        """Return the lowest score that at most a share of held-out normals exceeds.

        It is not below ``default``. A rate of less than one of the normals is extrapolated.

        Args:
            rate: the share, in (0, 1).

        Raises:
            UsageError: the model was stored before its normals' scores were kept.
        """
        if self.normal is None:
            message = (
                "Cannot choose a threshold by a rate of false alarms: this model was trained before"
                " Noctule kept what that takes. Train again, or unset NOCTULE_LOW_ALERT_RATE and"
                " NOCTULE_ALERT_BUDGET."
            )
            raise UsageError(message)
        allowed = int(rate * (self.normals - 1))  # so many may lie above
        if 1 <= allowed < len(self.highest):
            return max(self.default, self.highest[allowed])
        beyond = self.normal.score_at(-math.log10(rate))
        if not allowed and self.highest:
            beyond = max(beyond, self.highest[0])
        return max(self.default, beyond)

    def rate_kept(self, rate: float, threshold: float) -> float:
        """Return the share of normals a threshold is to flag that was asked for by a rate.

        Where ``default`` is the higher one and serves instead, that is its own.
        """
        if threshold > self.default or self.default_rate is None:
            return rate
        return min(rate, self.default_rate)
