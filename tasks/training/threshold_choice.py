"""Where to cut the anomaly score, by connections no model had seen.

Belongs here: choosing thresholds from held-out scores. Does not belong here: making those scores
(see ``held_out``), or judging the choice (see ``assessment``).
"""

from collections.abc import Mapping

import numpy as np

from tasks.arrays import Floats
from tasks.detectors.thresholds import Thresholds

NOVEL_SHARE = 0.3
"""Share of tomorrow's attacks assumed to be of a kind not trained on: a guess. Zero would trust a
random split, which hides exactly those."""

LOW_ALERT_RATE = 0.001
"""Share of held-out normals that ``low_alert`` flags at most. Traffic that has changed since
training exceeds it many times over: measured once while building, with a tenth of the normals from
groups that training had not met, 4.4 % of them all are flagged (5.1 % at a rate of .002)."""


UNLABELLED_RATE = 0.01
"""Share of held-out normals that ``default`` flags where no attack is known to choose by: a guess,
a hundred alerts among 10,000 connections, which an analyst can look through once."""


def choose_thresholds(normal: Floats, known: Floats, novel: Mapping[str, Floats]) -> Thresholds:
    """Choose both thresholds.

    ``default`` maximises F1 at the training rows' share of attacks, where the recall counts
    attacks of known and of novel kinds ``1 - NOVEL_SHARE`` to ``NOVEL_SHARE``, and each novel kind
    the same: the next one may be like any of them. F1 rather than balanced accuracy, which thinks
    nothing of false alarms where attacks are rare. Measured once while building, on 20,000
    connections of ``simulate_night`` (seed 42, 6 % attacks): the cut of the best balanced accuracy
    flags 1.9 % of the held-out normals, the cut of the best F1 0.5 %.

    Without attacks it is the lowest score that at most ``UNLABELLED_RATE`` of the normals exceed.

    ``low_alert`` is the lowest score that at most ``LOW_ALERT_RATE`` of the normals exceed, read in
    the same way as for a rate that the settings ask for.

    Args:
        normal: held-out anomaly scores of normal connections, at least one.
        known: of attacks of kinds that were trained on; empty where no row has a label.
        novel: of attacks by models that were not trained on their kind; may be empty, and then
            only known kinds count.

    Returns:
        The thresholds; a connection above is flagged.
    """
    default = (
        _choose_by_f1(normal, known, novel) if len(known) else _at_rate(normal, UNLABELLED_RATE)
    )
    return Thresholds.from_held_out(normal, default).with_low_alert_rate(LOW_ALERT_RATE)


def _at_rate(normal: Floats, rate: float) -> float:
    """Return the lowest score that at most a share of the normals exceed."""
    return float(np.quantile(normal, 1.0 - rate, method="higher"))


def _choose_by_f1(normal: Floats, known: Floats, novel: Mapping[str, Floats]) -> float:
    candidates = np.unique(normal)
    false_alarms = _share_above(normal, candidates)
    recall = _share_above(known, candidates)
    if novel:
        unknown = np.mean([_share_above(scores, candidates) for scores in novel.values()], axis=0)
        recall = (1.0 - NOVEL_SHARE) * recall + NOVEL_SHARE * unknown
    hits, alarms = recall * len(known), false_alarms * len(normal)
    f1 = 2.0 * hits / (hits + alarms + len(known))
    # Of equally good cuts the highest: fewer alarms.
    return float(candidates[np.flatnonzero(f1 == f1.max())[-1]])


def _share_above(scores: Floats, thresholds: Floats) -> Floats:
    """Return the share of the scores above each threshold, (n_thresholds,)."""
    ranks = np.searchsorted(np.sort(scores), thresholds, side="right")
    share: Floats = 1.0 - ranks / len(scores)
    return share
