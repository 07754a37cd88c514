"""The encoder: it turns typed connections into the two matrices that models read, and back.

Belongs here: the parameters learned from training rows (centres, scales, category values) and their
JSON form. Does not belong here: the choice among encoded columns (``selection``), or any model.

Trees read ordinal codes, and quantities as they are. Neural models read ``log1p`` values,
standardised and clipped, and one-hot categories. Each element is computed by itself, so that a
row's encoding does not depend on other rows, bit for bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel

from expectations.contract import Column
from expectations.errors import InputRejectedError
from tasks.arrays import Floats, Mask, Matrix

Value: TypeAlias = float | str

CLIP = 5.0
"""Largest distance from the centre, in scales, that neural models read. Without a limit one
transfer of 380 MB outweighs every other row. Measured by cross-validation within the training file
(``benchmarks.choices``), as ROC AUC of the autoencoder alone: .986 to .988 with 5 and with 10, .985
to .987 without."""

UNSEEN_CODE = -1.0
"""Ordinal code of a category that is not in the training rows, and of a missing one."""

UNSEEN = "(unseen)"
"""Name of unseen categories in column names and explanations."""

THOUSANDS_FROM = 1_000
"""A rendered quantity of this size or more is rounded to a whole number."""


class Quantity(BaseModel, frozen=True):
    """The parameters of one numeric feature, in ``sign(x) * log1p(|x|)`` units."""

    name: str
    center: float
    """Mean over the normal training rows."""
    scale: float
    """Standard deviation over the normal training rows; 1 where the column is constant there, so
    that a departure from the constant still counts."""
    minimum: float
    """Smallest training value, natural units: the lower limit of shown reconstructions."""
    maximum: float
    """Largest training value, natural units: their upper limit."""


class Category(BaseModel, frozen=True):
    """The parameters of one categorical feature."""

    name: str
    values: tuple[str, ...]
    """The categories in the training rows, sorted; a value's position is its ordinal code."""


@dataclass(frozen=True)
class Encoded:
    """The encoded rows of one frame; one row per connection."""

    ordinal: Matrix
    """(n_rows, n_features), declared order: quantities as they are, categories as codes."""
    neural: Matrix
    """(n_rows, width): quantities first, then one block per category; no NaN."""

    def rows(self, keep: Mask) -> "Encoded":
        """Return some of the rows."""
        return Encoded(self.ordinal[keep], self.neural[keep])


