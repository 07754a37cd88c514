"""Classifiers of scikit-learn that give a probability: trees, forests, neighbours, boosting.

Belongs here: their options, and fitting, scoring and storing them. Does not belong here: models
that are linear once fitted (``linear``), networks (``neural_network``), or LightGBM
(``gradient_boosting``).

All of them score on one thread, so that sums over trees have one order.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from pydantic import Field

from tasks.arrays import Floats, Mask, Matrix
from tasks.detectors.base import DetectorOptions, OccludedDetector, fill_empty, log_odds
from tasks.detectors.sklearn_files import read_sklearn, write_sklearn

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

CLASSES = {
    "random_forest": "RandomForestClassifier",
    "decision_tree": "DecisionTreeClassifier",
    "hist_gradient_boosting": "HistGradientBoostingClassifier",
    "adaboost": "AdaBoostClassifier",
    "k_neighbours": "KNeighborsClassifier",
}
"""The class of each kind."""


class RandomForestOptions(DetectorOptions):
    """How a forest is grown."""

    kind: Literal["random_forest"] = "random_forest"
    trees: int = Field(default=100, ge=1)
    """As in the first of the two works, and scikit-learn's default."""


class DecisionTreeOptions(DetectorOptions):
    """How a tree is grown: to pure leaves, scikit-learn's default."""

    kind: Literal["decision_tree"] = "decision_tree"


class HistGradientBoostingOptions(DetectorOptions):
    """How scikit-learn's boosted trees are grown."""

    kind: Literal["hist_gradient_boosting"] = "hist_gradient_boosting"
    trees: int = Field(default=200, ge=1)
    """Boosting rounds: twice scikit-learn's default, a guess."""


class AdaBoostOptions(DetectorOptions):
    """How boosted stumps are grown."""

    kind: Literal["adaboost"] = "adaboost"
    stumps: int = Field(default=100, ge=1)
    """Boosting rounds: twice scikit-learn's default, a guess."""


class NeighboursOptions(DetectorOptions):
    """How neighbours vote. The model keeps all training rows, and scoring time grows with them."""

    kind: Literal["k_neighbours"] = "k_neighbours"
    neighbours: int = Field(default=5, ge=1)
    """scikit-learn's default."""


SklearnOptions: TypeAlias = (
    RandomForestOptions
    | DecisionTreeOptions
    | HistGradientBoostingOptions
    | AdaBoostOptions
    | NeighboursOptions
)


@dataclass(frozen=True)
class SklearnClassifier(OccludedDetector):
    """A fitted classifier; the score is the log-odds of its probability of an attack."""

    kind: str
    model: Any
    """The fitted model of scikit-learn."""

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return log-odds, (n_rows,); rows with the same votes have the same score."""
        if not len(inputs):
            return np.zeros(0)
        if self.kind != "hist_gradient_boosting":
            return log_odds(self.model.predict_proba(inputs)[:, 1])
        # It always asks OpenMP for every core, however busy, and has no argument to limit it.
        with _thread_pools().limit(limits=1, user_api="openmp"):
            return log_odds(self.model.predict_proba(inputs)[:, 1])

    def save(self, folder: Path, stem: str) -> None:
        """Write the model."""
        model = self.model
        if self.kind == "k_neighbours":  # its tree of neighbours counts queries: store a fresh one
            from sklearn.base import clone

            model = clone(model).fit(model._fit_X, model.classes_[model._y])  # noqa: SLF001 - no other name
        write_sklearn(model, folder / f"{stem}.skops")

    @classmethod
    def load(cls, kind: str, folder: Path, stem: str) -> "SklearnClassifier":
        """Read a stored model of a kind; imports scikit-learn."""
        return cls(kind, read_sklearn(folder / f"{stem}.skops", CLASSES[kind]))


@cache
def _thread_pools() -> "ThreadpoolController":
    """Find the thread pools of this process, once: that takes longer than scoring a small batch."""
    import sklearn.ensemble  # loads the pools that matter
    from threadpoolctl import ThreadpoolController

    del sklearn
    return ThreadpoolController()


def fit_sklearn_classifier(
    inputs: Matrix, is_attack: Mask, options: SklearnOptions, seed: int, threads: int = 1
) -> SklearnClassifier:
    """Fit a classifier of scikit-learn that tells attacks from normal traffic.

    The arguments are those of ``registry.fit_classifier``. Forests, single trees and histogram
    boosting take NaN as a missing value.
    """
    from threadpoolctl import threadpool_limits

    model = _make(options, seed)
    if isinstance(options, RandomForestOptions):
        model.set_params(n_jobs=threads)
    with threadpool_limits(1):  # more threads would add up gradients in any order
        model.fit(fill_empty(inputs), is_attack)
    if isinstance(options, RandomForestOptions):
        model.set_params(n_jobs=1)
    return SklearnClassifier(options.kind, model)


def _make(options: SklearnOptions, seed: int) -> Any:  # noqa: ANN401 - any of scikit-learn's
    """Return the unfitted model."""
    from sklearn import ensemble, neighbors, tree

    match options:
        case RandomForestOptions():
            return ensemble.RandomForestClassifier(options.trees, random_state=seed)
        case DecisionTreeOptions():
            return tree.DecisionTreeClassifier(random_state=seed)
        case HistGradientBoostingOptions():
            return ensemble.HistGradientBoostingClassifier(
                max_iter=options.trees, early_stopping=False, random_state=seed
            )
        case AdaBoostOptions():
            return ensemble.AdaBoostClassifier(n_estimators=options.stumps, random_state=seed)
        case NeighboursOptions():
            return neighbors.KNeighborsClassifier(options.neighbours, algorithm="kd_tree", n_jobs=1)
