"""Several classifiers in one: soft voting and stacking.

Belongs here: joining the members' scores. Does not belong here: the members.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from tasks.arrays import Floats, Mask, Matrix
from tasks.detectors.base import (
    Detector,
    DetectorOptions,
    OccludedDetector,
    log_odds,
    probability,
    write_json,
)
from tasks.detectors.gradient_boosting import LightGBM, LightGBMOptions, fit_lightgbm
from tasks.detectors.sklearn_classifiers import (
    HistGradientBoostingOptions,
    RandomForestOptions,
    SklearnClassifier,
    fit_sklearn_classifier,
)


class EnsembleOptions(DetectorOptions):
    """The members of an ensemble."""

    kind: Literal["voting", "stacking"]
    forest: RandomForestOptions = RandomForestOptions()
    lightgbm: LightGBMOptions = LightGBMOptions()
    boosting: HistGradientBoostingOptions = HistGradientBoostingOptions()


class VotingOptions(EnsembleOptions):
    """Soft voting: the mean of the members' probabilities."""

    kind: Literal["voting"] = "voting"


class StackingOptions(EnsembleOptions):
    """Stacking: a logistic regression on the members' out-of-fold log-odds."""

    kind: Literal["stacking"] = "stacking"
    folds: int = Field(default=3, ge=2)
    """Folds of those log-odds. A guess: one fold more costs a fit of every member."""


@dataclass(frozen=True)
class Ensemble(OccludedDetector):
    """Members, and how their scores are joined; the score is the log-odds of an attack."""

    kind: str
    members: tuple[Detector, ...]
    weights: tuple[float, ...] | None = None
    """Weights of the members' log-odds, and a constant last; None for the mean of their
    probabilities."""

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return log-odds, (n_rows,)."""
        return join([member.anomaly_scores(inputs) for member in self.members], self.weights)

    def save(self, folder: Path, stem: str) -> None:
        """Write each member under its own stem, and the weights as JSON."""
        for member in self.members:
            member.save(folder, f"{stem}-{member.kind}")
        state = {
            "kind": self.kind,
            "members": [member.kind for member in self.members],
            "weights": self.weights,
        }
        write_json(folder / f"{stem}.json", state)

    @classmethod
    def load(cls, folder: Path, stem: str, threads: int = 1) -> "Ensemble":
        """Read the members, and how their scores are joined."""
        state = json.loads((folder / f"{stem}.json").read_bytes())
        members: list[Detector] = [
            LightGBM.load(folder, f"{stem}-{kind}", threads)
            if kind == "lightgbm"
            else SklearnClassifier.load(kind, folder, f"{stem}-{kind}")
            for kind in state["members"]
        ]
        weights = state["weights"]
        return cls(state["kind"], tuple(members), None if weights is None else tuple(weights))


def join(odds: Sequence[Floats], weights: Sequence[float] | None) -> Floats:
    """Join the members' log-odds, (n_rows,) each, row by row."""
    if weights is None:
        total = probability(odds[0])
        for one in odds[1:]:
            total = total + probability(one)
        return log_odds(total / len(odds))
    joined = np.full(len(odds[0]), weights[-1])
    for one, weight in zip(odds, weights[:-1], strict=True):
        joined = joined + weight * one
    return joined


def fit_voting(
    inputs: Matrix, is_attack: Mask, options: VotingOptions, seed: int, threads: int = 1
) -> Ensemble:
    """Fit the members on all rows, to be joined by their mean probability.

    The arguments are those of ``registry.fit_classifier``.
    """
    return Ensemble(options.kind, _fit_members(inputs, is_attack, options, seed, threads))


def fit_stacking(
    inputs: Matrix, is_attack: Mask, options: StackingOptions, seed: int, threads: int = 1
) -> Ensemble:
    """Fit the members on all rows, and a logistic regression on their out-of-fold log-odds.

    The arguments are those of ``registry.fit_classifier``; ``is_attack`` has each value at least
    once for each fold.

    Source: Wolpert 1992, with a linear final estimator.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    odds = np.zeros((len(inputs), 3))
    folds = StratifiedKFold(options.folds, shuffle=True, random_state=seed)
    for others, held_out in folds.split(inputs, is_attack):
        members = _fit_members(inputs[others], is_attack[others], options, seed, threads)
        for column, member in enumerate(members):
            odds[held_out, column] = member.anomaly_scores(inputs[held_out])
    final = LogisticRegression().fit(odds, is_attack)
    return Ensemble(
        kind=options.kind,
        members=_fit_members(inputs, is_attack, options, seed, threads),
        weights=(*map(float, final.coef_[0]), float(final.intercept_[0])),
    )


def _fit_members(
    inputs: Matrix, is_attack: Mask, options: EnsembleOptions, seed: int, threads: int
) -> tuple[Detector, ...]:
    return (
        fit_sklearn_classifier(inputs, is_attack, options.forest, seed, threads),
        fit_lightgbm(inputs, is_attack, options.lightgbm, seed, threads),
        fit_sklearn_classifier(inputs, is_attack, options.boosting, seed, threads),
    )
