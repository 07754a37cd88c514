"""What is known of a model before its first night: the metrics that are kept with it.

Belongs here: the figures, and how to read them. Does not belong here: computing them
(``assessment``).
"""

from pydantic import BaseModel

from tasks.evaluation.evaluate import Evaluation
from tasks.evaluation.metrics import FlagMetrics
from tasks.training.attack_groups import GroupSource
from tasks.training.families import FamilyMetrics


class HeldOutGroupMetrics(BaseModel, frozen=True):
    """How well a model finds a group of attacks that its classifier was fitted without.

    The one-class detector is fitted on normal rows only, and no row of the group helps to choose
    the thresholds. The group still has an indirect influence: the classifiers that scored the rows
    which do choose the thresholds (by fold, or without another group) were fitted on it. So the
    thresholds may suit it a little better than they suit a group that is entirely new. Only a fit
    for each pair of group and fold, and of two groups, would avoid that: with four folds and four
    groups 22 more fits of the classifier, beside the nine there are.
    """

    rows: int
    roc_auc: float | None
    """ROC AUC of the group's rows against the held-out normal rows."""
    recall_default: float
    recall_low_alert: float
    recall_p50: float
    """At even odds of only the classifier, the threshold that a random split would suggest."""
    false_positive_rate_default: float
    """Rate on held-out normal rows at the threshold of ``recall_default``. That threshold is chosen
    without the group, so it is not the one that serves."""
    false_positive_rate_low_alert: float
    false_positive_rate_p50: float
    """Rate on the normal rows that the classifier was not fitted on."""
    rows_shared: int = 0
    """Rows of the group that ``rows`` does not count: a normal row or another group has the same
    features, so the classifier was fitted on them."""


class TrainingMetrics(BaseModel, frozen=True):
    """What is known of a model before its first night.

    Each row is scored by detectors that were not fitted on it, and flagged by tails and thresholds
    that it did not help to choose. But it influences the choice indirectly: the scores that
    choose the thresholds come from detectors of other folds, which may have been fitted on it.
    """

    known: Evaluation | None
    """Attacks like those of the past: every training row, scored by detectors of the other folds
    and flagged by tails and thresholds of the other blocks. A random split shows the same. The
    ``threshold`` of an operating point is the one that serves, chosen from all blocks; the other
    figures are estimates for it. None where the rows have no labels; then the rest is empty."""
    unknown_made_from: GroupSource
    """What the held-out groups are: ``family``, ``attack`` (the name) or ``cluster``."""
    unknown: dict[str, HeldOutGroupMetrics]
    """Metrics by held-out group; empty if no group could be held out."""
    unknown_attacks: dict[str, HeldOutGroupMetrics] = {}
    """By name of attack, where the other attacks of its family are kept; empty where ``unknown``
    is by name or by cluster."""
    mixed: dict[str, FlagMetrics] = {}
    """What to expect where ``NOVEL_SHARE`` of the attacks belong to a group that is new, each
    held-out group is as likely as another, and attacks are as frequent as in training. Recall and
    false positives are those at the thresholds chosen without the group. The ``threshold`` is the
    one that serves."""
    categories: FamilyMetrics | None = None
    """How well the families of attacks are distinguished; None if they are not."""
    rows_conflicting: int
    """Rows whose features occur both in a normal row and in an attack."""
    rows_duplicated: int = 0
    """Rows with the features of an earlier row. A copy is in the fold and the block of that row."""
