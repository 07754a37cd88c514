"""Labelled rows, encoded and split as in the notebook of the first work.

Belongs here: one-hot columns, the stratified split, min-max scaling. Does not belong here: the
encoding that serves (``tasks.features.encoding``), which scales differently.

The notebook one-hot encodes the whole file, drops the first value of each category column, splits
the rows 80:20 stratified by the label as text, and scales each column to the range of the training
part. Metrics are comparable only if all of this is the same, even the order of the classes. The
notebook's file has no missing values; in others a missing number becomes the median, and a missing
text has zeros in all of its columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from expectations.contract import Column
from tasks.arrays import Mask, Matrix

TEST_SHARE = 0.2
"""Share of the rows in the test part, as in the notebook."""

SEED = 42
"""Seed of the notebook's own split."""

MOST_VALUES = 256
"""Values of a category column that get a column, the most frequent ones. More than any column of
NSL-KDD has (70), so that its columns are the notebook's; without a limit, a column of a hundred
thousand names would fill the memory."""

FURTHER_SEEDS = (1, 2, 3, 4, 5)
"""Seeds of the further splits; fixed before any result was known."""


@dataclass(frozen=True)
class Split:
    """A file's rows in two parts."""

    seed: int
    train: Matrix
    """(n_train, width), each column within [0, 1]."""
    test: Matrix
    """(n_test, width), scaled by the range of the training part."""
    train_is_attack: Mask
    test_is_attack: Mask
    train_rows: npt.NDArray[np.intp]
    """(n_train,), their positions in the file."""
    test_rows: npt.NDArray[np.intp]
    names: tuple[str, ...]
    """(width,), of the columns, such as ``src_bytes`` and ``service=http``."""


def encode_rows(
    features: pl.DataFrame, columns: Sequence[Column]
) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """Encode rows as in the notebook: quantities in the file's order, then one-hot columns.

    Returns the matrix, (n_rows, width), and the names of its columns.
    """
    quantities = [column.name for column in columns if not column.is_categorical]
    blocks = [features.select(quantities).to_numpy().astype(np.float64)]
    names = list(quantities)
    for name in sorted(column.name for column in columns if column.is_categorical):
        counts = features[name].drop_nulls().value_counts(sort=True, name="_rows")
        values = sorted(counts[name].head(MOST_VALUES))[1:]
        if not values:  # a constant column
            continue
        cells = features[name].to_numpy()
        blocks.append(np.column_stack([cells == value for value in values]).astype(np.float64))
        names += [f"{name}={value}" for value in values]
    return np.column_stack(blocks), tuple(names)


def split_rows(
    encoded: npt.NDArray[np.float64], names: tuple[str, ...], is_attack: Mask, seed: int
) -> Split:
    """Split encoded rows of both classes 80:20, stratified by class, and scale them.

    ``encoded`` is (n_rows, width), ``names`` its columns, ``is_attack`` (n_rows,). ``seed``
    shuffles the rows.
    """
    from sklearn.model_selection import train_test_split

    # The classes are texts that sort in this order, as the notebook's "anomaly" and "normal" do.
    labels = np.where(is_attack, "attack", "normal")
    train, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_SHARE, random_state=seed, stratify=labels
    )
    encoded = fill_missing(encoded, encoded[train])
    low, high = encoded[train].min(axis=0), encoded[train].max(axis=0)
    scale = np.where(high > low, high - low, 1.0)
    return Split(
        seed=seed,
        train=((encoded[train] - low) / scale).astype(np.float32),
        test=((encoded[test] - low) / scale).astype(np.float32),
        train_is_attack=is_attack[train],
        test_is_attack=is_attack[test],
        train_rows=train,
        test_rows=test,
        names=names,
    )


def fill_missing(
    values: npt.NDArray[np.float64], known: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Replace missing values by the median of the column among known rows; zero where it has none.

    Both are (n_rows, width); a missing value is NaN.
    """
    missing = np.isnan(values)
    if not missing.any():
        return values
    medians = np.array(
        [np.median(one[~np.isnan(one)]) if not np.isnan(one).all() else 0.0 for one in known.T]
    )
    return np.where(missing, medians, values)
