"""The three unsupervised detectors of the first work, as it ran them.

Belongs here: isolation forest, local outlier factor and DBSCAN on all columns, and how well what
they find agrees with the labels. Does not belong here: detectors that serve (``tasks.detectors``).

The local outlier factor and DBSCAN label just the rows they are given: each part of the split is
fitted by itself, and the labels of the test part say nothing about a next night.
"""

import numpy as np
from pydantic import BaseModel, ConfigDict

from expectations.errors import UsageError
from tasks.detectors.clustering import find_clusters, find_outliers
from tasks.study.split import SEED, Split

ISOLATION_TREES = 100
"""As in the first work."""


class Agreement(BaseModel):
    """How well a partition of the rows agrees with the labels."""

    model_config = ConfigDict(frozen=True)

    method: str
    ari_train: float | None
    """Adjusted Rand index: 1 for the labels themselves, about 0 for chance."""
    ari_test: float | None
    flagged_train: int | None
    """Rows taken for outliers, or in no cluster."""
    flagged_test: int | None
    clusters_train: int | None = None
    """That were found; None where the method finds none."""
    refused: str | None = None
    """Why it was not run."""


def evaluate_unsupervised(split: Split) -> tuple[Agreement, ...]:
    """Run the three on a split.

    Source: Hubert & Arabie 1985 for the adjusted Rand index.
    """
    return (_judge_isolation(split), _judge_outliers(split), _judge_clusters(split))


def _judge_isolation(split: Split) -> Agreement:
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=ISOLATION_TREES, random_state=SEED).fit(split.train)
    train, test = (forest.predict(part) == -1 for part in (split.train, split.test))
    return Agreement(
        method="isolation forest",
        ari_train=_ari(split.train_is_attack, train),
        ari_test=_ari(split.test_is_attack, test),
        flagged_train=int(train.sum()),
        flagged_test=int(test.sum()),
    )


def _judge_outliers(split: Split) -> Agreement:
    try:
        train, test = find_outliers(split.train), find_outliers(split.test)
    except UsageError as refusal:
        return _refused("local outlier factor", refusal)
    return Agreement(
        method="local outlier factor",
        ari_train=_ari(split.train_is_attack, train),
        ari_test=_ari(split.test_is_attack, test),
        flagged_train=int(train.sum()),
        flagged_test=int(test.sum()),
    )


def _judge_clusters(split: Split) -> Agreement:
    try:
        train, test = find_clusters(split.train), find_clusters(split.test)
    except UsageError as refusal:
        return _refused("DBSCAN", refusal)
    return Agreement(
        method="DBSCAN",
        ari_train=_ari(split.train_is_attack, train),
        ari_test=_ari(split.test_is_attack, test),
        flagged_train=int((train == -1).sum()),
        flagged_test=int((test == -1).sum()),
        clusters_train=int(train.max()) + 1,
    )


def _refused(method: str, refusal: UsageError) -> Agreement:
    return Agreement(
        method=method,
        ari_train=None,
        ari_test=None,
        flagged_train=None,
        flagged_test=None,
        refused=str(refusal),
    )


def _ari(truth: np.ndarray, found: np.ndarray) -> float:
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(truth, found))
