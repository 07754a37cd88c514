"""Recipes: short names for training options, such as ``lightgbm+autoencoder``.

Belongs here: training options from a recipe, or from the stored options of a model. Does not belong
here: the names of detectors (``tasks.detectors.names``), or which recipes a retraining fits.
"""

from collections.abc import Mapping

from pydantic import ValidationError

from tasks.detectors.names import read_recipe
from tasks.training.options import TrainingOptions

OWN = " (own options)"
"""Added to the name of a recipe whose options are not the default ones."""


def plan_recipe(recipe: str, seed: int, threads: int) -> TrainingOptions:
    """Return the training options of a recipe.

    Raises:
        ValueError: there is no such recipe.
    """
    classifier, one_class, selection = read_recipe(recipe)
    return TrainingOptions(
        seed=seed,
        threads=threads,
        selection=selection,
        classifier={"kind": classifier},
        one_class={"kind": one_class},
    )


def restore_recipe(
    stored: Mapping[str, object], seed: int, threads: int
) -> tuple[str, TrainingOptions] | None:
    """Return the recipe and the options of a stored model, for a fit on other rows.

    Seed and folds are the current ones, so that all models of a retraining share their folds. None
    where this version of Noctule cannot read the stored options.
    """
    try:
        options = TrainingOptions.model_validate(
            {**stored, "seed": seed, "threads": threads, "folds": TrainingOptions().folds}
        )
    except ValidationError:
        return None
    return name_recipe(options), options


def name_recipe(options: TrainingOptions) -> str:
    """Name the recipe of training options."""
    words: list[str] = [options.classifier.kind, options.one_class.kind]
    if options.selection != "none":
        words.append(options.selection)
    recipe = "+".join(words)
    plain = plan_recipe(recipe, options.seed, options.threads)
    is_plain = options.model_copy(update={"folds": plain.folds}) == plain
    return recipe if is_plain else recipe + OWN
