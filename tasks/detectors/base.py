"""The interface of a detector: it scores rows of numbers and says which inputs raised a score.

Belongs here: the interface, the explanation that works for any detector, and what several detectors
share. Does not belong here: any one detector, the encoding (``tasks.features.encoding``), or how
scores are joined (``model``).

The ``fit_...`` function of a detector's module fits it. A detector scores each row by that row
alone: the same row has the same score, bit for bit, in any batch and in any part of it.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from pydantic import BaseModel

from tasks.arrays import Floats, Matrix, Positions

LEAST_DOUBT = 1e-9
"""Probabilities are kept this far from 0 and 1, so that log-odds are finite even if all trees of
a forest agree."""


class DetectorOptions(BaseModel, frozen=True, extra="forbid"):
    """The base of each detector's options; ``kind`` names the detector."""


class Detector(Protocol):
    """A fitted detector of one kind."""

    @property
    def kind(self) -> str:
        """Lower case, such as ``random_forest``; stored with models and in reasons."""
        ...

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return raw scores, (n_rows,), higher is more anomalous; classifiers return log-odds.

        Args:
            inputs: float32, (n_rows, n_inputs), in the form the detector was fitted on; n_rows may
                be 0.
        """
        ...

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Return how much each group of inputs raised each score; negative where it lowered it.

        Args:
            inputs: (n_rows, n_inputs).
            typical: (1, n_inputs), a typical normal row to compare with.
            groups: (n_inputs,), the group each input belongs to, from 0. The one-hot columns of a
                feature are one group.

        Returns:
            (n_rows, n_groups).
        """
        ...

    def save(self, folder: Path, stem: str) -> None:
        """Write ``<stem>.<suffix>`` files that hold no code; equal models give equal bytes."""
        ...


class OccludedDetector(ABC):
    """A detector whose scores are explained by occlusion."""

    @abstractmethod
    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return raw scores; see ``Detector``."""

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Return how far the score falls when a group takes its typical values; see ``occlude``."""
        return occlude(self.anomaly_scores, inputs, typical, groups)


def occlude(
    score: Callable[[Matrix], Floats], inputs: Matrix, typical: Matrix, groups: Positions
) -> Floats:
    """Return how far any score falls when a group of inputs takes its typical values.

    ``score`` maps (n_rows, n_inputs) to (n_rows,). It scores all rows once for each group. Inputs
    that raise the score only together get no share: each alone may change nothing. The other
    arguments and the result are those of ``Detector.explain``.

    Source: Zeiler & Fergus 2014, section 4.2, for occlusion as an explanation.
    """
    before = score(inputs)
    falls = np.zeros((len(inputs), int(groups.max()) + 1))
    for group in np.unique(groups):
        occluded = np.where(groups == group, typical, inputs)
        falls[:, group] = before - score(np.ascontiguousarray(occluded, dtype=np.float32))
    return falls


def normalise(weights: Floats) -> Floats:
    """Scale the positive weights of each row to sum to 1; a row without any becomes zero."""
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


def mean_squared_errors(inputs: Matrix, rebuilt: Matrix) -> Floats:
    """Return the mean squared difference of each row from its reconstruction, (n_rows,)."""
    difference = inputs - rebuilt
    errors: Matrix = np.square(difference, out=difference).mean(axis=1)
    return errors.astype(np.float64)


def squared_errors_by_group(inputs: Matrix, rebuilt: Matrix, groups: Positions) -> Floats:
    """Return the squared difference of each group from its reconstruction, (n_rows, n_groups)."""
    return sum_groups(np.square(inputs - rebuilt).astype(np.float64), groups)


def fill_empty(inputs: Matrix) -> Matrix:
    """Return training inputs with 0 in the columns that are NaN in every row.

    Some libraries cannot be fitted to such a column; a constant one tells them as little.
    """
    is_empty = np.isnan(inputs).all(axis=0)
    return np.where(is_empty, np.float32(0), inputs) if is_empty.any() else inputs


def log_odds(probability: Floats) -> Floats:
    """Turn probabilities of an attack into log-odds, finite; see ``LEAST_DOUBT``."""
    bounded = np.clip(np.asarray(probability, dtype=np.float64), LEAST_DOUBT, 1.0 - LEAST_DOUBT)
    # polars takes logarithms one by one; numpy's vectorised loops may differ with a row's place.
    odds: Floats = pl.Series(bounded / (1.0 - bounded)).log().to_numpy()
    return odds


def probability(odds: Floats) -> Floats:
    """Turn log-odds into probabilities, (n_rows,)."""
    from scipy.special import expit

    chance: Floats = expit(odds)
    return chance


def write_json(path: Path, value: object, indent: int | None = 1) -> None:
    """Write a JSON file of a model folder with sorted keys: equal values give equal bytes."""
    path.write_text(json.dumps(value, sort_keys=True, indent=indent) + "\n", encoding="utf-8")
