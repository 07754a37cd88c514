"""Features that tell the label by themselves: each one's AUC against it.

Belongs here: the AUC of single features in labelled rows. Does not belong here: the AUC of a model
(``tasks.evaluation.metrics``).
"""

from typing import Final

import numpy as np
import polars as pl
from pydantic import BaseModel

from expectations.contract import Column, Contract
from tasks.intake.label_words import IS_ATTACK

TELLING: Final = 0.95
"""The AUC from which on a feature is suspected to hold the label. From the issue."""
FEWEST_ROWS: Final = 10
"""Fewest rows of each class. A guess: with fewer, chance tells them apart."""


class FeatureAuc(BaseModel, frozen=True):
    """A feature and how well it alone tells attacks from normal connections."""

    name: str
    roc_auc: float
    """Half to 1: the better of both directions."""


def find_telling(contract: Contract, rows: pl.DataFrame) -> tuple[FeatureAuc, ...]:
    """Return the features whose AUC is at least ``TELLING``, the highest first.

    Args:
        contract: of the rows.
        rows: grain: one connection; its features, and ``_is_attack``, null without a label.
    """
    rows = rows.drop_nulls(IS_ATTACK)
    truth = rows[IS_ATTACK].to_numpy()
    if min(truth.sum(), len(truth) - truth.sum()) < FEWEST_ROWS:
        return ()
    found = [
        FeatureAuc(name=column.name, roc_auc=auc)
        for column in contract.features
        if column.name in rows.columns
        and (auc := _auc(column, rows[column.name], rows[IS_ATTACK])) >= TELLING
    ]
    return tuple(sorted(found, key=lambda one: -one.roc_auc))


def _auc(column: Column, values: pl.Series, truth: pl.Series) -> float:
    """Return the AUC of one feature; of names, by the share of attacks among other rows."""
    from sklearn.metrics import roc_auc_score

    if column.is_categorical:
        scores = _rate_names(values.fill_null(""), truth)
    else:
        numbers = values.cast(pl.Float64).to_numpy()
        scores = np.nan_to_num(numbers, nan=-np.inf)
        finite = scores[np.isfinite(scores)]
        low = float(finite.min()) - 1.0 if len(finite) else 0.0
        high = float(finite.max()) + 1.0 if len(finite) else 0.0
        scores = np.clip(scores, low, high)
    auc = float(roc_auc_score(truth.to_numpy(), scores))
    return max(auc, 1 - auc) if not column.is_categorical else auc


def _rate_names(names: pl.Series, truth: pl.Series) -> np.ndarray:
    """Return for each row the share of attacks among the rows of its name in the other half."""
    frame = pl.DataFrame(
        {"name": names, "truth": truth, "half": np.arange(len(names)) % 2}
    ).with_row_index("row")
    rates = frame.group_by("name", "half").agg(pl.col("truth").mean().alias("rate"))
    other = rates.with_columns((1 - pl.col("half")).alias("half"))
    base = truth.mean()
    joined = frame.join(other, on=["name", "half"], how="left").sort("row")
    return joined["rate"].fill_null(base if isinstance(base, float) else 0.5).to_numpy()
