"""A recipe gives training options, and a stored model gives its recipe back."""

import pytest

from tasks.detectors.gradient_boosting import LightGBMOptions
from tasks.detectors.one_class import MahalanobisOptions
from tasks.retraining.recipes import name_recipe, plan_recipe, restore_recipe
from tasks.training.options import SERVED, TrainingOptions


@pytest.mark.parametrize("recipe", ["lightgbm+autoencoder", "random_forest+mahalanobis+forest"])
def test_a_recipe_keeps_its_name(recipe: str) -> None:
    options = plan_recipe(recipe, seed=7, threads=2)
    assert (options.seed, options.threads) == (7, 2)
    assert name_recipe(options) == recipe


def test_the_default_recipe_is_the_default_training() -> None:
    assert plan_recipe("lightgbm+autoencoder", seed=42, threads=1) == TrainingOptions()
    assert TrainingOptions().classifier == SERVED


def test_a_champion_is_restored_with_its_own_options_and_the_current_folds() -> None:
    fitted = TrainingOptions(
        seed=1,
        folds=2,
        classifier=LightGBMOptions(trees=20),
        one_class=MahalanobisOptions(),
    )
    stored = fitted.model_dump(mode="json")
    again = restore_recipe(stored, seed=9, threads=1)
    assert again is not None
    recipe, options = again
    assert recipe == "lightgbm+mahalanobis (own options)"
    assert options == fitted.model_copy(update={"seed": 9, "folds": TrainingOptions().folds})


def test_a_model_of_an_earlier_version_is_restored_as_it_was_fitted() -> None:
    stored = TrainingOptions().model_dump(mode="json")
    del stored["classifier"]["outliers"]
    again = restore_recipe(stored, seed=42, threads=1)
    assert again is not None
    assert again[1].classifier == LightGBMOptions()


@pytest.mark.parametrize("stored", [{"classifier": {"kind": "oracle"}}, {"trees": 3}])
def test_unreadable_options_give_no_recipe(stored: dict[str, object]) -> None:
    assert restore_recipe(stored, seed=1, threads=1) is None
