"""Gradient boosted trees, stored as LightGBM's own text.

Belongs here: fitting, serving and attributing the trees. Does not belong here: the encoding, the
choice of inputs (``tasks.select``), or what a score means to the whole model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tasks.detectors.base import Positions, sum_groups
from tasks.encode import Floats, Mask, Matrix

if TYPE_CHECKING:
    import lightgbm


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
        (folder / f"{stem}.txt").write_text(_text(self.booster), encoding="utf-8")

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
    data = lightgbm.Dataset(inputs, label=is_attack.astype(np.float32))
    booster = lightgbm.train(settings, data, num_boost_round=options.trees)
    booster.free_dataset()
    return LightGBM(booster, threads)


def _text(booster: "lightgbm.Booster") -> str:
    """Write the trees without the thread count, which is no part of what they are."""
    lines = booster.model_to_string().split("\n")
    return "\n".join(line for line in lines if not line.startswith("[num_threads:"))
