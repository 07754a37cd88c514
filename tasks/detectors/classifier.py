"""The supervised detector: gradient boosted trees, stored as LightGBM's own text.

Belongs here: fitting, serving and attributing the trees. Does not belong here: the encoding, the
choice of columns (``tasks.select``), or what a score means to the whole model.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from tasks.detectors.base import Attribution, normalise
from tasks.encode import Encoded, Encoder, Floats, Mask, Matrix
from tasks.select import Selection

if TYPE_CHECKING:
    import lightgbm

MODEL_FILE = "classifier.txt"
STATE_FILE = "classifier.json"


class ClassifierOptions(BaseModel):
    """How the trees are grown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
class Classifier:
    """Boosted trees; the score is the log-odds of an attack."""

    booster: "lightgbm.Booster"
    encoder: Encoder
    selection: Selection | None
    """The encoded columns it reads; None for all features in ordinal form."""
    typical: tuple[float, ...]
    """The ordinary value of each feature in normal training rows, in ``Encoded.ordinal`` form."""
    threads: int = 1
    """Used to score; does not change a score."""
    name: str = "classifier"

    @cached_property
    def inputs(self) -> npt.NDArray[np.intp]:
        """Position of the source feature of each input, (n_inputs,)."""
        if self.selection is None:
            return np.arange(len(self.encoder.features))
        return self.encoder.sources[self._positions]

    @cached_property
    def _positions(self) -> npt.NDArray[np.intp]:
        assert self.selection is not None  # noqa: S101  # asked for only where there is one
        return self.selection.positions(self.encoder)

    def matrix(self, encoded: Encoded) -> Matrix:
        """Return what the trees read, (n_rows, n_inputs)."""
        if self.selection is None:
            return encoded.ordinal
        return np.ascontiguousarray(encoded.neural[:, self._positions])

    def score(self, encoded: Encoded) -> Floats:
        """Score connections by log-odds, (n_rows,): unrounded, so that they still order."""
        return self._predict(encoded, raw_score=True)

    def attribute(self, encoded: Encoded) -> Attribution:
        """Attribute log-odds to features by TreeSHAP, one-hot columns folded into their feature.

        The expected value is the ordinary one among normals: the median, or the commonest name.

        Source: Lundberg et al. 2020, as built into LightGBM; about 2 CPU ms a row.
        """
        contributions = self._predict(encoded, pred_contrib=True)[:, :-1]
        shares = normalise(self.encoder.fold(contributions, self.inputs))
        return Attribution(shares, np.tile(np.array(self.typical), (len(shares), 1)))

    def _predict(self, encoded: Encoded, **kind: bool) -> Floats:
        if not len(encoded.ordinal):
            return np.zeros((0, len(self.inputs) + 1) if "pred_contrib" in kind else 0)
        result: Floats = self.booster.predict(
            self.matrix(encoded), num_threads=self.threads, **kind
        )
        return result

    def save(self, folder: Path) -> None:
        """Write the trees as text, and the rest as JSON."""
        (folder / MODEL_FILE).write_text(_text(self.booster), encoding="utf-8")
        state = {
            "selection": None if self.selection is None else self.selection.model_dump(mode="json"),
            "typical": self.typical,
        }
        (folder / STATE_FILE).write_text(json.dumps(state, sort_keys=True, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path, encoder: Encoder, threads: int = 1) -> "Classifier":
        """Read a stored classifier; imports LightGBM only."""
        import lightgbm

        booster = lightgbm.Booster(model_str=(folder / MODEL_FILE).read_text(encoding="utf-8"))
        state = json.loads((folder / STATE_FILE).read_bytes())
        selection = state["selection"]
        return cls(
            booster=booster,
            encoder=encoder,
            selection=None if selection is None else Selection.model_validate(selection),
            typical=tuple(state["typical"]),
            threads=threads,
        )


def fit_classifier(
    encoded: Encoded,
    is_attack: Mask,
    encoder: Encoder,
    selection: Selection | None,
    options: ClassifierOptions,
    seed: int,
    threads: int = 1,
) -> Classifier:
    """Fit boosted trees that tell attacks from normal traffic.

    Args:
        encoded: the training rows.
        is_attack: (n_rows,), both values present.
        encoder: the one that encoded them.
        selection: the encoded columns to read; None for all features in ordinal form.
        options: how the trees are grown.
        seed: of the choice of columns for each tree.
        threads: used to fit.

    Returns:
        The fitted classifier; the same rows, options and seed give the same text.
    """
    import lightgbm

    classifier = Classifier(
        booster=None, encoder=encoder, selection=selection, typical=(), threads=threads
    )
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
    data = lightgbm.Dataset(classifier.matrix(encoded), label=is_attack.astype(np.float32))
    booster = lightgbm.train(settings, data, num_boost_round=options.trees)
    booster.free_dataset()
    return Classifier(
        booster=booster,
        encoder=encoder,
        selection=selection,
        typical=_typical(encoded.ordinal[~is_attack], encoder),
        threads=threads,
    )


def _typical(normal: Matrix, encoder: Encoder) -> tuple[float, ...]:
    """Return the median of each quantity and the commonest code of each category."""
    named = {category.name for category in encoder.categories}
    values = []
    for index, feature in enumerate(encoder.features):
        column = normal[:, index]
        if feature in named:
            codes, counts = np.unique(column, return_counts=True)
            values.append(float(codes[counts.argmax()]))
        else:
            known = column[~np.isnan(column)]
            values.append(float(np.median(known)) if len(known) else 0.0)
    return tuple(values)


def _text(booster: "lightgbm.Booster") -> str:
    """Write the trees without the thread count, which is no part of what they are."""
    lines = booster.model_to_string().split("\n")
    return "\n".join(line for line in lines if not line.startswith("[num_threads:"))
