"""Classifiers of scikit-learn that answer with a probability: trees, forests, neighbours, boosting.

Belongs here: their options, and what they have in common. Does not belong here: models that are
linear once fitted (``linear``), networks (``neural``), or LightGBM (``gradient_boosting``).

All are served on one thread, so that sums over trees are taken in one order.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tasks.arrays import Floats, Mask, Matrix
from tasks.detectors.base import Positions, log_odds, occlude
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
"""DetectorKind to class."""


class RandomForestOptions(BaseModel):
    """How a forest is grown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["random_forest"] = "random_forest"
    trees: int = Field(default=100, ge=1)
    """As in the first of the two works, and scikit-learn's default."""


class DecisionTreeOptions(BaseModel):
    """How a tree is grown: to pure leaves, scikit-learn's default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["decision_tree"] = "decision_tree"


class HistGradientBoostingOptions(BaseModel):
    """How scikit-learn's boosted trees are grown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["hist_gradient_boosting"] = "hist_gradient_boosting"
    trees: int = Field(default=200, ge=1)
    """Boosting rounds: twice scikit-learn's default, a guess."""


class AdaBoostOptions(BaseModel):
    """How boosted stumps are grown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["adaboost"] = "adaboost"
    stumps: int = Field(default=100, ge=1)
    """Boosting rounds: twice scikit-learn's default, a guess."""


class NeighboursOptions(BaseModel):
    """How neighbours vote. Serving costs time with the training rows: it keeps all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
class SklearnClassifier:
    """A fitted classifier; the score is the log-odds of the probability that it gives an attack."""

    kind: str
    model: Any
    """Of scikit-learn."""

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Score rows by log-odds, (n_rows,); as few values as there are shares of votes."""
        if not len(inputs):
            return np.zeros(0)
        if self.kind != "hist_gradient_boosting":
            return log_odds(self.model.predict_proba(inputs)[:, 1])
        # It asks OpenMP for every core, however busy, and has no argument against it.
        with _thread_pools().limit(limits=1, user_api="openmp"):
            return log_odds(self.model.predict_proba(inputs)[:, 1])

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Say how far the score falls where a group takes its ordinary values."""
        return occlude(self.anomaly_scores, inputs, typical, groups)

    def save(self, folder: Path, stem: str) -> None:
        """Write the model."""
        model = self.model
        if self.kind == "k_neighbours":  # a tree of neighbours counts how often it was asked
            from sklearn.base import clone

            model = clone(model).fit(model._fit_X, model.classes_[model._y])  # noqa: SLF001 - no other name
        write_sklearn(model, folder / f"{stem}.skops")

    @classmethod
    def load(cls, kind: str, folder: Path, stem: str) -> "SklearnClassifier":
        """Read a stored model of a kind; imports scikit-learn."""
        return cls(kind, read_sklearn(folder / f"{stem}.skops", [CLASSES[kind]]))


@cache
def _thread_pools() -> "ThreadpoolController":
    """Find the thread pools of this process, once: it takes longer than a small batch."""
    import sklearn.ensemble  # loads the pools that matter
    from threadpoolctl import ThreadpoolController

    del sklearn
    return ThreadpoolController()


def fit_sklearn_classifier(
    inputs: Matrix, is_attack: Mask, options: SklearnOptions, seed: int, threads: int = 1
) -> SklearnClassifier:
    """Fit a classifier of scikit-learn that tells attacks from normal traffic.

    Args:
        inputs: (n_rows, n_inputs); forests, single trees and histogram boosting take NaN as a
            missing value.
        is_attack: (n_rows,), both values present.
        options: which, and how.
        seed: of rows and columns drawn for each tree.
        threads: used to fit forests; does not change the result.
    """
    from threadpoolctl import threadpool_limits

    model = _make(options, seed)
    if isinstance(options, RandomForestOptions):
        model.set_params(n_jobs=threads)
    with threadpool_limits(1):  # gradients are summed over threads in any order
        model.fit(inputs, is_attack)
    if isinstance(options, RandomForestOptions):
        model.set_params(n_jobs=1)
    return SklearnClassifier(options.kind, model)


def _make(options: SklearnOptions, seed: int) -> Any:  # noqa: ANN401 - any of scikit-learn's
    """Make the unfitted model."""
    if isinstance(options, RandomForestOptions):
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(options.trees, random_state=seed)
    if isinstance(options, DecisionTreeOptions):
        from sklearn.tree import DecisionTreeClassifier

        return DecisionTreeClassifier(random_state=seed)
    if isinstance(options, HistGradientBoostingOptions):
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            max_iter=options.trees, early_stopping=False, random_state=seed
        )
    if isinstance(options, AdaBoostOptions):
        from sklearn.ensemble import AdaBoostClassifier

        return AdaBoostClassifier(n_estimators=options.stumps, random_state=seed)
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(options.neighbours, algorithm="kd_tree", n_jobs=1)
