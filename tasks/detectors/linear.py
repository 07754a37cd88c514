"""Classifiers that are linear once fitted: logistic regression and Bernoulli naive Bayes.

Belongs here: fitting them, and scoring by their weights as a graph of one layer. Does not belong
here: the graph itself (``tasks.networks.graphs``).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from tasks.arrays import Floats, Mask, Matrix, Positions
from tasks.detectors.base import DetectorOptions, sum_groups, write_json
from tasks.networks.graphs import DenseGraph, join_layers


class LogisticRegressionOptions(DetectorOptions):
    """How the weights are fitted."""

    kind: Literal["logistic_regression"] = "logistic_regression"
    penalty: float = Field(default=1.0, gt=0)
    """Weight of the squared weights: scikit-learn's default."""
    max_steps: int = Field(default=1_000, ge=1)
    """Most steps of the solver: ten times scikit-learn's default, which one-hot columns exceed."""


class BernoulliNaiveBayesOptions(DetectorOptions):
    """How the probabilities are counted."""

    kind: Literal["bernoulli_naive_bayes"] = "bernoulli_naive_bayes"
    above: float = 0.0
    """A value above it counts as present: scikit-learn's default."""
    smoothing: float = Field(default=1.0, gt=0)
    """Rows added to every count: scikit-learn's default."""


@dataclass(frozen=True)
class Linear:
    """A weight for each input; the score is the log-odds of an attack."""

    kind: str
    graph: DenseGraph
    """From (n_rows, n_inputs) to (n_rows, 1)."""
    above: float | None = None
    """Inputs become 1 above it and 0 elsewhere; None for inputs as they are."""

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return log-odds, (n_rows,)."""
        return self.graph.run(self._prepare(inputs))[:, 0].astype(np.float64)

    def _prepare(self, inputs: Matrix) -> Matrix:
        return inputs if self.above is None else (inputs > self.above).astype(np.float32)

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Return each group's part of the difference from the score of a typical row."""
        width = inputs.shape[1]
        weights = self.graph.run(np.vstack([np.zeros((1, width)), np.eye(width)]).astype("f4"))
        parts = (self._prepare(inputs) - self._prepare(typical)) * (weights[1:, 0] - weights[0, 0])
        return sum_groups(parts.astype(np.float64), groups)

    def save(self, folder: Path, stem: str) -> None:
        """Write the graph, and the rest as JSON."""
        self.graph.save(folder / f"{stem}.onnx")
        state = {"kind": self.kind, "above": self.above}
        write_json(folder / f"{stem}.json", state, indent=None)

    @classmethod
    def load(cls, folder: Path, stem: str, threads: int = 1) -> "Linear":
        """Read stored weights; imports onnxruntime only."""
        state = json.loads((folder / f"{stem}.json").read_bytes())
        graph = DenseGraph.load(folder / f"{stem}.onnx", threads)
        return cls(state["kind"], graph, state["above"])


def fit_logistic_regression(
    inputs: Matrix,
    is_attack: Mask,
    options: LogisticRegressionOptions,
    seed: int,
    threads: int = 1,
) -> Linear:
    """Fit a weight for each input; see ``registry.fit_classifier``."""
    del seed
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        model = LogisticRegression(C=1.0 / options.penalty, max_iter=options.max_steps).fit(
            inputs.astype(np.float64), is_attack
        )
    graph = join_layers([(model.coef_.T, model.intercept_, False)], threads)
    return Linear(options.kind, graph)


def fit_bernoulli_naive_bayes(
    inputs: Matrix,
    is_attack: Mask,
    options: BernoulliNaiveBayesOptions,
    seed: int,
    threads: int = 1,
) -> Linear:
    """Fit weights from the share of attacks and of normals in which each input is present.

    The arguments are those of ``registry.fit_classifier``.

    Source: McCallum & Nigam 1998, the multi-variate Bernoulli event model.
    """
    del seed
    from sklearn.naive_bayes import BernoulliNB

    model = BernoulliNB(alpha=options.smoothing, binarize=options.above).fit(inputs, is_attack)
    present = model.feature_log_prob_
    absent = np.log1p(-np.exp(present))
    weights = present - absent  # (2, n_inputs)
    constant = model.class_log_prior_ + absent.sum(axis=1)
    kernel, bias = (weights[1] - weights[0])[:, np.newaxis], constant[1:] - constant[:1]
    return Linear(options.kind, join_layers([(kernel, bias, False)], threads), options.above)
