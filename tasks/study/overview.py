"""An overview of a labelled file, before any model is fitted to it.

Belongs here: columns, types, nulls, distinct values, ranges, duplicates, the values that the
figures of them need, and a t-SNE embedding of some rows. Does not belong here: any conclusion from
that embedding, in which distances mean little, or removing rows. Outliers and zeros are kept, as in
both works: a huge transfer or a count of zero may be the attack.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from pydantic import BaseModel

from expectations.contract import Contract
from tasks.arrays import Mask, Matrix
from tasks.study.split import SEED, fill_missing

MOST_OUTLIERS = 40
"""Outliers drawn on each side of a box. A guess: more would merge."""

WHISKER = 1.5
"""Longest whisker, in interquartile ranges (Tukey 1977)."""

SAMPLE_ROWS = 2_000
"""Rows of the sample; each embedding of this many takes about ten seconds."""


class ColumnOverview(BaseModel, frozen=True):
    """One column."""

    name: str
    dtype: str
    nulls: int
    distinct: int
    zeros: int | None
    """None for text."""
    minimum: float | None
    maximum: float | None
    commonest: str | None
    """Most frequent value of a text column; None for numbers."""


class Box(BaseModel, frozen=True):
    """The distribution of a quantity in one class, on the scale ``sign(x) * log10(1 + |x|)``."""

    whisker_low: float
    quartile_low: float
    median: float
    quartile_high: float
    whisker_high: float
    outliers: int
    """Rows beyond the whiskers."""
    drawn: tuple[float, ...]
    """Values of some of them."""


class Correlations(BaseModel, frozen=True):
    """Correlations of quantities, over all rows."""

    names: tuple[str, ...]
    """The quantities that vary."""
    coefficients: tuple[tuple[float, ...], ...]
    """Pearson's, rounded to two decimals."""


class DataOverview(BaseModel, frozen=True):
    """A labelled file."""

    rows: int
    classes: dict[str, int]
    columns: tuple[ColumnOverview, ...]
    duplicates: int
    """Rows that have the features of an earlier row."""
    conflicts: int
    """Rows whose features occur both as normal and as an attack."""
    boxes: dict[str, dict[str, Box]]
    """The boxes by quantity, then by class."""
    correlations: Correlations
    only_here: tuple[str, ...] = ()
    """Columns that the other file does not have."""
    only_there: tuple[str, ...] = ()
    """Columns of the other file that this file does not have."""
    other_file: str | None = None


class Embedding(BaseModel, frozen=True):
    """Some rows of the training part, in two (``flat``) and three (``deep``) dimensions."""

    is_attack: tuple[bool, ...]
    flat: tuple[tuple[float, float], ...]
    deep: tuple[tuple[float, float, float], ...]


def describe_data(
    features: pl.DataFrame,
    is_attack: Mask,
    contract: Contract,
    columns: Sequence[str],
    other: tuple[str, Sequence[str]] | None = None,
) -> DataOverview:
    """Describe a labelled file, whose ``columns`` include the labels.

    ``other`` has the name and the columns of a file to compare columns with.
    """
    quantities = [column.name for column in contract.features if not column.is_categorical]
    labelled = features.with_columns(_is_attack=pl.Series(is_attack))
    counted = labelled.group_by(contract.feature_names).agg(
        _rows=pl.len(), _attacks=pl.col("_is_attack").sum()
    )
    mixed = counted.filter((pl.col("_attacks") > 0) & (pl.col("_attacks") < pl.col("_rows")))
    attacks = int(is_attack.sum())
    there = tuple(other[1]) if other else ()
    return DataOverview(
        rows=features.height,
        classes={"normal": features.height - attacks, "attack": attacks},
        columns=tuple(_describe(features[name]) for name in contract.feature_names),
        duplicates=features.height - counted.height,
        conflicts=int(mixed["_rows"].sum()),
        boxes={
            name: {
                of_class: draw_box(features[name].to_numpy()[rows])
                for of_class, rows in (("normal", ~is_attack), ("attack", is_attack))
            }
            for name in quantities
        },
        correlations=_correlate(features.select(quantities)),
        only_here=tuple(name for name in columns if other and name not in there),
        only_there=tuple(name for name in there if name not in columns),
        other_file=other[0] if other else None,
    )


