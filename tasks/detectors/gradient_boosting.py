"""Gradient boosted trees, stored as LightGBM's own text.

Belongs here: fitting, serving and attributing the trees. Does not belong here: the encoding, the
choice of inputs (``tasks.features.selection``), or what a score means to the whole model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tasks.arrays import Floats, Mask, Matrix
from tasks.detectors.base import Positions, sum_groups

if TYPE_CHECKING:
    import lightgbm

OUTLIER_WEIGHT = 0.1
"""Of a made-up attack beside a real row. Measured as in ``make_outliers``: .05 to 1 are within
chance of each other, and more flags more of the normals that have changed."""

OUTLIER_COLUMNS = (0.05, 0.5)
"""Least and largest share of its columns that a made-up attack has of another row. Measured
likewise: .2 to .9 is no better."""


class LightGBMOptions(BaseModel):
    """How the trees are grown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["lightgbm"] = "lightgbm"
    trees: int = Field(default=250, ge=1)
    """Boosting rounds. Measured by cross-validation within the training file
    (``benchmarks.choices``): of 25,192 rows 46 to 52 lie on the wrong side of even odds with 150,
    37 to 50 with 200, 37 to 44 with 250, 37 to 43 with 300; fewer are cheaper to serve."""
    leaves: int = Field(default=31, ge=2)
    """Most leaves a tree has: LightGBM's default."""
    learning_rate: float = Field(default=0.07, gt=0)
    """Shrinkage of each tree; goes with the number of trees."""
    feature_fraction: float = Field(default=0.5, gt=0, le=1)
    """Share of inputs each tree may use. Half, so that trees lean less on the one or two columns
    the next attack may not move: a guess. On known attacks it costs nothing: measured as for
    ``trees``, 37 to 44 rows against 41 to 47 with all inputs."""
    min_leaf_rows: int = Field(default=20, ge=1)
    """Fewest training rows in a leaf: LightGBM's default."""
    outliers: float = Field(default=0.0, ge=0, le=10)
    """Made-up attacks for each normal row; see ``make_outliers``."""


@dataclass(frozen=True)
class LightGBM:
    """Boosted trees; the score is the log-odds of an attack."""

    booster: "lightgbm.Booster"
    threads: int = 1
    """Used to score; does not change a score."""
    kind: str = "lightgbm"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Score rows by log-odds, (n_rows,): unrounded, so that they still order."""
        if not len(inputs):
            return np.zeros(0)
        scores: Floats = self.booster.predict(inputs, num_threads=self.threads, raw_score=True)
        return scores

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Attribute log-odds to groups of inputs by TreeSHAP, (n_rows, n_groups).

        Source: Lundberg et al. 2020, as built into LightGBM; about 2 CPU ms a row.
        """
        del typical  # it compares with the training rows
        if not len(inputs):
            return np.zeros((0, int(groups.max()) + 1))
        contributions: Floats = self.booster.predict(
            inputs, num_threads=self.threads, pred_contrib=True
        )
        return sum_groups(contributions[:, :-1], groups)

    def save(self, folder: Path, stem: str) -> None:
        """Write the trees as text."""
        (folder / f"{stem}.txt").write_text(booster_text(self.booster), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, stem: str, threads: int = 1) -> "LightGBM":
        """Read stored trees; imports LightGBM only."""
        import lightgbm

        text = (folder / f"{stem}.txt").read_text(encoding="utf-8")
        return cls(lightgbm.Booster(model_str=text), threads)


def fit_lightgbm(
    inputs: Matrix, is_attack: Mask, options: LightGBMOptions, seed: int, threads: int = 1
) -> LightGBM:
    """Fit boosted trees that tell attacks from normal traffic.

    Args:
        inputs: (n_rows, n_inputs); NaN is a missing value.
        is_attack: (n_rows,), both values present.
        options: how the trees are grown.
        seed: of the choice of columns for each tree.
        threads: used to fit; does not change the result.

    Returns:
        The fitted trees; the same rows, options and seed give the same text.
    """
    import lightgbm

    settings: dict[str, Any] = {
        "objective": "binary",
        "num_leaves": options.leaves,
        "learning_rate": options.learning_rate,
        "feature_fraction": options.feature_fraction,
        "min_data_in_leaf": options.min_leaf_rows,
        "seed": seed,
        "num_threads": threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    label, weight = is_attack.astype(np.float32), None
    made = make_outliers(inputs[~is_attack], options.outliers, seed)
    if len(made):
        inputs = np.vstack([inputs, made])
        label = np.concatenate([label, np.ones(len(made), dtype=np.float32)])
        weight = np.where(np.arange(len(inputs)) < len(is_attack), 1.0, OUTLIER_WEIGHT)
    data = lightgbm.Dataset(inputs, label=label, weight=weight)
    booster = lightgbm.train(settings, data, num_boost_round=options.trees)
    booster.free_dataset()
    return LightGBM(booster, threads)


def make_outliers(normal: Matrix, share: float, seed: int) -> Matrix:
    """Make rows whose values are ordinary one by one, and not together.

    Each is a normal row in which some of the columns, 5 to 50 % of them, have the values of another
    normal row. Taught as attacks with little weight, they keep trees from calling normal whatever
    is unlike the attacks at hand. Measured once while building, on the training file with names of
    attacks held out (nine divisions): of attacks of unknown names, where 1 % of the normals are
    flagged, the model with the autoencoder finds 89 % instead of 74 %, of whole families 79 %
    instead of 70 %; of known attacks 99.8 instead of 99.95 % where .2 % are.

    Args:
        normal: (n_normals, n_inputs).
        share: rows made for each normal one.
        seed: of rows and columns.

    Returns:
        (round(share * n_normals), n_inputs).

    Source: Steinwart, Hush & Scovel 2005, for anomalies as a class to be told from the normal one;
    Shi & Horvath 2006, for making it of the columns' own values.
    """
    count = round(share * len(normal))
    random = np.random.default_rng(seed)
    base, other = normal[random.integers(0, len(normal), (2, count))]
    swapped = random.random(base.shape) < random.uniform(*OUTLIER_COLUMNS, (count, 1))
    made: Matrix = np.where(swapped, other, base)
    return made


def booster_text(booster: "lightgbm.Booster") -> str:
    """Write the trees without the thread count, which is no part of what they are."""
    lines = booster.model_to_string().split("\n")
    return "\n".join(line for line in lines if not line.startswith("[num_threads:"))
