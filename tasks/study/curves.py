"""Curves of a score against labels: what every threshold would do.

Belongs here: the points. Does not belong here: drawing them (``tasks.study.page``).
"""

import numpy as np
from pydantic import BaseModel, ConfigDict

from tasks.arrays import Floats, Mask

CURVE_POINTS = 200
"""Of a curve that is drawn. A guess: no eye sees more."""


class Curve(BaseModel):
    """Points of a curve, thinned."""

    model_config = ConfigDict(frozen=True)

    x: tuple[float, ...]
    y: tuple[float, ...]


def trace_roc(truth: Mask, scores: Floats) -> Curve:
    """Trace recall over the false-positive rate, as the threshold falls."""
    hits, alarms = _accumulate(truth, scores)
    return _thin(alarms / max(1, int((~truth).sum())), hits / max(1, int(truth.sum())))


def trace_precision(truth: Mask, scores: Floats) -> Curve:
    """Trace precision over recall, as the threshold falls."""
    hits, alarms = _accumulate(truth, scores)
    found = np.maximum(hits + alarms, 1)
    return _thin(hits / max(1, int(truth.sum())), np.where(hits + alarms, hits / found, 1.0))


def _accumulate(truth: Mask, scores: Floats) -> tuple[Floats, Floats]:
    """Count hits and false alarms above every distinct score, and above all of them."""
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, [True])
    hits = np.cumsum(truth[order])[last_of_tie]
    alarms = np.cumsum(~truth[order])[last_of_tie]
    return np.append([0.0], hits), np.append([0.0], alarms)


def _thin(x: Floats, y: Floats) -> Curve:
    """Keep so many points that the curve looks the same, both ends among them."""
    at = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).round().astype(np.intp))
    return Curve(x=tuple(x[at].round(5).tolist()), y=tuple(y[at].round(5).tolist()))
