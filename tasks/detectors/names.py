"""What selections and detectors are called, for commands that must not import them.

Belongs here: the names. Does not belong here: what they stand for (see ``registry`` and
``tasks.select``).
"""

from typing import Literal, get_args

SelectionName = Literal["none", "forest", "rfe", "pca", "autoencoder", "uncorrelated"]
"""``forest``: the columns a random forest ranks highest; ``rfe``: recursive feature elimination;
``pca``: principal components; ``autoencoder``: the codes of one; ``uncorrelated``: without columns
that strongly correlate with an earlier one."""

ClassifierName = Literal[
    "lightgbm",
    "random_forest",
    "decision_tree",
    "hist_gradient_boosting",
    "adaboost",
    "k_neighbours",
    "logistic_regression",
    "bernoulli_naive_bayes",
    "neural_network",
    "voting",
    "stacking",
]
"""Supervised: fitted on attacks and normals."""

OneClassName = Literal[
    "autoencoder", "mahalanobis", "gaussian_mixture", "pca_error", "isolation_forest"
]
"""Fitted on normal rows alone."""

SELECTIONS: tuple[SelectionName, ...] = get_args(SelectionName)
CLASSIFIER_NAMES: tuple[ClassifierName, ...] = get_args(ClassifierName)
ONE_CLASS_NAMES: tuple[OneClassName, ...] = get_args(OneClassName)
