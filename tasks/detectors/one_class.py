"""One-class detectors with a low cost, which grows with the rows: distances from normal traffic.

Belongs here: Mahalanobis distance, Gaussian mixture, the error of principal components, isolation
forest. Does not belong here: the autoencoder, or detectors that compare all pairs of rows
(``clustering``).

Each is fitted on normal rows only. They are the baselines that the autoencoder must outperform.
"""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tasks.arrays import Floats, Matrix, Positions
from tasks.detectors.base import (
    DetectorOptions,
    OccludedDetector,
    mean_squared_errors,
    squared_errors_by_group,
    write_json,
)
from tasks.detectors.sklearn_files import read_sklearn, write_sklearn
from tasks.networks.graphs import DenseGraph, GraphDetector, join_layers

VARIANCE_FLOOR = 1e-3
"""Added to the variance of every input of the mixture, and of the Mahalanobis distance where its
covariance has no inverse. Without it, any change in a column that is constant among normals would
be infinitely far. A guess: a thousandth of the variance of a standardised column."""


class MahalanobisOptions(DetectorOptions):
    """No options: the shrinkage follows from the rows."""

    kind: Literal["mahalanobis"] = "mahalanobis"


class GaussianMixtureOptions(DetectorOptions):
    """Size and training of the mixture."""

    kind: Literal["gaussian_mixture"] = "gaussian_mixture"
    components: int = Field(default=8, ge=1)
    """Gaussian components. A guess: a few services make up most of the traffic."""
    max_rows: int = Field(default=20_000, ge=100)
    """Most rows the mixture is fitted to, drawn at random: the time of a step grows with the rows
    times the square of the inputs. A guess."""
    max_steps: int = Field(default=50, ge=1)
    """Most steps of expectation maximisation. A guess: half of scikit-learn's default."""


class ComponentErrorOptions(DetectorOptions):
    """How many principal components are kept."""

    kind: Literal["pca_error"] = "pca_error"
    share: float = Field(default=0.95, gt=0, lt=1)
    """Share of the variance that the kept components explain. A guess."""


class IsolationForestOptions(DetectorOptions):
    """Size of the forest."""

    kind: Literal["isolation_forest"] = "isolation_forest"
    trees: int = Field(default=200, ge=1)
    """Twice scikit-learn's default, for smoother scores: a guess."""


@dataclass(frozen=True)
class Mahalanobis(OccludedDetector, GraphDetector):
    """The squared Mahalanobis distance from the mean of normal traffic is the score.

    The graph whitens: the squared length of its output is the squared distance.
    """

    kind: str = "mahalanobis"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return squared distances divided by ``n_inputs``, (n_rows,): about 1 for normals."""
        white = self.graph.run(inputs)
        squares: Matrix = np.square(white, out=white).mean(axis=1)
        return squares.astype(np.float64)


def fit_mahalanobis(
    normal: Matrix, options: MahalanobisOptions, seed: int, threads: int = 1
) -> Mahalanobis:
    """Fit mean and covariance of normal rows.

    The arguments are those of ``registry.fit_one_class``.

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
    """Return the matrix that makes columns of this covariance uncorrelated, with variance 1.

    Where some columns have no variance of their own, all get ``VARIANCE_FLOOR`` more.
    """
    try:
        lower = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        lower = np.linalg.cholesky(covariance + VARIANCE_FLOOR * np.eye(len(covariance)))
    whitening: Floats = np.linalg.solve(lower, np.eye(len(lower))).T
    return whitening


