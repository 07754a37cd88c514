"""The three unsupervised detectors of the first work, as it ran them.

Belongs here: isolation forest, local outlier factor and DBSCAN on all columns, and how well what
they find agrees with the labels. Does not belong here: detectors that serve (``tasks.detectors``).

The local outlier factor and DBSCAN label only the rows they are given. Each part of the split is
fitted separately, and the labels of the test part predict nothing about another night.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from expectations.errors import UsageError
from tasks.arrays import Matrix
from tasks.detectors.clustering import find_clusters, find_outliers
from tasks.study.split import SEED, Split

ISOLATION_TREES = 100
"""Trees of the isolation forest, as in the first work."""


class Agreement(BaseModel, frozen=True):
    """How well a partition of the rows agrees with the labels."""

    method: str
    ari_train: float | None = None
    """Adjusted Rand index: 1 for the labels themselves, about 0 for chance."""
    ari_test: float | None = None
    flagged_train: int | None = None
    """Rows that are outliers, or in no cluster."""
    flagged_test: int | None = None
    clusters_train: int | None = None
    """Clusters found; None where the method finds none."""
    refused: str | None = None
    """Why it was not run."""


def evaluate_unsupervised(split: Split) -> tuple[Agreement, ...]:
    """Run the three detectors on a split.

    Source: Hubert & Arabie 1985 for the adjusted Rand index.
    """
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(n_estimators=ISOLATION_TREES, random_state=SEED).fit(split.train)
    return (
        _evaluate("isolation forest", forest.predict, split),
        _evaluate("local outlier factor", lambda part: -1 * find_outliers(part), split),
        _evaluate("DBSCAN", find_clusters, split, has_clusters=True),
    )


def _evaluate(
    method: str,
    label: Callable[[Matrix], npt.NDArray[np.integer]],
    split: Split,
    *,
    has_clusters: bool = False,
) -> Agreement:
    """Compare the labels of a method with those of the file; -1 is an outlier."""
    from sklearn.metrics import adjusted_rand_score

    try:
        train, test = label(split.train), label(split.test)
    except UsageError as refusal:
        return Agreement(method=method, refused=str(refusal))
    return Agreement(
        method=method,
        ari_train=float(adjusted_rand_score(split.train_is_attack, train)),
        ari_test=float(adjusted_rand_score(split.test_is_attack, test)),
        flagged_train=int((train == -1).sum()),
        flagged_test=int((test == -1).sum()),
        clusters_train=int(train.max()) + 1 if has_clusters else None,
    )
