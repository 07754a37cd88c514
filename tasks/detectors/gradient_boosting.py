"""Gradient boosted trees, stored as LightGBM's own text.

Belongs here: training any trees of LightGBM, and the classifier made of them. Does not belong here:
the trees that name families (``family``), the encoding, or the choice of inputs
(``tasks.features.selection``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tasks.arrays import Floats, Mask, Matrix, Positions
from tasks.detectors.base import DetectorOptions, fill_empty, sum_groups

if TYPE_CHECKING:
    import lightgbm

OUTLIER_WEIGHT = 0.1
"""Weight of a made-up attack; a real row has 1. It does not depend on the features, because a
made-up attack consists of values of the contract's own rows. Measured as in ``make_outliers``: the
results of .05 to 1 differ by chance only, and a higher weight flags more of the normals that have
changed."""

OUTLIER_COLUMNS = (0.05, 0.5)
"""Least and largest share of its columns that a made-up attack takes from another row. Measured
in the same way: .2 to .9 is no better."""


class LightGBMOptions(DetectorOptions):
    """How the trees are grown."""

    kind: Literal["lightgbm"] = "lightgbm"
    trees: int = Field(default=250, ge=1)
    """Boosting rounds. Measured by cross-validation within the training file
    (``benchmarks.choices``): of 25,192 rows, even odds misclassify 46 to 52 with 150 trees, 37 to
    50 with 200, 37 to 44 with 250, 37 to 43 with 300. Fewer trees score faster."""
    leaves: int = Field(default=31, ge=2)
    """Most leaves a tree has: LightGBM's default."""
    learning_rate: float = Field(default=0.07, gt=0)
    """Shrinkage of each tree; chosen together with the number of trees."""
    feature_fraction: float = Field(default=0.5, gt=0, le=1)
    """Share of the inputs that each tree may use. Half, so that trees depend less on one or two
    columns, which the next attack may not change: a guess. On known attacks it costs nothing:
    measured as for ``trees``, 37 to 44 rows against 41 to 47 with all inputs."""
    min_leaf_rows: int = Field(default=20, ge=1)
    """Fewest training rows in a leaf: LightGBM's default."""
    outliers: float = Field(default=0.0, ge=0, le=10)
    """Made-up attacks for each normal row; see ``make_outliers``."""


@dataclass(frozen=True)
class LightGBM:
    """Boosted trees; the score is the log-odds of an attack."""

    booster: "lightgbm.Booster"
    threads: int = 1
    """Threads used to score; they do not change a score."""
    kind: str = "lightgbm"

    def anomaly_scores(self, inputs: Matrix) -> Floats:
        """Return log-odds, (n_rows,), unrounded, so that rows keep their order."""
        if not len(inputs):
            return np.zeros(0)
        scores: Floats = self.booster.predict(inputs, num_threads=self.threads, raw_score=True)
        return scores

    def explain(self, inputs: Matrix, typical: Matrix, groups: Positions) -> Floats:
        """Return the TreeSHAP values of the log-odds by group of inputs, (n_rows, n_groups).

        Source: Lundberg et al. 2020, as built into LightGBM; about 2 CPU ms a row.
        """
        del typical  # TreeSHAP compares with the training rows
        if not len(inputs):
            return np.zeros((0, int(groups.max()) + 1))
        contributions: Floats = self.booster.predict(
            inputs, num_threads=self.threads, pred_contrib=True
        )
        return sum_groups(contributions[:, :-1], groups)

    def save(self, folder: Path, stem: str) -> None:
        """Write the trees as text."""
        write_booster(self.booster, folder / f"{stem}.txt")

    @classmethod
    def load(cls, folder: Path, stem: str, threads: int = 1) -> "LightGBM":
        """Read stored trees; imports LightGBM only."""
        return cls(read_booster(folder / f"{stem}.txt"), threads)


def fit_lightgbm(
    inputs: Matrix, is_attack: Mask, options: LightGBMOptions, seed: int, threads: int = 1
) -> LightGBM:
    """Fit boosted trees that tell attacks from normal traffic.

    The arguments are those of ``registry.fit_classifier``; NaN is a missing value. The same rows,
    options and seed give the same text, with any threads.
    """
    settings = {
        "objective": "binary",
        "num_leaves": options.leaves,
        "learning_rate": options.learning_rate,
        "feature_fraction": options.feature_fraction,
        "min_data_in_leaf": options.min_leaf_rows,
    }
    label, weight = is_attack.astype(np.float32), None
    made = make_outliers(inputs[~is_attack], options.outliers, seed)
    if len(made):
        inputs = np.vstack([inputs, made])
        label = np.concatenate([label, np.ones(len(made), dtype=np.float32)])
        weight = np.where(np.arange(len(inputs)) < len(is_attack), 1.0, OUTLIER_WEIGHT)
    booster = train_booster(settings, inputs, label, weight, options.trees, seed, threads)
    return LightGBM(booster, threads)


def train_booster(
    settings: Mapping[str, object],
    inputs: Matrix,
    label: npt.ArrayLike,
    weight: Floats | None,
    rounds: int,
    seed: int,
    threads: int,
) -> "lightgbm.Booster":
    """Train boosted trees; the same arguments give the same trees, with any threads.

    ``inputs`` are (n_rows, n_inputs), where NaN is a missing value; ``label`` and ``weight`` are
    (n_rows,). Without weights each row has 1. ``settings`` name the objective and how trees grow.
    """
    import lightgbm

    fixed = {"deterministic": True, "force_row_wise": True, "verbosity": -1}
    data = lightgbm.Dataset(fill_empty(inputs), label=label, weight=weight)
    booster = lightgbm.train(
        {**settings, "seed": seed, "num_threads": threads, **fixed}, data, num_boost_round=rounds
    )
    booster.free_dataset()
    return booster


def make_outliers(normal: Matrix, share: float, seed: int) -> Matrix:
    """Return made-up rows, (round(share * n_normals), n_inputs): normal values, newly combined.

    ``normal`` is (n_normals, n_inputs).

    Each is a normal row in which some columns, 5 to 50 % of them, have the values of another normal
    row. As attacks with little weight in training, they keep the trees from classifying all rows
    that do not resemble the known attacks as normal. Measured once while building, on the
    training file with names of attacks held out (nine divisions), for the model with the
    autoencoder: where 1 % of the normals are flagged, it finds 89 % of the attacks of unknown names
    instead of 74 %, and 79 % of unknown families instead of 70 %; where .2 % are flagged, 99.8 % of
    known attacks instead of 99.95 %.

    Source: Steinwart, Hush & Scovel 2005, for anomalies as a second class; Shi & Horvath 2006, for
    making it from the columns' own values.
    """
    count = round(share * len(normal))
    random = np.random.default_rng(seed)
    base, other = normal[random.integers(0, len(normal), (2, count))]
    swapped = random.random(base.shape) < random.uniform(*OUTLIER_COLUMNS, (count, 1))
    made: Matrix = np.where(swapped, other, base)
    return made


def write_booster(booster: "lightgbm.Booster", path: Path) -> None:
    """Write trees as text, without the thread count: equal trees give equal bytes."""
    lines = booster.model_to_string().split("\n")
    kept = (line for line in lines if not line.startswith("[num_threads:"))
    path.write_text("\n".join(kept), encoding="utf-8")


def read_booster(path: Path) -> "lightgbm.Booster":
    """Read stored trees; imports LightGBM."""
    import lightgbm

    return lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
