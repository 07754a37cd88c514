"""The kinds of detector by name: their options, and the functions that fit and load them.

Belongs here: the list. Does not belong here: any detector. The detectors' modules import their
libraries only where they use them, so that importing this one is cheap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field

from expectations.errors import ModelRefusedError
from tasks.arrays import Mask, Matrix
from tasks.detectors.autoencoder import Autoencoder, AutoencoderOptions, fit_autoencoder
from tasks.detectors.base import Detector
from tasks.detectors.ensembles import (
    Ensemble,
    StackingOptions,
    VotingOptions,
    fit_stacking,
    fit_voting,
)
from tasks.detectors.gradient_boosting import LightGBM, LightGBMOptions, fit_lightgbm
from tasks.detectors.linear import (
    BernoulliNaiveBayesOptions,
    Linear,
    LogisticRegressionOptions,
    fit_bernoulli_naive_bayes,
    fit_logistic_regression,
)
from tasks.detectors.neural_network import NeuralNetwork, NeuralNetworkOptions, fit_neural_network
from tasks.detectors.one_class import (
    ComponentError,
    ComponentErrorOptions,
    GaussianMixture,
    GaussianMixtureOptions,
    IsolationForest,
    IsolationForestOptions,
    Mahalanobis,
    MahalanobisOptions,
    fit_component_error,
    fit_gaussian_mixture,
    fit_isolation_forest,
    fit_mahalanobis,
)
from tasks.detectors.sklearn_classifiers import (
    AdaBoostOptions,
    DecisionTreeOptions,
    HistGradientBoostingOptions,
    NeighboursOptions,
    RandomForestOptions,
    SklearnClassifier,
    SklearnOptions,
    fit_sklearn_classifier,
)

InputForm = Literal["ordinal", "neural"]
"""Form of the encoded rows: ``ordinal`` has the features as they are, ``neural`` standardised and
one-hot columns; see ``tasks.features.encoding``."""

ClassifierOptions: TypeAlias = Annotated[
    LightGBMOptions
    | RandomForestOptions
    | DecisionTreeOptions
    | HistGradientBoostingOptions
    | AdaBoostOptions
    | NeighboursOptions
    | LogisticRegressionOptions
    | BernoulliNaiveBayesOptions
    | NeuralNetworkOptions
    | VotingOptions
    | StackingOptions,
    Field(discriminator="kind"),
]
OneClassOptions: TypeAlias = Annotated[
    AutoencoderOptions
    | MahalanobisOptions
    | GaussianMixtureOptions
    | ComponentErrorOptions
    | IsolationForestOptions,
    Field(discriminator="kind"),
]


@dataclass(frozen=True)
class DetectorKind:
    """The options and functions of one kind of detector."""

    options: type[BaseModel]
    fit: Callable[..., Detector]
    """Fits a classifier by ``(inputs, is_attack, options, seed, threads)``; a one-class detector by
    the same without ``is_attack``, on normal rows."""
    load: Callable[[Path, str, int], Detector]
    reads: InputForm = "neural"
    """The form it reads where no columns are selected."""


def _sklearn(options: type[SklearnOptions], reads: InputForm) -> DetectorKind:
    """Return the entry of a classifier of scikit-learn."""
    kind = options.model_fields["kind"].default
    return DetectorKind(
        options,
        fit_sklearn_classifier,
        lambda folder, stem, _: SklearnClassifier.load(kind, folder, stem),
        reads=reads,
    )


CLASSIFIERS: Mapping[str, DetectorKind] = {
    "lightgbm": DetectorKind(LightGBMOptions, fit_lightgbm, LightGBM.load, reads="ordinal"),
    "random_forest": _sklearn(RandomForestOptions, "ordinal"),
    "decision_tree": _sklearn(DecisionTreeOptions, "ordinal"),
    "hist_gradient_boosting": _sklearn(HistGradientBoostingOptions, "ordinal"),
    "adaboost": _sklearn(AdaBoostOptions, "neural"),
    "k_neighbours": _sklearn(NeighboursOptions, "neural"),
    "logistic_regression": DetectorKind(
        LogisticRegressionOptions, fit_logistic_regression, Linear.load
    ),
    "bernoulli_naive_bayes": DetectorKind(
        BernoulliNaiveBayesOptions, fit_bernoulli_naive_bayes, Linear.load
    ),
    "neural_network": DetectorKind(NeuralNetworkOptions, fit_neural_network, NeuralNetwork.load),
    "voting": DetectorKind(VotingOptions, fit_voting, Ensemble.load, reads="ordinal"),
    "stacking": DetectorKind(StackingOptions, fit_stacking, Ensemble.load, reads="ordinal"),
}
"""Supervised: fitted on attacks and normals."""

ONE_CLASS: Mapping[str, DetectorKind] = {
    "autoencoder": DetectorKind(AutoencoderOptions, fit_autoencoder, Autoencoder.load),
    "mahalanobis": DetectorKind(MahalanobisOptions, fit_mahalanobis, Mahalanobis.load),
    "gaussian_mixture": DetectorKind(
        GaussianMixtureOptions, fit_gaussian_mixture, GaussianMixture.load
    ),
    "pca_error": DetectorKind(ComponentErrorOptions, fit_component_error, ComponentError.load),
    "isolation_forest": DetectorKind(
        IsolationForestOptions, fit_isolation_forest, IsolationForest.load
    ),
}
"""Fitted on normal rows only."""


def fit_classifier(
    options: ClassifierOptions, inputs: Matrix, is_attack: Mask, seed: int, threads: int = 1
) -> Detector:
    """Fit the classifier of the options' kind.

    Args:
        options: of a kind in ``CLASSIFIERS``.
        inputs: (n_rows, n_inputs), in the form of ``DetectorKind.reads``; no NaN in ``neural``.
        is_attack: (n_rows,), both values present.
        seed: of all random choices; some kinds make none.
        threads: used to score, and to fit where that does not change the result.
    """
    return CLASSIFIERS[options.kind].fit(inputs, is_attack, options, seed, threads)


def fit_one_class(
    options: OneClassOptions, normal: Matrix, seed: int, threads: int = 1
) -> Detector:
    """Fit the one-class detector of the options' kind.

    Args:
        options: of a kind in ``ONE_CLASS``.
        normal: (n_rows, n_inputs) of normal rows, no NaN, at least 2.
        seed: of all random choices; some kinds make none.
        threads: used to score; the fit runs on one thread, to be repeatable.
    """
    return ONE_CLASS[options.kind].fit(normal, options, seed, threads)


def load_detector(kind: str, folder: Path, stem: str, threads: int = 1) -> Detector:
    """Read a stored detector.

    Raises:
        ModelRefusedError: there is no such kind.
    """
    known = {**CLASSIFIERS, **ONE_CLASS}
    if kind not in known:
        message = (
            f"Cannot load a detector of kind {kind!r}: this version of Noctule knows "
            f"{', '.join(sorted(known))}. Install the version that trained it, or train again."
        )
        raise ModelRefusedError(message)
    return known[kind].load(folder, stem, threads)
