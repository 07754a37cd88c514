"""The table of held-out scores that is kept with a model: its columns, its file, and its arrays.

Belongs here: how the table is written and read. Does not belong here: making the scores
(``held_out``, ``assessment``), or what a comparison concludes from two tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.arrays import Floats, Mask
from tasks.detectors.thresholds import OperatingPointName

HELD_OUT_FILE = "evidence.parquet"

CHOSEN_POINTS: tuple[OperatingPointName, ...] = ("default", "low_alert")
"""Operating points whose threshold training chooses."""

HELD_OUT_SCHEMA = pl.Schema(
    {
        "is_attack": pl.Boolean,
        "kind": pl.String,
        "known_score": pl.Float64,
        "novel_score": pl.Float64,
        **{f"flagged_{point}": pl.Boolean for point in CHOSEN_POINTS},
        **{f"novel_flagged_{point}": pl.Boolean for point in CHOSEN_POINTS},
        "alike": pl.Int64,
    }
)
"""Columns of the file. Grain: one training row. Their meanings are at the fields of
``HeldOutTable``; ``kind`` is its ``group``. Where a row has no ``novel_score``, the file has null
in that column and in the ``novel_flagged`` columns. The file has no feature, so no name of a
contract can be one of these."""


@dataclass(frozen=True)
class HeldOutTable:
    """The held-out scores and flags of the training rows; empty where no file is labelled."""

    is_attack: Mask
    """(n_rows,)."""
    group: npt.NDArray[np.str_]
    """(n_rows,), the attack's group, even one too small to be held out; empty for normal rows and
    for attacks without a name."""
    alike: npt.NDArray[np.intp]
    """(n_rows,), the position of the first row with the same features."""
    known_score: Floats
    """(n_rows,), the anomaly score by detectors that were fitted on the other folds."""
    novel_score: Floats
    """(n_rows,), for an attack of a held-out group, the anomaly score by a classifier that was
    fitted without the group; NaN for all other rows."""
    flags: Mapping[OperatingPointName, Mask]
    """(n_rows,) for each of ``CHOSEN_POINTS``: whether ``known_score`` is above the threshold that
    the other blocks choose."""
    novel_flags: Mapping[OperatingPointName, Mask]
    """The same for ``novel_score``, by the threshold that the other groups and blocks choose; False
    where it is NaN."""

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> "HeldOutTable":
        """Make the table from the columns of its file."""

        def read_flags(prefix: str) -> dict[OperatingPointName, Mask]:
            filled = frame.select(pl.col(pl.Boolean).fill_null(value=False))
            return {point: filled[f"{prefix}_{point}"].to_numpy() for point in CHOSEN_POINTS}

        return cls(
            is_attack=frame["is_attack"].to_numpy(),
            group=frame["kind"].to_numpy().astype(np.str_),
            alike=frame["alike"].to_numpy().astype(np.intp),
            known_score=frame["known_score"].to_numpy(),
            novel_score=frame["novel_score"].to_numpy(),
            flags=read_flags("flagged"),
            novel_flags=read_flags("novel_flagged"),
        )

    @classmethod
    def read(cls, folder: Path) -> "HeldOutTable":
        """Read the table from a model's folder."""
        return cls.from_frame(pl.read_parquet(folder / HELD_OUT_FILE))

    def write(self, folder: Path) -> None:
        """Write the table into a model's folder."""
        columns = {
            "is_attack": self.is_attack,
            "kind": self.group.tolist(),
            "known_score": self.known_score,
            "novel_score": self.novel_score,
            **{f"flagged_{point}": flags for point, flags in self.flags.items()},
            **{f"novel_flagged_{point}": flags for point, flags in self.novel_flags.items()},
            "alike": self.alike,
        }
        has_novel = pl.col("novel_score").is_not_nan()
        pl.DataFrame(columns, schema=HELD_OUT_SCHEMA).with_columns(
            pl.when(has_novel).then(pl.col("^novel_.*$"))
        ).write_parquet(folder / HELD_OUT_FILE)

    def has_rows_of(self, other: "HeldOutTable") -> bool:
        """Return whether both tables are of the same training rows in the same order."""
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("is_attack", "group", "alike")
        )
