"""One-class detectors that cost little and scale: how far a row lies from normal traffic.

Belongs here: Mahalanobis distance, Gaussian mixture, the error of principal components, isolation
forest. Does not belong here: the autoencoder, or what needs all pairs of rows (``clustering``).

Each reads normal rows only, so an autoencoder has to earn its keep against them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tasks.arrays import Floats, Matrix
from tasks.detectors.base import Positions, occlude, sum_groups
from tasks.detectors.sklearn_files import read_sklearn, write_sklearn
from tasks.networks.graphs import DenseGraph, GraphDetector, join_layers

VARIANCE_FLOOR = 1e-3
"""Added to the variance of every input, in the mixture: a column that never varied among normals
would else make any departure infinitely far. A guess: a thousandth of a standardised column's."""


class MahalanobisOptions(BaseModel):
    """Nothing to choose: the shrinkage follows from the rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mahalanobis"] = "mahalanobis"


class GaussianMixtureOptions(BaseModel):
    """How many clouds of normal traffic there are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["gaussian_mixture"] = "gaussian_mixture"
    components: int = Field(default=8, ge=1)
    """A guess: a few services make most of the traffic."""
    max_rows: int = Field(default=20_000, ge=100)
    """Most rows the mixture is fitted to, drawn at random: a step of the fit costs time with rows
    times the square of the inputs. A guess."""
    max_steps: int = Field(default=50, ge=1)
    """Most steps of expectation maximisation. A guess: half of scikit-learn's default."""


class ComponentErrorOptions(BaseModel):
    """How much of the normal traffic the components rebuild."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["pca_error"] = "pca_error"
    share: float = Field(default=0.95, gt=0, lt=1)
    """Of the variance that the components kept explain. A guess."""


class IsolationForestOptions(BaseModel):
    """How many trees isolate rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["isolation_forest"] = "isolation_forest"
    trees: int = Field(default=200, ge=1)
    """Twice scikit-learn's default. A guess: scores get smoother."""


@dataclass(frozen=True)
class Mahalanobis(GraphDetector):
    """Distance from the mean of normal traffic, in its own spread; the score is its square.

    The graph whitens: the squared length of its output is the squared distance.
    """

    kind: str = "mahalanobis"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return squared distances by the number of inputs, (n_rows,): about 1 for normals."""
        white = self.graph.run(inputs)
        squares: Matrix = np.square(white, out=white).mean(axis=1)
        return squares.astype(np.float64)

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Say how far the score falls where a group takes its ordinary values."""
        return occlude(self.anomaly_scores, inputs, typical, groups)


def fit_mahalanobis(
    normal: Matrix, options: MahalanobisOptions, seed: int, threads: int = 1
) -> Mahalanobis:
    """Fit mean and covariance of normal rows.

    Args:
        normal: (n_rows, n_inputs), no NaN, at least 2.
        options: nothing.
        seed: not used; nothing is drawn.
        threads: used to serve.

    Source: Mahalanobis 1936; the covariance is shrunk as in Ledoit & Wolf 2004.
    """
    del options, seed
    from sklearn.covariance import LedoitWolf
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        fitted = LedoitWolf(store_precision=False).fit(normal.astype(np.float64))
        whitening = _whiten(fitted.covariance_)
    return Mahalanobis(join_layers([(whitening, -(fitted.location_ @ whitening), False)], threads))


def _whiten(covariance: Floats) -> Floats:
    """Return the matrix that makes columns of this covariance uncorrelated, each of spread 1."""
    lower = np.linalg.cholesky(covariance)
    whitening: Floats = np.linalg.solve(lower, np.eye(len(lower))).T
    return whitening


