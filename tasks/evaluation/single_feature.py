"""How well the best single feature tells attacks from normal connections.

Belongs here: the ROC AUC of each feature by itself, on rows that have labels. Does not belong here:
the metrics of a model (``evaluate``), or what a report says of them. A model whose AUC is hardly
above that of one feature has learned little else; a feature that alone is nearly perfect may give
the label away.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel

from expectations.contract import Column
from tasks.arrays import Floats, Mask
from tasks.evaluation.metrics import roc_auc

FOLDS = 4
"""Parts of the rows; the rate of a category in one part is learned from the others."""

SEED = 42
"""Of the deal of rows into parts, where no parts are given."""


class Features(Protocol):
    """A frame of features, or something else that gives a feature's values by its name."""

    def __getitem__(self, name: str, /) -> pl.Series:
        """Return the values of a feature, one for each connection."""
        ...


class FeatureAuc(BaseModel, frozen=True):
    """A feature, and how well it ranks attacks by itself."""

    feature: str
    roc_auc: float
    """Of its values, upwards or downwards, whichever is better: at least .5, but for a text, whose
    direction is learned."""


def find_best_feature(
    features: Features,
    columns: Sequence[Column],
    is_attack: Mask,
    fold: npt.NDArray[np.intp] | None = None,
) -> FeatureAuc | None:
    """Return the feature with the highest ROC AUC by itself.

    Args:
        features: gives a feature's values by its name; one is asked for at a time.
        columns: their declarations.
        is_attack: (n_rows,).
        fold: (n_rows,), the part of each row, from 0; rows that are copies of each other should
            share one. None: the rows are dealt at random.

    Returns:
        None if all rows are of one class. Of equals, the first as declared.
    """
    if fold is None:
        fold = np.random.default_rng(SEED).permutation(len(is_attack)) % FOLDS
    found = [
        FeatureAuc(feature=column.name, roc_auc=auc)
        for column in columns
        if (auc := rank_feature(features[column.name], column, is_attack, fold)) is not None
    ]
    return max(found, key=lambda one: one.roc_auc, default=None)


def rank_feature(
    values: pl.Series, column: Column, is_attack: Mask, fold: npt.NDArray[np.intp]
) -> float | None:
    """Return the ROC AUC of one feature; None if all rows are of one class.

    A number ranks by its value, and a null is below all. A text ranks by the share of attacks among
    the rows of the other parts that have it: its own part would flatter a text that occurs once.
    """
    if column.is_categorical:
        return roc_auc(is_attack, _rate_texts(values, is_attack, fold))
    found = roc_auc(is_attack, values.cast(pl.Float64).fill_null(-np.inf).to_numpy())
    return None if found is None else max(found, 1.0 - found)


def _rate_texts(values: pl.Series, is_attack: Mask, fold: npt.NDArray[np.intp]) -> Floats:
    """Return the share of attacks among the rows of the other parts with the same text.

    A text that no other part has gets the share among all rows of the other parts.
    """
    frame = pl.DataFrame({"_value": values, "_is_attack": is_attack, "_fold": fold})
    attacks, rows = pl.col("_is_attack").cast(pl.Int64).sum(), pl.len().cast(pl.Int64)
    rated = frame.select(
        (attacks.over("_value") - attacks.over("_value", "_fold")).alias("attacks"),
        (rows.over("_value") - rows.over("_value", "_fold")).alias("rows"),
        (attacks - attacks.over("_fold")).alias("all_attacks"),
        (rows - rows.over("_fold")).alias("all_rows"),
    ).select(
        pl.when(pl.col("rows") > 0)
        .then(pl.col("attacks") / pl.col("rows"))
        .when(pl.col("all_rows") > 0)
        .then(pl.col("all_attacks") / pl.col("all_rows"))
        .otherwise(0.0)
    )
    return rated.to_series().to_numpy()
