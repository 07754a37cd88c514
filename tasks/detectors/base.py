"""What a detector is: something that scores rows of numbers and can say which inputs did it.

Belongs here: the interface that all detectors share, and the explanation that works for any. Does
not belong here: any one detector, the encoding (``tasks.features.encoding``), or how scores are
joined.

A detector is fitted by the ``fit_...`` function of its module. It scores each row by that row
alone: the same row has the same score, bit for bit, whatever else is in the batch and however the
batch is cut.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.arrays import Floats, Matrix

Positions: TypeAlias = npt.NDArray[np.intp]


class Detector(Protocol):
    """A fitted detector of one kind."""

    @property
    def kind(self) -> str:
        """Lower case, such as ``random_forest``; stored with models and in reasons."""
        ...

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Score rows: raw, (n_rows,), higher is more anomalous; classifiers give log-odds.

        Args:
            inputs: float32, (n_rows, n_inputs), as it was fitted on; no rows are no scores.
        """
        ...

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Say how much each group of inputs raised each score; negative where it lowered it.

        Args:
            inputs: (n_rows, n_inputs).
            typical: (1, n_inputs), an ordinary normal row, to compare with.
            groups: (n_inputs,), the group each input belongs to, from 0: one-hot columns of one
                feature belong together.

        Returns:
            (n_rows, n_groups).
        """
        ...

    def save(self, folder: Path, stem: str) -> None:
        """Write ``<stem>.<suffix>`` files, in formats that hold no code, equal for equal models."""
        ...


def occlude(
    score: Callable[[Matrix], Floats], inputs: Matrix, typical: Matrix, groups: Positions
) -> Floats:
    """Explain any score: how far it falls when a group of inputs takes its ordinary values.

    One scoring of all rows for each group. Inputs that only matter together share no blame: each
    alone may change nothing.

    Args:
        score: from (n_rows, n_inputs) to (n_rows,).
        inputs: (n_rows, n_inputs).
        typical: (1, n_inputs), an ordinary row.
        groups: (n_inputs,), the group of each input, from 0.

    Returns:
        (n_rows, n_groups), the fall of the score; negative where it rises.

    Source: Zeiler & Fergus 2014, section 4.2, for occlusion as an explanation.
    """
    before = score(inputs)
    falls = np.zeros((len(inputs), int(groups.max()) + 1))
    for group in np.unique(groups):
        occluded = np.where(groups == group, typical, inputs)
        falls[:, group] = before - score(np.ascontiguousarray(occluded, dtype=np.float32))
    return falls


def normalise(weights: Floats) -> Floats:
    """Make the positive weights of each row sum to 1; a row without any stays zero."""
    positive = np.maximum(weights, 0.0)
    total = positive.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(positive, total, out=np.zeros_like(positive), where=total > 0)
    return shares


def sum_groups(weights: Floats, groups: Positions) -> Floats:
    """Add up the weights of the inputs of each group, (n_rows, n_groups)."""
    membership = np.zeros((len(groups), int(groups.max()) + 1))
    membership[np.arange(len(groups)), groups] = 1.0
    summed: Floats = weights @ membership
    return summed


def log_odds(probability: Floats) -> Floats:
    """Turn probabilities of an attack into log-odds, finite: certain ones count as 1 in 1e-9."""
    bounded = np.clip(np.asarray(probability, dtype=np.float64), SURE, 1.0 - SURE)
    # polars takes logarithms one by one; numpy's vectorised loops do not promise a row's own.
    odds: Floats = pl.Series(bounded / (1.0 - bounded)).log().to_numpy()
    return odds


def probability(odds: Floats) -> Floats:
    """Turn log-odds into probabilities, (n_rows,)."""
    chance: Floats = 1.0 / (1.0 + pl.Series(-odds).exp().to_numpy())
    return chance


SURE = 1e-9
"""Least doubt that log-odds tell apart: a forest whose trees all agree is not infinitely sure."""
