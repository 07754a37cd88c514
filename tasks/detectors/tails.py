"""The tail of a detector: how rarely normal traffic reaches a raw score.

Belongs here: fitting and applying one tail. Does not belong here: the scores, or how several tails
are joined (``model``).
"""

from typing import Annotated

import numpy as np
import polars as pl
from pydantic import BaseModel, Field

from tasks.arrays import Floats

TAIL_FRACTION = 0.02
"""Share of held-out normals that the extrapolation is fitted to. A guess: enough rows for a stable
mean excess at a few thousand, and few enough for an exponential tail."""

MIN_EXCEEDANCES = 100
"""Fewest held-out normals the extrapolation is fitted to, where there are twice as many: the
standard error of a mean of 100 exponential excesses is a tenth of it."""

MAX_KNOTS = 512
"""Most points kept of the empirical part. It spans at most 1.7 decades, so that neighbours differ
by 0.004 where held-out normals are many; where they are few, each is kept."""

LOG_FLOOR = 1e-12
"""Smallest raw score on a logarithmic scale: smaller float32 errors are noise."""


class Tail(BaseModel, frozen=True):
    """The decades of surprise, ``-log10 P(a normal scores at least this)``, of raw scores.

    Piecewise linear through the held-out normals, then exponential: beyond their last 2 % the
    probability falls at the rate of their mean excess (peaks over threshold with shape zero;
    Pickands 1975), so that two scores above all normals still have an order. It increases strictly
    everywhere. It consists of additions, products and one division, so that a value does not depend
    on how rows were chunked.
    """

    is_logarithmic: bool
    """Whether the tail uses the logarithm of raw scores: for errors, whose tail is a power law."""
    scores: Annotated[tuple[float, ...], Field(min_length=1)]
    """Knots, strictly increasing; logarithms if ``is_logarithmic``."""
    surprise: tuple[float, ...]
    """Decades at the knots, strictly increasing, the first above zero."""
    slope_below: float
    """Decades per unit of score at the first knot."""
    slope_beyond: float
    """Decades per unit of score after the last knot."""

    @classmethod
    def fit(cls, held_out: Floats, *, is_logarithmic: bool = False) -> "Tail":
        """Fit a tail to the scores of normal connections the detector was not trained on.

        Args:
            held_out: raw scores, (n,), at least 2, finite; nonnegative if ``is_logarithmic``.
            is_logarithmic: use the logarithm.
        """
        values = np.sort(_scale(held_out, is_logarithmic=is_logarithmic))
        count = len(values)
        beyond = min(max(round(TAIL_FRACTION * count), MIN_EXCEEDANCES), count // 2)
        threshold = values[count - 1 - beyond]
        excess = values[values > threshold] - threshold
        # Ranks evenly spaced in decades: fine in the tail, coarse among common scores.
        ranks = np.geomspace(count, beyond + 1, MAX_KNOTS).round().astype(np.intp)
        knots = np.unique(values[count - ranks])
        at_least = count - np.searchsorted(values, knots, side="left")
        # Half an observation of slack at both ends keeps the first knot above zero decades.
        surprise = -np.log10(at_least / (count + 0.5))
        spread = float(excess.mean()) if len(excess) else float(values.std())
        slope_beyond = 1.0 / (np.log(10.0) * spread) if spread > 0 else 1.0
        slope_below = (
            float((surprise[1] - surprise[0]) / (knots[1] - knots[0]))
            if len(knots) > 1
            else slope_beyond
        )
        return cls(
            is_logarithmic=is_logarithmic,
            scores=tuple(knots.tolist()),
            surprise=tuple(surprise.tolist()),
            slope_below=slope_below,
            slope_beyond=slope_beyond,
        )

    def decades(self, raw: Floats) -> Floats:
        """Turn finite raw scores, (n,), into decades of surprise, (n,), above zero.

        One decade: a tenth of normal connections have at least this score. Beyond the last
        held-out normal it is an extrapolation.
        """
        values = _scale(raw, is_logarithmic=self.is_logarithmic)
        inside = np.interp(values, self.scores, self.surprise)
        last, top = self.scores[-1], self.surprise[-1]
        first, bottom = self.scores[0], self.surprise[0]
        beyond = top + np.maximum(values - last, 0.0) * self.slope_beyond
        # Below the first knot any positive increasing curve will do; this one needs no exp.
        below = bottom / (1.0 + np.maximum(first - values, 0.0) * (self.slope_below / bottom))
        decades: Floats = np.where(values > last, beyond, np.where(values < first, below, inside))
        return decades

    def score_at(self, decades: float) -> float:
        """Return the raw score at some decades of surprise, the inverse of ``decades``.

        For less surprise than the first knot has, return the score of that knot.
        """
        last, top = self.scores[-1], self.surprise[-1]
        if decades > top:
            scaled = last + (decades - top) / self.slope_beyond
        else:
            scaled = float(np.interp(decades, self.surprise, self.scores))
        return float(np.exp(scaled)) if self.is_logarithmic else scaled


def _scale(raw: Floats, *, is_logarithmic: bool) -> Floats:
    values = np.ascontiguousarray(raw, dtype=np.float64)
    if not is_logarithmic:
        return values
    # polars takes logarithms one by one; numpy's vectorised loops may differ with a row's place.
    return pl.Series(np.maximum(values, LOG_FLOOR)).log().to_numpy()
