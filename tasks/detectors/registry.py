"""The kinds of detector there are, by name: their options, how they are fitted and read again.

Belongs here: the list, and what all of a kind have in common. Does not belong here: any detector.
The modules of the detectors import their libraries only where they are used, so this one is cheap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field

from expectations.errors import ModelRefusedError
from tasks.arrays import Mask, Matrix
from tasks.detectors.autoencoder import Autoencoder
from tasks.detectors.autoencoder_training import AutoencoderOptions, fit_autoencoder
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
from tasks.detectors.neural import NeuralNetwork, NeuralNetworkOptions, fit_neural_network
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
from tasks.detectors.voters import (
    AdaBoostOptions,
    DecisionTreeOptions,
    HistGradientBoostingOptions,
    NeighboursOptions,
    RandomForestOptions,
    Voter,
    VoterOptions,
    fit_voter,
)

Form = Literal["ordinal", "neural"]
"""Of the encoding: ``ordinal`` are the features as they are, ``neural`` is standardised and
one-hot; see ``tasks.features.encoding``."""

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
class Kind:
    """What is common to the detectors of a kind."""

    options: type[BaseModel]
    fit: Callable[..., Detector]
    """Of a classifier: ``(inputs, is_attack, options, seed, threads)``; of a one-class detector the
    same without ``is_attack``, on normal rows."""
    load: Callable[[Path, str, int], Detector]
    reads: Form = "neural"
    """What it reads where nothing is selected."""


def _voter(options: type[VoterOptions], kind: str, reads: Form) -> Kind:
    """Describe a classifier of scikit-learn."""
    return Kind(
        options, fit_voter, lambda folder, stem, _: Voter.load(kind, folder, stem), reads=reads
    )


CLASSIFIERS: Mapping[str, Kind] = {
    "lightgbm": Kind(LightGBMOptions, fit_lightgbm, LightGBM.load, reads="ordinal"),
    "random_forest": _voter(RandomForestOptions, "random_forest", "ordinal"),
    "decision_tree": _voter(DecisionTreeOptions, "decision_tree", "ordinal"),
    "hist_gradient_boosting": _voter(
        HistGradientBoostingOptions, "hist_gradient_boosting", "ordinal"
    ),
    "adaboost": _voter(AdaBoostOptions, "adaboost", "neural"),
    "k_neighbours": _voter(NeighboursOptions, "k_neighbours", "neural"),
    "logistic_regression": Kind(LogisticRegressionOptions, fit_logistic_regression, Linear.load),
    "bernoulli_naive_bayes": Kind(
        BernoulliNaiveBayesOptions, fit_bernoulli_naive_bayes, Linear.load
    ),
    "neural_network": Kind(NeuralNetworkOptions, fit_neural_network, NeuralNetwork.load),
    "voting": Kind(VotingOptions, fit_voting, Ensemble.load, reads="ordinal"),
    "stacking": Kind(StackingOptions, fit_stacking, Ensemble.load, reads="ordinal"),
}
"""Supervised: fitted on attacks and normals."""

ONE_CLASS: Mapping[str, Kind] = {
    "autoencoder": Kind(AutoencoderOptions, fit_autoencoder, Autoencoder.load),
    "mahalanobis": Kind(MahalanobisOptions, fit_mahalanobis, Mahalanobis.load),
    "gaussian_mixture": Kind(GaussianMixtureOptions, fit_gaussian_mixture, GaussianMixture.load),
    "pca_error": Kind(ComponentErrorOptions, fit_component_error, ComponentError.load),
    "isolation_forest": Kind(IsolationForestOptions, fit_isolation_forest, IsolationForest.load),
}
"""Fitted on normal rows alone."""


def fit_classifier(
    options: ClassifierOptions, inputs: Matrix, is_attack: Mask, seed: int, threads: int = 1
) -> Detector:
    """Fit the classifier that the options are of.

    Args:
        options: of one of ``CLASSIFIERS``.
        inputs: (n_rows, n_inputs).
        is_attack: (n_rows,), both values present.
        seed: of whatever is random in it.
        threads: used to fit; does not change the result.
    """
    return CLASSIFIERS[options.kind].fit(inputs, is_attack, options, seed, threads)


def fit_one_class(
    options: OneClassOptions, normal: Matrix, seed: int, threads: int = 1
) -> Detector:
    """Fit the one-class detector that the options are of, on normal rows."""
    return ONE_CLASS[options.kind].fit(normal, options, seed, threads)


def load_detector(kind: str, folder: Path, stem: str, threads: int = 1) -> Detector:
    """Read a stored detector.

    Raises:
        ModelRefusedError: no detector is called so.
    """
    known = {**CLASSIFIERS, **ONE_CLASS}
    if kind not in known:
        message = (
            f"Cannot load a detector of kind {kind!r}: this version of Noctule knows "
            f"{', '.join(sorted(known))}. Install the version that trained it, or train again."
        )
        raise ModelRefusedError(message)
    return known[kind].load(folder, stem, threads)
