"""The encoder: it turns typed connections into the two matrices that models read, and back.

Belongs here: both matrices, and what a column of either means. Does not belong here: what is
learned of one feature (``parameters``), the choice among encoded columns (``selection``), or any
model.

Trees read ordinal codes, and quantities as they are. Neural models read ``log1p`` values,
standardised and clipped, and one-hot categories; a missing quantity has the centre and, where
training rows lacked it too, a 1 in a column of its own. Each element is computed by itself, so that
a row's encoding does not depend on other rows, bit for bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel

from expectations.contract import Column
from expectations.errors import InputRejectedError
from tasks.arrays import Floats, Mask, Matrix
from tasks.features.parameters import Category, Quantity
from tasks.features.values import MISSING, Value, render_value

UNSEEN_CODE = -1.0
"""Ordinal code of a category that is not in the training rows, or is rare there."""

LARGEST_ORDINAL = 1e30
"""Larger quantities become this one for trees, which refuse infinity: they read float32, and take
sums of it. A guess: 340 million such values have a sum in float32, and no real quantity is as
large."""

IS_MISSING = 0.5
"""A decoded quantity is missing where the column that says so exceeds this."""


@dataclass(frozen=True)
class Encoded:
    """The encoded rows of one frame; one row per connection."""

    ordinal: Matrix
    """(n_rows, n_features), declared order: quantities as they are, categories as codes."""
    neural: Matrix
    """(n_rows, width): quantities, then a column for each that training rows lacked, then one block
    per category; no NaN."""

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
            quantities=tuple(Quantity.learn(frame[name], normal[name]) for name in numeric),
            categories=tuple(Category.learn(frame[name]) for name in named),
        )

    @cached_property
    def columns(self) -> tuple[tuple[str, str | None], ...]:
        """Each neural column's source feature and, unless it is a quantity, what a 1 says of it."""
        blocks = [
            (category.name, value)
            for category in self.categories
            for value in (*category.values, category.rest)
        ]
        return (
            *((quantity.name, None) for quantity in self.quantities),
            *((quantity.name, MISSING) for quantity in self._lacked),
            *blocks,
        )

    @cached_property
    def _lacked(self) -> tuple[Quantity, ...]:
        """The quantities that a training row lacked."""
        return tuple(quantity for quantity in self.quantities if quantity.has_missing)

    @property
    def reads_missing(self) -> bool:
        """Whether any feature was missing in a training row, or has too many categories.

        Earlier versions of Noctule cannot read such an encoder.
        """
        return bool(self._lacked) or any(
            MISSING in category.values or category.is_cut for category in self.categories
        )

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

        A category that is not in the training rows has code -1, and 1 in its block's last column;
        so has a missing one if no training row lacked the feature. A missing quantity is NaN for
        trees and the centre for neural models.

        Raises:
            InputRejectedError: a feature is absent.
        """
        self._require_features(frame)
        codes = {category.name: category.code() for category in self.categories}
        ordinal = frame.select(
            codes[name].cast(pl.Float32).fill_null(UNSEEN_CODE).alias(name)
            if name in codes
            else pl.col(name).cast(pl.Float32).fill_null(float("nan"))
            for name in self.features
        ).to_numpy(order="c")
        ordinal = np.ascontiguousarray(ordinal, dtype=np.float32)
        np.clip(ordinal, -LARGEST_ORDINAL, LARGEST_ORDINAL, out=ordinal)  # keeps NaN
        neural = np.zeros((frame.height, self.width), dtype=np.float32)
        first = 0
        for block in (
            [quantity.standardise() for quantity in self.quantities],
            [quantity.is_missing() for quantity in self._lacked],
        ):
            if block:
                neural[:, first : first + len(block)] = frame.select(block).to_numpy()
                first += len(block)
        row = np.arange(frame.height)
        for category in self.categories:
            rest = len(category.values)
            code = frame.select(codes[category.name].fill_null(rest)).to_series().to_numpy()
            neural[row, first + code] = 1.0
            first += rest + 1
        return Encoded(ordinal, neural)

    def _require_features(self, frame: pl.DataFrame) -> None:
        missing = [name for name in self.features if name not in frame.columns]
        if missing:
            message = (
                f"Cannot encode connections: the model reads {len(self.features)} features and the "
                f"data lacks {', '.join(missing)}. Score files of the contract the model was "
                "trained for."
            )
            raise InputRejectedError(message)

    def deviations(self, frame: pl.DataFrame) -> Matrix:
        """Return the distance of each quantity from its centre among normal connections.

        (n_rows, n_quantities), in scales of the normal training rows, clipped as in the neural
        matrix; 0 where the value is missing.
        """
        if not self.quantities:
            return np.zeros((frame.height, 0), dtype=np.float32)
        scaled = frame.select(quantity.standardise() for quantity in self.quantities)
        return scaled.to_numpy(order="c")

    def count_unseen(self, frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """Count the values of a frame that are not in the training rows.

        For each categorical feature whose categories are all known: one row per unseen category,
        ``value`` and ``rows``. For each quantity that no training row lacked and that is missing
        here: one row.

        Raises:
            InputRejectedError: a feature is absent.
        """
        self._require_features(frame)
        unseen = {
            category.name: frame.select(value=category.present())
            .filter(pl.col("value").is_in(category.values).not_())
            .group_by("value")
            .agg(rows=pl.len().cast(pl.Int64))
            for category in self.categories
            if not category.is_cut
        }
        for quantity in self.quantities:
            rows = 0 if quantity.has_missing else frame[quantity.name].null_count()
            if rows:
                unseen[quantity.name] = pl.DataFrame({"value": [MISSING], "rows": [rows]})
        return unseen

    def decode(self, neural: Matrix) -> Floats:
        """Return neural rows, (n_rows, width), such as reconstructions, in natural units.

        (n_rows, n_features) in the form of ``Encoded.ordinal``: quantities within the range of the
        training rows, or NaN where they are rather missing; categories as the code with the largest
        value in their block.
        """
        position = {name: index for index, name in enumerate(self.features)}
        decoded = np.empty((len(neural), len(self.features)))
        for index, quantity in enumerate(self.quantities):
            natural = quantity.restore(neural[:, index].astype(np.float64))
            decoded[:, position[quantity.name]] = natural
        first = len(self.quantities)
        for quantity in self._lacked:
            decoded[neural[:, first] > IS_MISSING, position[quantity.name]] = np.nan
            first += 1
        for category in self.categories:
            block = neural[:, first : first + len(category.values) + 1]
            code = block.argmax(axis=1).astype(np.float64)
            code[code == len(category.values)] = UNSEEN_CODE
            decoded[:, position[category.name]] = code
            first += len(category.values) + 1
        return decoded

    def find_typical(self, normal: pl.DataFrame) -> dict[str, Value | None]:
        """Return the median of each quantity and the commonest value of each category.

        None where most of these rows lack the quantity, or no row has the category.
        """
        typical: dict[str, Value | None] = {}
        for name in self.features:
            if name in self._names:
                known = normal.select(self._names[name].present()).to_series().drop_nulls()
                commonest = known.value_counts(sort=True, name="rows").sort(
                    ["rows", name], descending=[True, False]
                )
                typical[name] = commonest[name][0] if commonest.height else None
            else:
                typical[name] = _find_median(normal[name].cast(pl.Float64))
        return typical

    def make_frame(self, values: Mapping[str, Value | None]) -> pl.DataFrame:
        """Return a frame of one row from a value for each feature."""
        return pl.DataFrame(
            {name: [values[name]] for name in self.features},
            schema={
                name: pl.String if name in self._names else pl.Float64 for name in self.features
            },
        )

    def name_values(self, ordinal: Sequence[float]) -> dict[str, Value | None]:
        """Return one row in the form of ``Encoded.ordinal`` with the names of its categories."""
        return {
            name: value if name not in self._names else self.render(name, value)
            for name, value in zip(self.features, ordinal, strict=True)
        }

    def render(self, feature: str, value: float) -> str:
        """Return a decoded value as text: a category's name, or a short number."""
        category = self._names.get(feature)
        if category is None:
            return render_value(value)
        return category.rest if value < 0 else category.values[int(value)]

    @cached_property
    def _names(self) -> Mapping[str, Category]:
        return {category.name: category for category in self.categories}


def _find_median(values: pl.Series) -> float | None:
    """Return the median of Float64 values; None where most are missing."""
    known = values.drop_nulls().drop_nans()
    if 2 * len(known) < len(values) or known.is_empty():
        return None
    median = known.median()
    if isinstance(median, float) and np.isfinite(median):
        return median
    return known.quantile(0.5, "lower")  # the sum of the two in the middle is no float64