@dataclass(frozen=True)
class GaussianMixture(OccludedDetector):
    """Gaussian components of normal traffic; the score is minus the log-density of the nearest.

    In as many dimensions as connections have, the other components add almost nothing to it.
    """

    graph: DenseGraph
    """Whitens by each component; the outputs are side by side."""
    constants: tuple[float, ...]
    """For each component, minus the logarithm of its weight times its density at its centre."""
    kind: str = "gaussian_mixture"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return minus the log-density of the nearest component, (n_rows,)."""
        white = self.graph.run(inputs)
        width = inputs.shape[1]
        squares = np.square(white, out=white).reshape(len(inputs), len(self.constants), width)
        halves = squares.sum(axis=2).astype(np.float64) / 2
        nearest: Floats = (halves + np.array(self.constants)).min(axis=1)
        return nearest

    def save(self, folder: Path, stem: str) -> None:
        """Write the graph, and the constants as JSON."""
        self.graph.save(folder / f"{stem}.onnx")
        write_json(folder / f"{stem}.json", {"constants": self.constants}, indent=None)

    @classmethod
    def load(cls, folder: Path, stem: str, threads: int = 1) -> "GaussianMixture":
        """Read a stored mixture; imports onnxruntime only."""
        state = json.loads((folder / f"{stem}.json").read_bytes())
        graph = DenseGraph.load(folder / f"{stem}.onnx", threads)
        return cls(graph, tuple(state["constants"]))


def fit_gaussian_mixture(
    normal: Matrix, options: GaussianMixtureOptions, seed: int, threads: int = 1
) -> GaussianMixture:
    """Fit Gaussian components to normal rows.

    The arguments are those of ``registry.fit_one_class``; the seed draws rows and first centres.

    Source: Dempster, Laird & Rubin 1977, as in scikit-learn.
    """
    import sklearn.mixture
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    drawn = np.random.default_rng(seed).permutation(len(normal))[: options.max_rows]
    with threadpool_limits(1):
        fitted = sklearn.mixture.GaussianMixture(
            min(options.components, len(drawn)),
            reg_covar=VARIANCE_FLOOR,
            max_iter=options.max_steps,
            random_state=seed,
        )
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            fitted.fit(normal[np.sort(drawn)].astype(np.float64))  # its steps may not be enough
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


@dataclass(frozen=True)
class ComponentError(GraphDetector):
    """The mean squared error of a row rebuilt from principal components of normal traffic.

    The graph rebuilds rows from their components.
    """

    kind: str = "pca_error"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return mean squared errors, (n_rows,)."""
        return mean_squared_errors(inputs, self.graph.run(inputs))

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Return the squared error of each group of inputs, (n_rows, n_groups)."""
        del typical  # the components give what they expect of a row
        return squared_errors_by_group(inputs, self.graph.run(inputs), groups)


def fit_component_error(
    normal: Matrix, options: ComponentErrorOptions, seed: int, threads: int = 1
) -> ComponentError:
    """Fit principal components of normal rows.

    The arguments are those of ``registry.fit_one_class``.

    Source: Jackson & Mudholkar 1979, the residual of principal components.
    """
    del seed
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    rows = normal.astype(np.float64)
    mean, components = rows.mean(axis=0), np.zeros((1, rows.shape[1]))
    if rows.var(axis=0).any():  # else no component explains anything
        with threadpool_limits(1):
            pca = PCA(options.share, svd_solver="full").fit(rows)
        mean, components = pca.mean_, pca.components_
    down = components.T
    layers = [(down, -(mean @ down), False), (components, mean, False)]
    return ComponentError(join_layers(layers, threads))


@dataclass(frozen=True)
class IsolationForest(OccludedDetector):
    """Trees that split at random; the score is higher where fewer splits isolate a row."""

    model: Any
    """The fitted model of scikit-learn."""
    kind: str = "isolation_forest"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return the anomaly score of the paper, in (0, 1), (n_rows,)."""
        if not len(inputs):
            return np.zeros(0)
        scores: Floats = -self.model.score_samples(inputs)
        return scores

    def save(self, folder: Path, stem: str) -> None:
        """Write the model."""
        write_sklearn(self.model, folder / f"{stem}.skops")

    @classmethod
    def load(cls, folder: Path, stem: str, threads: int = 1) -> "IsolationForest":
        """Read a stored forest, which does not use threads; imports scikit-learn."""
        del threads
        return cls(read_sklearn(folder / f"{stem}.skops", "IsolationForest"))


def fit_isolation_forest(
    normal: Matrix, options: IsolationForestOptions, seed: int, threads: int = 1
) -> IsolationForest:
    """Grow trees on normal rows.

    The arguments are those of ``registry.fit_one_class``; threads are not used.

    Source: Liu, Ting & Zhou 2008.
    """
    del threads
    import sklearn.ensemble

    model = sklearn.ensemble.IsolationForest(n_estimators=options.trees, random_state=seed)
    return IsolationForest(model.fit(normal))
