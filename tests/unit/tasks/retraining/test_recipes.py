"""Recipes: what is fitted again is what was fitted, on the folds of today."""

import pytest

from tasks.detectors.gradient_boosting import LightGBMOptions
from tasks.detectors.one_class import MahalanobisOptions
from tasks.retraining.recipes import name_recipe, plan_again, plan_recipe
from tasks.training.options import SERVED, TrainingOptions


@pytest.mark.parametrize("recipe", ["lightgbm+autoencoder", "random_forest+mahalanobis+forest"])
def test_a_recipe_is_named_as_it_is_written(recipe: str) -> None:
    options = plan_recipe(recipe, seed=7, threads=2)
    assert (options.seed, options.threads) == (7, 2)
    assert name_recipe(options) == recipe


def test_the_default_recipe_is_the_default_training() -> None:
    assert plan_recipe("lightgbm+autoencoder", seed=42, threads=1) == TrainingOptions()
    assert TrainingOptions().classifier == SERVED


def test_a_champion_is_planned_again_with_its_own_options_and_the_folds_of_today() -> None:
    fitted = TrainingOptions(
        seed=1,
        folds=2,
        classifier=LightGBMOptions(trees=20),
        one_class=MahalanobisOptions(),
    )
    stored = fitted.model_dump(mode="json")
    again = plan_again(stored, seed=9, threads=1)
    assert again is not None
    recipe, options = again
    assert recipe == "lightgbm+mahalanobis (own options)"
    assert options == fitted.model_copy(update={"seed": 9, "folds": TrainingOptions().folds})


def test_a_model_of_before_is_planned_as_it_was_fitted() -> None:
    stored = TrainingOptions().model_dump(mode="json")
    del stored["classifier"]["outliers"]
    again = plan_again(stored, seed=42, threads=1)
    assert again is not None
    assert again[1].classifier == LightGBMOptions()


@pytest.mark.parametrize("stored", [{"classifier": {"kind": "oracle"}}, {"trees": 3}])
def test_options_of_another_version_cannot_be_planned(stored: dict[str, object]) -> None:
    assert plan_again(stored, seed=1, threads=1) is None