@dataclass(frozen=True)
class GaussianMixture:
    """Clouds of normal traffic; the score is minus the logarithm of the density of the nearest.

    In as many dimensions as connections have, the other clouds add next to nothing to it.
    """

    graph: DenseGraph
    """Whitens by every component, side by side."""
    constants: tuple[float, ...]
    """Of each component: minus the logarithm of its weight times its density at its centre."""
    kind: str = "gaussian_mixture"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return minus the log-density of the nearest component, (n_rows,)."""
        white = self.graph.run(inputs)
        width = inputs.shape[1]
        squares = np.square(white, out=white).reshape(len(inputs), len(self.constants), width)
        halves = squares.sum(axis=2).astype(np.float64) / 2
        nearest: Floats = (halves + np.array(self.constants)).min(axis=1)
        return nearest

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Say how far the score falls where a group takes its ordinary values."""
        return occlude(self.anomaly_scores, inputs, typical, groups)

    def save(self, folder: Path, stem: str) -> None:
        """Write the graph, and the constants as JSON."""
        self.graph.save(folder / f"{stem}.onnx")
        state = {"constants": self.constants}
        (folder / f"{stem}.json").write_text(json.dumps(state, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path, stem: str, threads: int = 1) -> "GaussianMixture":
        """Read a stored mixture; imports onnxruntime only."""
        state = json.loads((folder / f"{stem}.json").read_bytes())
        graph = DenseGraph.load(folder / f"{stem}.onnx", threads)
        return cls(graph, tuple(state["constants"]))


def fit_gaussian_mixture(
    normal: Matrix, options: GaussianMixtureOptions, seed: int, threads: int = 1
) -> GaussianMixture:
    """Fit clouds to normal rows.

    Args:
        normal: (n_rows, n_inputs), no NaN, at least as many as components.
        options: how many clouds.
        seed: of the rows drawn and of the first centres.
        threads: used to serve.

    Source: Dempster, Laird & Rubin 1977, as in scikit-learn.
    """
    import sklearn.mixture
    from threadpoolctl import threadpool_limits

    drawn = np.random.default_rng(seed).permutation(len(normal))[: options.max_rows]
    with threadpool_limits(1):
        fitted = sklearn.mixture.GaussianMixture(
            min(options.components, len(drawn)),
            reg_covar=VARIANCE_FLOOR,
            max_iter=options.max_steps,
            random_state=seed,
        )
        _fit_quietly(fitted, normal[np.sort(drawn)].astype(np.float64))
        whitenings = [_whiten(covariance) for covariance in fitted.covariances_]
    kernel = np.hstack(whitenings)
    bias = np.concatenate(
        [-(mean @ one) for mean, one in zip(fitted.means_, whitenings, strict=True)]
    )
    at_centre = [
        np.log(weight) + np.log(np.diag(one)).sum() - one.shape[0] / 2 * np.log(2 * np.pi)
        for weight, one in zip(fitted.weights_, whitenings, strict=True)
    ]
    return GaussianMixture(
        join_layers([(kernel, bias, False)], threads), tuple(-float(one) for one in at_centre)
    )


def _fit_quietly(model: Any, rows: Floats) -> None:  # noqa: ANN401 - any of scikit-learn's
    """Fit a model that need not have come to rest when its steps are used up."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows)


@dataclass(frozen=True)
class ComponentError(GraphDetector):
    """What principal components of normal traffic leave of a row; the score is its mean square.

    The graph rebuilds rows from their components.
    """

    kind: str = "pca_error"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return mean squared errors, (n_rows,)."""
        left = inputs - self.graph.run(inputs)
        errors: Matrix = np.square(left, out=left).mean(axis=1)
        return errors.astype(np.float64)

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Return the squared error of each group of inputs, (n_rows, n_groups)."""
        del typical  # what it expects of a row, it says itself
        errors = np.square(inputs - self.graph.run(inputs)).astype(np.float64)
        return sum_groups(errors, groups)


def fit_component_error(
    normal: Matrix, options: ComponentErrorOptions, seed: int, threads: int = 1
) -> ComponentError:
    """Fit principal components of normal rows.

    Args:
        normal: (n_rows, n_inputs), no NaN, at least 2.
        options: how much they explain.
        seed: not used; the whole decomposition is computed.
        threads: used to serve.

    Source: Jackson & Mudholkar 1979, the residual of principal components.
    """
    del seed
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        pca = PCA(options.share, svd_solver="full").fit(normal.astype(np.float64))
    down = pca.components_.T
    layers = [
        (down, -(pca.mean_ @ down), False),
        (pca.components_, pca.mean_, False),
    ]
    return ComponentError(join_layers(layers, threads))


@dataclass(frozen=True)
class IsolationForest:
    """Trees that split at random; the score is higher the sooner a row is alone."""

    model: Any
    """Of scikit-learn."""
    kind: str = "isolation_forest"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return the anomaly score of the paper, in (0, 1), (n_rows,)."""
        if not len(inputs):
            return np.zeros(0)
        scores: Floats = -self.model.score_samples(inputs)
        return scores

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Say how far the score falls where a group takes its ordinary values."""
        return occlude(self.anomaly_scores, inputs, typical, groups)

    def save(self, folder: Path, stem: str) -> None:
        """Write the model."""
        write_sklearn(self.model, folder / f"{stem}.skops")

    @classmethod
    def load(cls, folder: Path, stem: str, threads: int = 1) -> "IsolationForest":
        """Read a stored forest; imports scikit-learn. Threads are not used."""
        del threads
        return cls(read_sklearn(folder / f"{stem}.skops", ["IsolationForest"]))


def fit_isolation_forest(
    normal: Matrix, options: IsolationForestOptions, seed: int, threads: int = 1
) -> IsolationForest:
    """Grow trees on normal rows.

    Args:
        normal: (n_rows, n_inputs), no NaN.
        options: how many.
        seed: of the rows, columns and cuts drawn.
        threads: not used; a tree of 256 rows is grown at once.

    Source: Liu, Ting & Zhou 2008.
    """
    del threads
    import sklearn.ensemble

    model = sklearn.ensemble.IsolationForest(n_estimators=options.trees, random_state=seed)
    return IsolationForest(model.fit(normal))
