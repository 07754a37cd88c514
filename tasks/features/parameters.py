"""What the encoder learns of each feature from training rows: centres, scales, categories.

Belongs here: the parameters of one feature, and the expressions that apply them. Does not belong
here: the matrices that are made of all features (``encoding``).
"""

import numpy as np
import polars as pl
from pydantic import BaseModel

from tasks.arrays import Floats
from tasks.features.values import MISSING, OTHER, UNSEEN

CLIP = 5.0
"""Largest distance from the centre, in scales, that neural models read. Without a limit one
transfer of 380 MB outweighs every other row. It is in scales of the feature's own training rows, so
it fits any feature: a normal one is within it in all but 1 of 25 rows, whatever its distribution
(Chebyshev). Measured on NSL-KDD by cross-validation within the training file
(``benchmarks.choices``), as ROC AUC of the autoencoder alone: .986 to .988 with 5 and with 10, .985
to .987 without."""

MOST_CATEGORIES = 256
"""Categories of a feature that have a neural column of their own; the rarest others share one. A
column for each of 100,000 names would take 6 GB for the rows that are encoded at a time. A guess:
as many as there are protocols of IP, and three times the services of NSL-KDD."""

LARGEST_LOG = float(np.log(np.finfo(np.float64).max))
"""A quantity with a larger logarithm is no float64."""


class Quantity(BaseModel, frozen=True):
    """The parameters of one numeric feature, in ``sign(x) * log1p(|x|)`` units."""

    name: str
    center: float
    """Mean over the normal training rows that have a value."""
    scale: float
    """Standard deviation over them; 1 where the column is constant there, so that a departure from
    the constant still counts."""
    minimum: float
    """Smallest training value, natural units: the lower limit of shown reconstructions."""
    maximum: float
    """Largest training value, natural units: their upper limit."""
    has_missing: bool = False
    """Whether a training row lacks it. Then a neural column says which rows lack it, because
    missing is not the same as zero, or as the centre."""

    @classmethod
    def learn(cls, every: pl.Series, normal: pl.Series) -> "Quantity":
        """Learn the parameters from all training rows, and from the normal ones among them."""
        logs = normal.to_frame().select(_log(normal.name)).to_series().drop_nulls().drop_nans()
        deviation = logs.std(ddof=0)
        scale = float(deviation) if isinstance(deviation, float) else 0.0
        known = every.cast(pl.Float64).drop_nulls().drop_nans()
        low, high = known.min(), known.max()
        return cls(
            name=every.name,
            center=float(logs.mean() or 0.0),  # type: ignore[arg-type]  # a Float64 series
            # A constant column has a rounding residue, which is no scale: 1e-9 in log units is
            # below any difference between two float32 values of the data.
            scale=scale if scale > 1e-9 else 1.0,  # noqa: PLR2004  # explained above
            minimum=0.0 if low is None else float(low),  # type: ignore[arg-type]  # likewise
            maximum=0.0 if high is None else float(high),  # type: ignore[arg-type]  # likewise
            has_missing=len(known) < len(every),
        )

    def standardise(self) -> pl.Expr:
        """Return the expression of its neural column: 0, the centre, where it is missing."""
        scaled = ((_log(self.name) - self.center) / self.scale).clip(-CLIP, CLIP)
        return scaled.fill_nan(0.0).fill_null(0.0).cast(pl.Float32).alias(self.name)

    def is_missing(self) -> pl.Expr:
        """Return the expression of the column that says which rows lack it: 1 for those, or 0."""
        value = pl.col(self.name).cast(pl.Float64)
        return value.fill_null(float("nan")).is_nan().cast(pl.Float32).alias(self.name)

    def restore(self, scaled: Floats) -> Floats:
        """Return its neural column in natural units, within the range of the training rows."""
        logs = scaled * self.scale + self.center
        natural = np.sign(logs) * np.expm1(np.minimum(np.abs(logs), LARGEST_LOG))
        within: Floats = natural.clip(self.minimum, self.maximum)
        return within


class Category(BaseModel, frozen=True):
    """The parameters of one categorical feature."""

    name: str
    values: tuple[str, ...]
    """The categories in the training rows, sorted; a value's position is its ordinal code. Missing
    is one of them if a training row lacks the feature."""
    is_cut: bool = False
    """Whether the training rows have more, rarer categories; see ``MOST_CATEGORIES``."""

    @classmethod
    def learn(cls, every: pl.Series) -> "Category":
        """Learn the categories from all training rows."""
        named = every.fill_null(MISSING) if every.null_count() else every
        if named.n_unique() <= MOST_CATEGORIES:
            return cls(name=every.name, values=tuple(named.unique().sort()))
        counted = named.value_counts(name="rows").sort(
            ["rows", every.name], descending=[True, False]
        )
        kept = counted[every.name].head(MOST_CATEGORIES)
        return cls(name=every.name, values=tuple(kept.sort()), is_cut=True)

    @property
    def rest(self) -> str:
        """The name of all categories that are not in ``values``."""
        return OTHER if self.is_cut else UNSEEN

    def present(self) -> pl.Expr:
        """Return the expression of its names; a missing one is a name where training had such."""
        column = pl.col(self.name)
        return column.fill_null(MISSING) if MISSING in self.values else column

    def code(self) -> pl.Expr:
        """Return the position of each name in ``values``; null where it is not one of them."""
        known = self.present().cast(pl.Enum(list(self.values)), strict=False)
        return known.to_physical().cast(pl.Int64)

    def group(self) -> pl.Expr:
        """Return the expression of its names with one name for those that were cut off."""
        if not self.is_cut:
            return pl.col(self.name)
        is_kept = self.present().is_in(list(self.values))
        return pl.when(is_kept).then(self.present()).otherwise(pl.lit(self.rest)).alias(self.name)


def _log(name: str) -> pl.Expr:
    """Compress a quantity on both sides of zero; counts and sizes become ``log1p``."""
    value = pl.col(name).cast(pl.Float64)
    return value.sign() * value.abs().log1p()