def _describe(column: pl.Series) -> ColumnOverview:
    is_number = column.dtype.is_numeric()
    known = column.drop_nulls()
    has_range = is_number and len(known) > 0
    return ColumnOverview(
        name=column.name,
        dtype=str(column.dtype),
        nulls=column.null_count(),
        distinct=column.n_unique(),
        zeros=int((known == 0).sum()) if is_number else None,
        minimum=float(known.min()) if has_range else None,  # type: ignore[arg-type]  # of numbers
        maximum=float(known.max()) if has_range else None,  # type: ignore[arg-type]  # of numbers
        commonest=None if is_number or not len(known) else str(known.mode().sort()[0]),
    )


def draw_box(values: np.ndarray) -> Box:
    """Compute the box of some values, on a logarithmic scale on both sides of zero."""
    known = values.astype(np.float64)
    known = known[~np.isnan(known)] if not np.isnan(known).all() else np.zeros(1)
    scaled = np.sort(np.sign(known) * np.log10(1 + np.abs(known)))
    low, median, high = np.percentile(scaled, [25, 50, 75])
    reach = WHISKER * (high - low)
    within = scaled[(scaled >= low - reach) & (scaled <= high + reach)]
    below, above = scaled[scaled < within[0]], scaled[scaled > within[-1]]
    drawn = np.unique(np.concatenate([_thin(below), _thin(above)]).round(3))
    return Box(
        whisker_low=float(within[0]),
        quartile_low=float(low),
        median=float(median),
        quartile_high=float(high),
        whisker_high=float(within[-1]),
        outliers=len(below) + len(above),
        drawn=tuple(drawn.tolist()),
    )


def _thin(values: np.ndarray) -> np.ndarray:
    """Keep at most ``MOST_OUTLIERS`` of sorted values, both ends among them."""
    if len(values) <= MOST_OUTLIERS:
        return values
    kept: np.ndarray = values[np.linspace(0, len(values) - 1, MOST_OUTLIERS).round().astype(int)]
    return kept


def _correlate(quantities: pl.DataFrame) -> Correlations:
    values = quantities.to_numpy().astype(np.float64)
    values = fill_missing(values, values)
    varies = values.std(axis=0) > 0
    matrix = np.corrcoef(values[:, varies], rowvar=False).round(2)
    names = [name for name, kept in zip(quantities.columns, varies, strict=True) if kept]
    return Correlations(
        names=tuple(names), coefficients=tuple(tuple(row) for row in np.atleast_2d(matrix).tolist())
    )


def embed(inputs: Matrix, is_attack: Mask) -> Embedding:
    """Embed a sample of rows so that near rows stay near.

    ``inputs`` is (n_rows, width), scaled alike; ``is_attack`` (n_rows,).

    Source: van der Maaten & Hinton 2008 (t-SNE), as scikit-learn computes it.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    rows = np.sort(np.random.default_rng(SEED).permutation(len(inputs))[:SAMPLE_ROWS])
    perplexity = min(30.0, max(1.0, (len(rows) - 1) / 3))
    with threadpool_limits(1):
        flat, deep = (
            TSNE(dimensions, random_state=SEED, init="pca", perplexity=perplexity).fit_transform(
                inputs[rows].astype(np.float64)
            )
            for dimensions in (2, 3)
        )
    return Embedding(
        is_attack=tuple(is_attack[rows].tolist()),
        flat=tuple(map(tuple, flat.round(2).tolist())),
        deep=tuple(map(tuple, deep.round(2).tolist())),
    )
