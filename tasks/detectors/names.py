"""The names of detectors, for commands that must not import them, and the form of a recipe.

Belongs here: the names. Does not belong here: their meaning (``registry``).
"""

from typing import Literal, get_args

from tasks.features.names import SELECTIONS, SelectionName

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
"""Fitted on normal rows only."""

RECIPE_FORM = "CLASSIFIER+ONE_CLASS, or CLASSIFIER+ONE_CLASS+SELECTION"
"""The form of a recipe: the parts of a model, each with its default options."""

CLASSIFIER_NAMES: tuple[ClassifierName, ...] = get_args(ClassifierName)
ONE_CLASS_NAMES: tuple[OneClassName, ...] = get_args(OneClassName)


def read_recipe(text: str) -> tuple[ClassifierName, OneClassName, SelectionName]:
    """Read a recipe such as ``lightgbm+autoencoder`` or ``random_forest+mahalanobis+forest``.

    Raises:
        ValueError: it has another form, or an unknown name.
    """
    words = [word.strip() for word in text.split("+")]
    if len(words) not in {2, 3}:
        message = f"{text!r} is no recipe: expected {RECIPE_FORM}"
        raise ValueError(message)
    classifier, one_class, selection = (*words, "none")[:3]
    for word, names, what in (
        (classifier, CLASSIFIER_NAMES, "classifier"),
        (one_class, ONE_CLASS_NAMES, "one-class detector"),
        (selection, SELECTIONS, "selection"),
    ):
        if word not in names:
            message = f"{text!r} is no recipe: {word!r} is no {what}; known are {', '.join(names)}"
            raise ValueError(message)
    return classifier, one_class, selection  # type: ignore[return-value]  # found among the names
