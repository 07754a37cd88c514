"""Several classifiers in one: soft voting and stacking.

Belongs here: joining the members' answers. Does not belong here: the members.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tasks.arrays import Floats, Mask, Matrix
from tasks.detectors.base import Detector, Positions, log_odds, occlude, probability
from tasks.detectors.gradient_boosting import LightGBM, LightGBMOptions, fit_lightgbm
from tasks.detectors.sklearn_classifiers import (
    HistGradientBoostingOptions,
    RandomForestOptions,
    SklearnClassifier,
    fit_sklearn_classifier,
)


class VotingOptions(BaseModel):
    """Who votes: each with the same weight, by probability."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["voting"] = "voting"
    forest: RandomForestOptions = RandomForestOptions()
    lightgbm: LightGBMOptions = LightGBMOptions()
    boosting: HistGradientBoostingOptions = HistGradientBoostingOptions()


class StackingOptions(BaseModel):
    """Who answers, and how often the answers are made out of fold for the one that joins them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["stacking"] = "stacking"
    forest: RandomForestOptions = RandomForestOptions()
    lightgbm: LightGBMOptions = LightGBMOptions()
    boosting: HistGradientBoostingOptions = HistGradientBoostingOptions()
    folds: int = Field(default=3, ge=2)
    """A guess: each one more costs a fit of every member."""


@dataclass(frozen=True)
class Ensemble:
    """Members and how their answers are joined; the score is the log-odds of an attack."""

    kind: str
    members: tuple[Detector, ...]
    weights: tuple[float, ...] | None = None
    """Of each member's log-odds, and last of all a constant; None for the mean of their
    probabilities."""

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Score rows by log-odds, (n_rows,)."""
        return join([member.anomaly_scores(inputs) for member in self.members], self.weights)

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Say how far the score falls where a group takes its ordinary values."""
        return occlude(self.anomaly_scores, inputs, typical, groups)

    def save(self, folder: Path, stem: str) -> None:
        """Write every member under a stem of its own, and the weights as JSON."""
        for member in self.members:
            member.save(folder, f"{stem}-{member.kind}")
        state = {
            "kind": self.kind,
            "members": [member.kind for member in self.members],
            "weights": self.weights,
        }
        (folder / f"{stem}.json").write_text(json.dumps(state, sort_keys=True, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path, stem: str, threads: int = 1) -> "Ensemble":
        """Read the members and how they are joined."""
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
    """Join the members' log-odds, (n_rows,) each; element by element, so that rows stay apart."""
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
    """Fit the members on all rows; they vote by probability.

    Args:
        inputs: (n_rows, n_inputs).
        is_attack: (n_rows,), both values present.
        options: who votes.
        seed: of each member.
        threads: used to fit and to serve.
    """
    return Ensemble(options.kind, _fit_members(inputs, is_attack, options, seed, threads))


def fit_stacking(
    inputs: Matrix, is_attack: Mask, options: StackingOptions, seed: int, threads: int = 1
) -> Ensemble:
    """Fit the members on all rows, and a logistic regression on their out-of-fold log-odds.

    Args:
        inputs: (n_rows, n_inputs).
        is_attack: (n_rows,), each value at least as often as there are folds.
        options: who answers.
        seed: of the folds and of each member.
        threads: used to fit and to serve.

    Source: Wolpert 1992, with a linear joiner.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    odds = np.zeros((len(inputs), 3))
    folds = StratifiedKFold(options.folds, shuffle=True, random_state=seed)
    for others, judged in folds.split(inputs, is_attack):
        members = _fit_members(inputs[others], is_attack[others], options, seed, threads)
        for column, member in enumerate(members):
            odds[judged, column] = member.anomaly_scores(inputs[judged])
    joiner = LogisticRegression().fit(odds, is_attack)
    return Ensemble(
        kind=options.kind,
        members=_fit_members(inputs, is_attack, options, seed, threads),
        weights=(*map(float, joiner.coef_[0]), float(joiner.intercept_[0])),
    )


def _fit_members(
    inputs: Matrix,
    is_attack: Mask,
    options: VotingOptions | StackingOptions,
    seed: int,
    threads: int,
) -> tuple[Detector, ...]:
    return (
        fit_sklearn_classifier(inputs, is_attack, options.forest, seed, threads),
        fit_lightgbm(inputs, is_attack, options.lightgbm, seed, threads),
        fit_sklearn_classifier(inputs, is_attack, options.boosting, seed, threads),
    )
