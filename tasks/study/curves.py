"""Curves of a score against labels: what every threshold would do.

Belongs here: the points. Does not belong here: drawing them (``figures``).
"""

import numpy as np
from pydantic import BaseModel

from tasks.arrays import Floats, Mask

CURVE_POINTS = 200
"""Points of a curve that is drawn. A guess: more make no visible difference."""


class Curve(BaseModel, frozen=True):
    """Some points of a curve."""

    x: tuple[float, ...]
    y: tuple[float, ...]


def trace_roc(truth: Mask, scores: Floats) -> Curve:
    """Return recall over the false-positive rate, by falling threshold."""
    from sklearn.metrics import roc_curve

    false_positive_rate, recall, _ = roc_curve(truth, scores, drop_intermediate=False)
    return _thin(false_positive_rate, recall)


def trace_precision(truth: Mask, scores: Floats) -> Curve:
    """Return precision over recall, by falling threshold."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(truth, scores)
    return _thin(recall[::-1], precision[::-1])


def _thin(x: Floats, y: Floats) -> Curve:
    """Keep evenly spaced points, both ends among them, so that the curve looks the same."""
    at = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).round().astype(np.intp))
    return Curve(x=tuple(x[at].round(5).tolist()), y=tuple(y[at].round(5).tolist()))
