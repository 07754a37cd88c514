"""The family model: it names the family of attacks that a flagged connection looks like.

Belongs here: its trees, its files, and naming. Does not belong here: the choice of the probability
below which no family is named (``tasks.training.families``), or any score.

Its files and columns say ``category``, as those of earlier versions do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, Field

from tasks.arrays import Floats, Matrix
from tasks.detectors.base import write_json
from tasks.detectors.gradient_boosting import read_booster, train_booster, write_booster

if TYPE_CHECKING:
    import lightgbm

FAMILY_FILE = "category.json"
TREES_FILE = "category.txt"

UNKNOWN = "unknown"
"""The family of a connection where no family is probable enough."""

ROUNDS = 40
"""Boosting rounds, each with a tree for every family. A guess: families differ clearly, and each
tree costs time for every flagged connection."""
LEARNING_RATE = 0.15
LEAVES = 15

FAMILY_SCHEMA = pl.Schema(
    {
        "attack_category": pl.String,
        "category_probability": pl.Float64,
        "attack_technique": pl.String,
    }
)
"""The columns that name a flagged connection's family; all null if there is no family model."""


class FamilyCard(BaseModel, frozen=True):
    """What ``category.json`` holds."""

    families: tuple[str, ...] = Field(min_length=2)
    """The families, in the order of the trees' outputs."""
    temperature: float = Field(gt=0)
    """Divides the outputs before they become probabilities; see ``tasks.training.families``.

    Source: Guo, Pleiss, Sun and Weinberger 2017, section 4.2."""
    cut: float = Field(ge=0)
    """Smallest probability at which a family is named; above 1, no family is named."""
    techniques: dict[str, str] = {}
    """The MITRE ATT&CK technique of each family that has one."""


@dataclass(frozen=True)
class FamilyModel:
    """Boosted trees with an output for each family."""

    card: FamilyCard
    booster: "lightgbm.Booster"
    threads: int = 1

    def name(self, ordinal: Matrix) -> pl.DataFrame:
        """Return the family that each connection looks like.

        ``ordinal`` is ``Encoded.ordinal``, (n_rows, n_features). One row per connection:
        ``FAMILY_SCHEMA``. The probability is that of the likeliest family, given that the
        connection is an attack. Below the cut the family is ``UNKNOWN`` and the technique null. A
        row does not depend on the others.
        """
        raw = raw_outputs(self.booster, ordinal, self.threads)
        chance = probabilities(raw, self.card.temperature)
        likeliest = chance.argmax(axis=1) if len(chance) else np.zeros(0, dtype=np.intp)
        highest = chance[np.arange(len(chance)), likeliest]
        names = np.array([*self.card.families, UNKNOWN])
        chosen = names[np.where(highest >= self.card.cut, likeliest, len(self.card.families))]
        family = pl.Series("attack_category", chosen.tolist(), dtype=pl.String)
        technique = family.replace_strict(self.card.techniques, default=None)
        return pl.DataFrame(
            [
                family,
                pl.Series("category_probability", highest, dtype=pl.Float64),
                technique.cast(pl.String).alias("attack_technique"),
            ],
            schema=FAMILY_SCHEMA,
        )

    def save(self, folder: Path) -> None:
        """Write the trees as text and the rest as sorted JSON."""
        write_booster(self.booster, folder / TREES_FILE)
        write_json(folder / FAMILY_FILE, self.card.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path, threads: int = 1) -> "FamilyModel | None":
        """Read the family model of a stored model; None where it has none."""
        if not (folder / FAMILY_FILE).exists():
            return None
        card = FamilyCard.model_validate_json((folder / FAMILY_FILE).read_bytes())
        return cls(card, read_booster(folder / TREES_FILE), threads)


def fit_trees(
    ordinal: Matrix, family: npt.NDArray[np.intp], families: int, seed: int, threads: int
) -> "lightgbm.Booster":
    """Fit trees that tell families of attack apart.

    A row's weight is the inverse square root of its family's size: a rare family counts for more
    than its share of the rows, a flood for less. ``ordinal`` is (n_attacks, n_features); ``family``
    is (n_attacks,), each attack's family, from 0. Threads do not change the result.
    """
    settings = {
        "objective": "multiclass",
        "num_class": families,
        "num_leaves": LEAVES,
        "learning_rate": LEARNING_RATE,
        "feature_fraction": 0.5,
        "min_data_in_leaf": 5,
    }
    weight = 1.0 / np.sqrt(np.maximum(np.bincount(family, minlength=families), 1))
    return train_booster(settings, ordinal, family, weight[family], ROUNDS, seed, threads)


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
    # Not scipy's softmax: polars takes exponentials one by one; numpy's vectorised loops may differ
    # with a row's place.
    scaled = (raw - raw.max(axis=1, keepdims=True)) / temperature
    powers = pl.Series(scaled.ravel()).exp().to_numpy().reshape(raw.shape)
    chance: Floats = powers / powers.sum(axis=1, keepdims=True)
    return chance
