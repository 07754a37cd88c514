"""The choice of a model's ``Thresholds`` in training, from held-out scores.

Belongs here: choosing ``default`` and ``low_alert``. Does not belong here: the class and how it is
read (``tasks.detectors.thresholds``), making the held-out scores (``held_out``), or assessing the
choice (``assessment``).
"""

from collections.abc import Mapping

import numpy as np

from tasks.arrays import Floats
from tasks.detectors.thresholds import Thresholds

NOVEL_SHARE = 0.3
"""Assumed share of future attacks of a group that is not in the training rows. A guess. Zero
would assume a random split, which has no such attacks."""

LOW_ALERT_RATE = 0.001
"""Largest share of held-out normal rows that ``low_alert`` flags. Traffic that has changed since
training exceeds it many times over. Measured once while building: where a tenth of the normal rows
come from groups that were not in training, 4.4 % of all are flagged (5.1 % at a rate of .002)."""

UNLABELLED_RATE = 0.01
"""Share of held-out normal rows that ``default`` flags where no attack is known. A guess: a hundred
alerts among 10,000 connections, which an analyst can look through once."""


def choose_thresholds(normal: Floats, known: Floats, novel: Mapping[str, Floats]) -> Thresholds:
    """Choose both thresholds.

    ``default`` maximises F1 at the training rows' share of attacks. Its recall weighs attacks of
    known and of novel groups ``1 - NOVEL_SHARE`` to ``NOVEL_SHARE``, and each novel group the same,
    because the next new group may resemble any of them. Balanced accuracy would hardly count false
    alarms where attacks are rare. Measured once while building, on 20,000 connections of
    ``simulate_night`` (seed 42, 6 % attacks): the threshold of the best balanced accuracy flags
    1.9 % of the held-out normal rows, that of the best F1 0.5 %.

    Without attacks it is the lowest score that at most ``UNLABELLED_RATE`` of the normal rows
    exceed.

    ``low_alert`` is the lowest score that at most ``LOW_ALERT_RATE`` of the normal rows exceed,
    read in the same way as for a rate that the settings ask for.

    Args:
        normal: held-out anomaly scores of normal connections, at least one.
        known: of attacks of groups that the models were fitted on; empty where no row has a label.
        novel: by group, of attacks by models fitted without the group; where it is empty, only
            ``known`` counts.

    Returns:
        The thresholds; a connection that scores higher is flagged.
    """
    if len(known):
        default = _choose_by_f1(normal, known, novel)
    else:
        default = float(np.quantile(normal, 1.0 - UNLABELLED_RATE, method="higher"))
    return Thresholds.from_held_out(normal, default).with_low_alert_rate(LOW_ALERT_RATE)


def _choose_by_f1(normal: Floats, known: Floats, novel: Mapping[str, Floats]) -> float:
    candidates = np.unique(normal)
    false_alarms = _share_above(normal, candidates)
    recall = _share_above(known, candidates)
    if novel:
        unknown = np.mean([_share_above(scores, candidates) for scores in novel.values()], axis=0)
        recall = (1.0 - NOVEL_SHARE) * recall + NOVEL_SHARE * unknown
    hits, alarms = recall * len(known), false_alarms * len(normal)
    f1 = 2.0 * hits / (hits + alarms + len(known))
    # Of equally good thresholds, the highest raises the fewest alarms.
    return float(candidates[np.flatnonzero(f1 == f1.max())[-1]])


def _share_above(scores: Floats, thresholds: Floats) -> Floats:
    """Return the share of the scores above each threshold, (n_thresholds,)."""
    ranks = np.searchsorted(np.sort(scores), thresholds, side="right")
    share: Floats = 1.0 - ranks / len(scores)
    return share
