"""The second stage: which family of attack a flagged connection looks like, if it is an attack.

Belongs here: the fitted trees, their files, and what they say of connections. Does not belong here:
the choice of the cut below which a family is not named (see ``tasks.training.families``), or any
score.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from tasks.arrays import Floats, Matrix
from tasks.detectors.gradient_boosting import booster_text

if TYPE_CHECKING:
    import lightgbm

FAMILY_FILE = "category.json"
TREES_FILE = "category.txt"

UNKNOWN = "unknown"
"""The category of a connection whose family cannot be told with enough confidence."""

ROUNDS = 40
"""Boosting rounds, each a tree a family. A guess: families are far apart, and each tree is paid for
with every flagged connection."""
LEARNING_RATE = 0.15
LEAVES = 15

FAMILY_SCHEMA = pl.Schema(
    {
        "attack_category": pl.String,
        "category_probability": pl.Float64,
        "attack_technique": pl.String,
    }
)
"""What is said of a flagged connection; all null from a model that was taught no family."""


class FamilyCard(BaseModel):
    """What ``category.json`` holds."""

    model_config = ConfigDict(frozen=True)

    families: tuple[str, ...] = Field(min_length=2)
    """In the order of the trees' outputs."""
    temperature: float = Field(gt=0)
    """What the outputs are divided by before they become probabilities; see
    ``tasks.training.families``.

    Source: Guo, Pleiss, Sun and Weinberger 2017, section 4.2."""
    cut: float = Field(ge=0)
    """A family is named where its probability is at least this; above 1 for none."""
    techniques: dict[str, str] = {}
    """Of a family, where it has one: the MITRE ATT&CK technique."""


@dataclass(frozen=True)
class FamilyModel:
    """Boosted trees with an output for each family."""

    card: FamilyCard
    booster: "lightgbm.Booster"
    threads: int = 1

    def name(self, ordinal: Matrix) -> pl.DataFrame:
        """Name the family each connection looks like.

        Args:
            ordinal: (n_rows, n_features), as ``Encoded.ordinal``.

        Returns:
            One row per connection: ``FAMILY_SCHEMA``. The probability is that of the likeliest
            family, given that the connection is an attack; where it is below the cut the category
            is ``UNKNOWN``, and there is no technique. A row does not depend on the others.
        """
        raw = raw_outputs(self.booster, ordinal, self.threads)
        chance = probabilities(raw, self.card.temperature)
        likeliest = chance.argmax(axis=1) if len(chance) else np.zeros(0, dtype=np.intp)
        highest = chance[np.arange(len(chance)), likeliest]
        names = np.array([*self.card.families, UNKNOWN])
        chosen = names[np.where(highest >= self.card.cut, likeliest, len(self.card.families))]
        category = pl.Series("attack_category", chosen.tolist(), dtype=pl.String)
        technique = category.replace_strict(self.card.techniques, default=None)
        return pl.DataFrame(
            [
                category,
                pl.Series("category_probability", highest, dtype=pl.Float64),
                technique.cast(pl.String).alias("attack_technique"),
            ],
            schema=FAMILY_SCHEMA,
        )

    def save(self, folder: Path) -> None:
        """Write the trees as text and the rest as sorted JSON."""
        (folder / TREES_FILE).write_text(booster_text(self.booster), encoding="utf-8")
        card = json.dumps(self.card.model_dump(mode="json"), sort_keys=True, indent=1)
        (folder / FAMILY_FILE).write_text(card + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> "FamilyModel | None":
        """Read the second stage of a stored model; None where it has none."""
        if not (folder / FAMILY_FILE).exists():
            return None
        import lightgbm

        card = FamilyCard.model_validate_json((folder / FAMILY_FILE).read_bytes())
        text = (folder / TREES_FILE).read_text(encoding="utf-8")
        return cls(card, lightgbm.Booster(model_str=text), threads)


def fit_trees(
    ordinal: Matrix, family: npt.NDArray[np.intp], families: int, seed: int, threads: int
) -> "lightgbm.Booster":
    """Fit trees that tell families of attack apart.

    A row weighs by the inverse square root of its family's size: rare families count for more than
    their rows, and floods are not forgotten.

    Args:
        ordinal: (n_attacks, n_features).
        family: (n_attacks,), each attack's family, from 0.
        families: how many there are.
        seed: of LightGBM.
        threads: used to fit; does not change the result.
    """
    import lightgbm

    settings: dict[str, Any] = {
        "objective": "multiclass",
        "num_class": families,
        "num_leaves": LEAVES,
        "learning_rate": LEARNING_RATE,
        "feature_fraction": 0.5,
        "min_data_in_leaf": 5,
        "seed": seed,
        "num_threads": threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    weight = 1.0 / np.sqrt(np.maximum(np.bincount(family, minlength=families), 1))
    data = lightgbm.Dataset(ordinal, label=family, weight=weight[family])
    booster = lightgbm.train(settings, data, num_boost_round=ROUNDS)
    booster.free_dataset()
    return booster


def raw_outputs(booster: "lightgbm.Booster", ordinal: Matrix, threads: int) -> Floats:
    """Return the trees' outputs, (n_rows, n_families)."""
    if not len(ordinal):
        return np.zeros((0, booster.num_model_per_iteration()))
    outputs: Floats = booster.predict(ordinal, num_threads=threads, raw_score=True)
    return outputs


def probabilities(raw: Floats, temperature: float) -> Floats:
    """Turn outputs into probabilities, (n_rows, n_families); each row sums to 1."""
    if not len(raw):
        return raw
    # polars takes exponentials one by one; numpy's vectorised loops do not promise a row's own.
    scaled = (raw - raw.max(axis=1, keepdims=True)) / temperature
    powers = pl.Series(scaled.ravel()).exp().to_numpy().reshape(raw.shape)
    chance: Floats = powers / powers.sum(axis=1, keepdims=True)
    return chance
