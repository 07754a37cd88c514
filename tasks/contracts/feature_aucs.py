"""Features that tell the label by themselves, and so may hold it.

Belongs here: which features are suspected. Does not belong here: the AUC of one feature
(``tasks.evaluation.single_feature``).
"""

from typing import Final

import numpy as np
import polars as pl

from expectations.contract import Contract
from tasks.evaluation.single_feature import FOLDS, SEED, FeatureAuc, rank_feature
from tasks.intake.label_words import IS_ATTACK

TELLING: Final = 0.95
"""The AUC from which on a feature is suspected to hold the label. A guess: real features of the
data sets that we know seldom reach it."""
FEWEST_ROWS: Final = 10
"""Fewest rows of each class. A guess: with fewer, chance tells them apart."""


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
    fold = np.random.default_rng(SEED).permutation(len(truth)) % FOLDS
    found = [
        FeatureAuc(feature=column.name, roc_auc=auc)
        for column in contract.features
        if column.name in rows.columns
        and (auc := rank_feature(rows[column.name], column, truth, fold)) is not None
        and auc >= TELLING
    ]
    return tuple(sorted(found, key=lambda one: -one.roc_auc))
