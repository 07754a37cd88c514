"""Scoring a stored batch again: the same model on the same rows must give the same scores.

Belongs here: comparing scores row by row. Does not belong here: storing scores, or choosing another
model. Libraries, processors and files change, so that this must be checked.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl
from pydantic import BaseModel

from tasks.detectors.model import load_model
from tasks.detectors.thresholds import flag
from tasks.validation.summary import PartFile

EXAMPLES = 20
"""Changed rows that are listed. A guess: the first ones show what is wrong."""

SCORES = ("classifier_score", "one_class_score", "anomaly_score", "is_flagged")

ReadStored = Callable[[int, int], pl.DataFrame]
"""Returns the stored predictions between two row numbers, both included."""


class ScoreChange(BaseModel, frozen=True):
    """A row whose score or flag differs from the stored one."""

    row_number: int
    column: str
    stored: float | bool | None
    """None where the row has no stored prediction."""
    again: float | bool | None
    """None where the row is not among those accepted."""


class Rescored(BaseModel, frozen=True):
    """The result of scoring a batch again."""

    rows: int
    """Accepted rows that were scored again."""
    rows_differing: int
    """Rows with another score or flag, without a stored prediction, or stored and not accepted."""
    rows_not_stored: int
    """Those of them that were accepted and have no stored prediction."""
    rows_not_accepted: int
    """Those of them that are stored and were not accepted."""
    largest_difference: float
    """The largest difference of any score, in the unit of that score."""
    differences: tuple[ScoreChange, ...]
    """The first of the rows that differ."""

    @property
    def is_exact(self) -> bool:
        """Whether every score and flag equals the stored one, bit for bit."""
        return self.rows_differing == 0


def rescore_batch(
    folder: Path,
    parts: Sequence[PartFile],
    model_folder: Path,
    operating_point: str,
    threshold: float,
    rows_stored: int,
    read_stored: ReadStored,
    threads: int = 1,
) -> Rescored:
    """Score the accepted rows of a batch again, and compare every score with the stored one.

    Holds one part in memory at a time. The parts are named relative to the batch's folder, and have
    ascending row numbers. The model, the operating point and the threshold are those that flagged
    them; ``rows_stored`` is the number of stored predictions.

    Raises:
        ModelRefusedError: the model folder cannot be read.
        InputRejectedError: a part lacks a feature.
    """
    model = load_model(model_folder, threads=threads)
    rows = differing = met = not_stored = not_accepted = 0
    largest = 0.0
    examples: list[ScoreChange] = []
    for part in parts:
        frame = pl.read_parquet(folder / part.path, columns=["row_number", *model.features])
        scores = model.score(frame)
        again = scores.with_columns(frame["row_number"], flag(scores, operating_point, threshold))
        numbers = frame["row_number"]
        stored = read_stored(int(numbers[0]), int(numbers[-1]))
        both = again.select("row_number", *SCORES).join(
            stored, on="row_number", how="full", suffix="_stored", coalesce=True
        )
        differs = both.filter(
            pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_stored")) for name in SCORES)
        ).sort("row_number")
        rows += frame.height
        met += stored.height
        differing += differs.height
        not_stored += differs["is_flagged_stored"].null_count()
        not_accepted += differs["is_flagged"].null_count()
        largest = max(largest, _largest(differs))
        examples += _list_changes(differs, EXAMPLES - len(examples))
    beyond = rows_stored - met  # stored, and in no part
    return Rescored(
        rows=rows,
        rows_differing=differing + beyond,
        rows_not_stored=not_stored,
        rows_not_accepted=not_accepted + beyond,
        largest_difference=largest,
        differences=tuple(examples),
    )


def _largest(differs: pl.DataFrame) -> float:
    """Return the largest difference of any score; 0 where no row has both scores."""
    found = differs.select(
        pl.max_horizontal(
            (pl.col(name) - pl.col(f"{name}_stored")).abs().max() for name in SCORES[:-1]
        )
    ).item()
    return float(found or 0.0)


def _list_changes(differs: pl.DataFrame, most: int) -> Iterator[ScoreChange]:
    """Return the first changed rows, each with its first column that changed."""
    for row in differs.head(most).iter_rows(named=True):
        name = next(name for name in SCORES if row[name] != row[f"{name}_stored"])
        stored = row[f"{name}_stored"]
        yield ScoreChange(row_number=row["row_number"], column=name, stored=stored, again=row[name])