class Encoder(BaseModel, frozen=True):
    """Encodes connections by parameters learned from training rows."""

    features: tuple[str, ...]
    """Every feature, in declared order."""
    quantities: tuple[Quantity, ...]
    categories: tuple[Category, ...]

    @classmethod
    def fit(cls, frame: pl.DataFrame, columns: Sequence[Column], is_normal: Mask) -> "Encoder":
        """Learn centres, scales and categories of the contract's features from training rows.

        Centres and scales come from the normal rows alone, at least one, which define normal
        traffic. So the autoencoder, which is trained on those rows, does not depend on known
        attacks.
        """
        numeric = [column.name for column in columns if not column.is_categorical]
        named = [column.name for column in columns if column.is_categorical]
        normal = frame.filter(pl.Series(is_normal))
        return cls(
            features=tuple(column.name for column in columns),
            quantities=tuple(_learn_quantity(frame[name], normal[name]) for name in numeric),
            categories=tuple(
                Category(name=name, values=tuple(frame[name].drop_nulls().unique().sort()))
                for name in named
            ),
        )

    @cached_property
    def columns(self) -> tuple[tuple[str, str | None], ...]:
        """Each neural column's source feature and, in a one-hot block, its category."""
        blocks = [
            (category.name, value)
            for category in self.categories
            for value in (*category.values, UNSEEN)
        ]
        return (*((quantity.name, None) for quantity in self.quantities), *blocks)

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """Neural column names, such as ``src_bytes`` and ``service=http``."""
        return tuple(name if value is None else f"{name}={value}" for name, value in self.columns)

    @property
    def width(self) -> int:
        """Number of neural columns."""
        return len(self.columns)

    @cached_property
    def sources(self) -> npt.NDArray[np.intp]:
        """Each neural column's position in ``features``, (width,)."""
        position = {name: index for index, name in enumerate(self.features)}
        return np.array([position[name] for name, _ in self.columns], dtype=np.intp)

    def encode(self, frame: pl.DataFrame) -> Encoded:
        """Return both matrices of connections; columns that are no features are ignored.

        A category that is not in the training rows has code -1, and 1 in its block's last column.
        A missing quantity is NaN for trees and the centre for neural models.

        Raises:
            InputRejectedError: a feature is absent.
        """
        missing = [name for name in self.features if name not in frame.columns]
        if missing:
            message = (
                f"Cannot encode connections: the model reads {len(self.features)} features and the "
                f"data lacks {', '.join(missing)}. Score files of the contract the model was "
                "trained for."
            )
            raise InputRejectedError(message)
        codes = {category.name: _code(category) for category in self.categories}
        ordinal = frame.select(
            codes[name].cast(pl.Float32).fill_null(UNSEEN_CODE).alias(name)
            if name in codes
            else pl.col(name).cast(pl.Float32).fill_null(float("nan"))
            for name in self.features
        ).to_numpy(order="c")
        neural = np.zeros((frame.height, self.width), dtype=np.float32)
        if self.quantities:
            scaled = frame.select(_standardise(quantity) for quantity in self.quantities)
            neural[:, : len(self.quantities)] = scaled.to_numpy()
        row = np.arange(frame.height)
        first = len(self.quantities)
        for category in self.categories:
            unseen = len(category.values)
            code = frame.select(codes[category.name].fill_null(unseen)).to_series().to_numpy()
            neural[row, first + code] = 1.0
            first += unseen + 1
        return Encoded(np.ascontiguousarray(ordinal, dtype=np.float32), neural)

    def deviations(self, frame: pl.DataFrame) -> Matrix:
        """Return the distance of each quantity from its centre among normal connections.

        (n_rows, n_quantities), in scales of the normal training rows, clipped as in the neural
        matrix; 0 where the value is missing.
        """
        scaled = frame.select(_standardise(quantity) for quantity in self.quantities)
        return scaled.to_numpy(order="c")

    def count_unseen(self, frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Count the categories of a frame that are not in the training rows.

        For each categorical feature: one row per unseen category, ``value`` and ``rows``.
        """
        return {
            category.name: frame.select(value=category.name)
            .filter(pl.col("value").is_in(category.values).not_())
            .group_by("value")
            .agg(rows=pl.len().cast(pl.Int64))
            for category in self.categories
        }

    def decode(self, neural: Matrix) -> Floats:
        """Return neural rows, (n_rows, width), such as reconstructions, in natural units.

        (n_rows, n_features) in the form of ``Encoded.ordinal``: quantities within the range of the
        training rows, categories as the code with the largest value in their block.
        """
        position = {name: index for index, name in enumerate(self.features)}
        decoded = np.empty((len(neural), len(self.features)))
        for index, quantity in enumerate(self.quantities):
            logs = neural[:, index].astype(np.float64) * quantity.scale + quantity.center
            natural = np.sign(logs) * np.expm1(np.abs(logs))
            decoded[:, position[quantity.name]] = natural.clip(quantity.minimum, quantity.maximum)
        first = len(self.quantities)
        for category in self.categories:
            block = neural[:, first : first + len(category.values) + 1]
            code = block.argmax(axis=1).astype(np.float64)
            code[code == len(category.values)] = UNSEEN_CODE
            decoded[:, position[category.name]] = code
            first += len(category.values) + 1
        return decoded

    def find_typical(self, normal: pl.DataFrame) -> dict[str, Value]:
        """Return the median of each quantity and the commonest value of each category."""
        typical: dict[str, Value] = {}
        for name in self.features:
            known = normal[name].drop_nulls()
            if name in self._names:
                commonest = known.value_counts(sort=True, name="rows").sort(
                    ["rows", name], descending=[True, False]
                )
                typical[name] = commonest[name][0] if commonest.height else UNSEEN
            else:
                median = known.cast(pl.Float64).drop_nans().median()
                typical[name] = float(median) if isinstance(median, float) else 0.0
        return typical

    def make_frame(self, values: Mapping[str, Value]) -> pl.DataFrame:
        """Return a frame of one row from a value for each feature."""
        return pl.DataFrame(
            {name: [values[name]] for name in self.features},
            schema={
                name: pl.String if name in self._names else pl.Float64 for name in self.features
            },
        )

    def name_values(self, ordinal: Sequence[float]) -> dict[str, Value]:
        """Return one row in the form of ``Encoded.ordinal`` with the names of its categories."""
        return {
            name: value
            if name not in self._names
            else (UNSEEN if value < 0 else self._names[name][int(value)])
            for name, value in zip(self.features, ordinal, strict=True)
        }

    def render(self, feature: str, value: float) -> str:
        """Return a decoded value as text: a category's name, or a short number."""
        names = self._names.get(feature)
        if names is None:
            return render_value(value)
        return UNSEEN if value < 0 else names[int(value)]

    @cached_property
    def _names(self) -> Mapping[str, tuple[str, ...]]:
        return {category.name: category.values for category in self.categories}


def render_value(value: Value | None) -> str:
    """Return an observed or expected value as text.

    Whole numbers are written in full with thousands separators, others with three significant
    digits.
    """
    if value is None:
        return "(missing)"
    if isinstance(value, str):
        return value
    if not np.isfinite(value):
        return str(value)
    if value == round(value) or abs(value) >= THOUSANDS_FROM:
        return f"{round(value):,}"
    return f"{value:.3g}"


def _learn_quantity(every: pl.Series, normal: pl.Series) -> Quantity:
    logs = normal.to_frame().select(_log(normal.name)).to_series().drop_nulls().drop_nans()
    deviation = logs.std(ddof=0)
    scale = float(deviation) if isinstance(deviation, float) else 0.0
    known = every.cast(pl.Float64).drop_nulls().drop_nans()
    low, high = known.min(), known.max()
    return Quantity(
        name=every.name,
        center=float(logs.mean() or 0.0),  # type: ignore[arg-type]  # a Float64 series
        # A constant column has a rounding residue, which is no scale: 1e-9 in log units is below
        # any difference between two float32 values of the data.
        scale=scale if scale > 1e-9 else 1.0,  # noqa: PLR2004  # explained above
        minimum=0.0 if low is None else float(low),  # type: ignore[arg-type]  # a Float64 series
        maximum=0.0 if high is None else float(high),  # type: ignore[arg-type]  # likewise
    )


def _log(name: str) -> pl.Expr:
    """Compress a quantity on both sides of zero; counts and sizes become ``log1p``."""
    value = pl.col(name).cast(pl.Float64)
    return value.sign() * value.abs().log1p()


def _standardise(quantity: Quantity) -> pl.Expr:
    scaled = ((_log(quantity.name) - quantity.center) / quantity.scale).clip(-CLIP, CLIP)
    return scaled.fill_nan(0.0).fill_null(0.0).cast(pl.Float32).alias(quantity.name)


def _code(category: Category) -> pl.Expr:
    """Return the position of each value among the categories; null where it is not one of them."""
    known = pl.col(category.name).cast(pl.Enum(list(category.values)), strict=False)
    return known.to_physical().cast(pl.Int64)
