"""Why rows of a file go to quarantine: each reason, how often, and in which lines first.

Belongs here: reasons counted over all rows. Does not belong here: what a reason is
(``tasks.intake.cells``, ``tasks.intake.reasons``).
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq  # type: ignore[import-untyped]
from pydantic import BaseModel

from storage.text import printable

READ_ROWS: Final = 50_000
"""Quarantined rows that are in memory at a time."""
MOST_REASONS: Final = 500
"""Different reasons that are counted. A guess: a contract has fewer checks."""
LINES: Final = 5
"""First line numbers of a reason. A guess: enough to look them up."""

_VALUE: Final = re.compile(r"'(?:[^'\\]|\\.)*'(?:\.\.\.)?|\"(?:[^\"\\]|\\.)*\"(?:\.\.\.)?")
_NUMBER: Final = re.compile(r"(?<![\w^])-?\d[\d.]*(?:e[+-]?\d+)?(?!\w)")


class ReasonCount(BaseModel, frozen=True):
    """One reason for quarantine."""

    reason: str
    """As the first row has it."""
    rows: int
    lines: tuple[int, ...]
    """The numbers of the first lines."""


def count_reasons(files: Iterable[Path]) -> tuple[ReasonCount, ...]:
    """Return the reasons of quarantined rows, the most frequent first.

    Reasons that differ only in the value they quote are one.
    """
    found: dict[str, ReasonCount] = {}
    for file in files:
        batches = pq.ParquetFile(file).iter_batches(
            batch_size=READ_ROWS, columns=["line_number", "reasons"]
        )
        for batch in batches:
            for row in batch.to_pylist():
                for reason in row["reasons"]:
                    _count(found, reason, row["line_number"])
    return tuple(sorted(found.values(), key=lambda one: -one.rows))


def _count(found: dict[str, ReasonCount], reason: str, line: int) -> None:
    """Count one reason of one row."""
    column, _, rest = reason.partition(": ")
    key = f"{column}: {_NUMBER.sub('#', _VALUE.sub('#', rest), count=1)}"
    known = found.get(key)
    if known is None:
        if len(found) < MOST_REASONS:
            found[key] = ReasonCount(reason=printable(reason), rows=1, lines=(line,))
        return
    lines = known.lines if len(known.lines) >= LINES else (*known.lines, line)
    found[key] = known.model_copy(update={"rows": known.rows + 1, "lines": lines})
