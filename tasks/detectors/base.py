"""What a detector is: something that scores encoded connections and can say which features did it.

Belongs here: the interface the models share. Does not belong here: any model, or how scores of
several are joined.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tasks.encode import Encoded, Floats


@dataclass(frozen=True)
class Attribution:
    """Which features made a detector score some connections as it did."""

    shares: Floats
    """(n_rows, n_features), nonnegative: each feature's part of what raised the score. A row sums
    to 1, or to 0 where nothing raised it."""
    expected: Floats
    """(n_rows, n_features), in the form of ``Encoded.ordinal``: what the detector would have found
    unremarkable."""


class Detector(Protocol):
    """A fitted model of one kind, as it serves."""

    @property
    def name(self) -> str:
        """Lower case; names its column ``<name>_score`` and its tail, and is stored in reasons."""
        ...

    def score(self, encoded: Encoded) -> Floats:
        """Score connections: raw, (n_rows,), higher is more anomalous, whatever the chunking."""
        ...

    def attribute(self, encoded: Encoded) -> Attribution:
        """Say which features raised the scores of these connections."""
        ...

    def save(self, folder: Path) -> None:
        """Write what serving needs, in formats that hold no code."""
        ...


def normalise(weights: Floats) -> Floats:
    """Make the positive weights of each row sum to 1; a row without any stays zero."""
    positive = np.maximum(weights, 0.0)
    total = positive.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(positive, total, out=np.zeros_like(positive), where=total > 0)
    return shares
