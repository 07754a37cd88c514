"""Where to cut the anomaly score, by connections no model had seen.

Belongs here: choosing thresholds from held-out scores. Does not belong here: making those scores
(see ``holdout``), or judging the choice (see ``judgement``).
"""

from collections.abc import Mapping

import numpy as np

from tasks.detectors.hybrid import Thresholds
from tasks.encode import Floats

NOVEL_SHARE = 0.3
"""Share of tomorrow's attacks assumed to be of a kind not trained on: a guess. Zero would trust a
random split, which hides exactly those."""

LOW_ALERT_RATE = 0.002
"""Share of held-out normals that ``low_alert`` flags at most: a guess. Traffic that has changed
since training exceeds it several times over, and a fifth of a percent leaves room for that."""


def choose_thresholds(normal: Floats, known: Floats, novel: Mapping[str, Floats]) -> Thresholds:
    """Choose both thresholds.

    ``default`` maximises F1 at the training rows' share of attacks, where the recall counts
    attacks of known and of novel kinds ``1 - NOVEL_SHARE`` to ``NOVEL_SHARE``, and each novel kind
    the same: the next one may be like any of them. F1 rather than balanced accuracy, which thinks
    nothing of false alarms where attacks are rare. Measured once while building, on 20,000
    connections of ``simulate_night`` (seed 42, 6 % attacks): the cut of the best balanced accuracy
    flags 1.9 % of the held-out normals, the cut of the best F1 0.5 %.

    ``low_alert`` is the lowest score that at most ``LOW_ALERT_RATE`` of the normals exceed.

    Args:
        normal: held-out anomaly scores of normal connections, at least one.
        known: of attacks of kinds that were trained on, at least one.
        novel: of attacks by models that were not trained on their kind; may be empty, and then
            only known kinds count.

    Returns:
        The thresholds; a connection above is flagged.
    """
    candidates = np.unique(normal)
    false_alarms = _share_above(normal, candidates)
    recall = _share_above(known, candidates)
    if novel:
        unknown = np.mean([_share_above(scores, candidates) for scores in novel.values()], axis=0)
        recall = (1.0 - NOVEL_SHARE) * recall + NOVEL_SHARE * unknown
    hits, alarms = recall * len(known), false_alarms * len(normal)
    f1 = 2.0 * hits / (hits + alarms + len(known))
    # Of equally good cuts the highest: fewer alarms.
    default = float(candidates[np.flatnonzero(f1 == f1.max())[-1]])
    low_alert = float(np.quantile(normal, 1.0 - LOW_ALERT_RATE, method="higher"))
    return Thresholds(
        default=default, low_alert=max(default, low_alert), low_alert_rate=LOW_ALERT_RATE
    )


def _share_above(scores: Floats, thresholds: Floats) -> Floats:
    """Return the share of the scores above each threshold, (n_thresholds,)."""
    ranks = np.searchsorted(np.sort(scores), thresholds, side="right")
    share: Floats = 1.0 - ranks / len(scores)
    return share
