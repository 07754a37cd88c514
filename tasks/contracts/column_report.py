"""What the columns of a parsed file hold: nulls, ends, examples and frequent values.

Belongs here: one pass over parsed rows in bounded memory. Does not belong here: what is suspicious
about it (``tasks.contracts.suspicions``), or whether rows fit (``tasks.validation``).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import polars as pl
from pydantic import BaseModel

from expectations.contract import Column, Kind, Role
from storage.text import printable

COUNTED: Final = 10_000
"""Different texts of a column that are counted. A guess; the most frequent ones come early."""
SHOWN: Final = 5
"""Frequent values and examples of a report. A guess: a line of a terminal."""
SHOWN_CHARACTERS: Final = 40
"""Characters of a value in a report. A guess: a time, or the name of a host."""


class ColumnReport(BaseModel, frozen=True):
    """What one declared column holds."""

    name: str
    file_name: str | None
    """Its name in the file; None if the file lacks it."""
    kind: Kind
    role: Role
    unit: str = ""
    rows_null: int = 0
    different: int | None = None
    """Different values; None if there are more than are counted, or the values are numbers."""
    smallest: float | int | str | None = None
    largest: float | int | str | None = None
    frequent: tuple[tuple[str, int], ...] = ()
    """The most frequent texts, each with its rows."""
    examples: tuple[str, ...] = ()
    """The first values, where they are numbers or times."""

    @property
    def is_constant(self) -> bool:
        """Whether every row has one value."""
        if self.file_name is None or self.rows_null:
            return False
        is_same = self.smallest is not None and self.smallest == self.largest
        return is_same or self.different == 1


class ColumnTally:
    """Adds up what one column holds, part by part."""

    def __init__(self, column: Column) -> None:
        """Begin with no row."""
        self.column = column
        self.rows_null = 0
        self.counts: Counter[str] = Counter()
        """Rows of each text, of at most ``COUNTED`` texts."""
        self.is_cut = False
        """Whether there are more texts than are counted."""
        self.smallest: float | int | datetime | None = None
        self.largest: float | int | datetime | None = None
        self._examples: dict[str, None] = {}

    def add(self, values: pl.Series) -> None:
        """Add one part of the column."""
        self.rows_null += values.null_count()
        held = values.drop_nulls()
        if held.is_empty():
            return
        if held.dtype == pl.String:
            self._count(held)
            return
        self._examples |= dict.fromkeys(map(str, held.head(SHOWN)))
        held = held.fill_nan(None).drop_nulls() if held.dtype.is_float() else held
        for value in (held.min(), held.max()):
            if isinstance(value, int | float | datetime):
                self._stretch(value)

    def _stretch(self, value: "float | datetime") -> None:
        """Include one value among the ends."""
        if self.smallest is None or value < self.smallest:  # type: ignore[operator]
            self.smallest = value
        if self.largest is None or value > self.largest:  # type: ignore[operator]
            self.largest = value

    def _count(self, texts: pl.Series) -> None:
        """Count texts; new ones only while there are few."""
        counts = texts.alias("value").value_counts(sort=True)
        for value, count in counts.head(COUNTED).iter_rows():
            if value in self.counts or len(self.counts) < COUNTED:
                self.counts[value] += count
            else:
                self.is_cut = True
        self.is_cut |= len(counts) > COUNTED

    def report(self, file_name: str) -> ColumnReport:
        """Return what the column holds."""
        column = self.column
        is_text = column.dtype == pl.String
        ordered = sorted(self.counts.items(), key=lambda one: (-one[1], one[0]))
        return ColumnReport(
            name=column.name,
            file_name=printable(file_name, SHOWN_CHARACTERS * 2),
            kind=column.kind,
            role=column.role,
            unit=column.unit,
            rows_null=self.rows_null,
            different=len(self.counts) if is_text and not self.is_cut else None,
            smallest=_plain(self.smallest),
            largest=_plain(self.largest),
            frequent=tuple(
                (printable(value, SHOWN_CHARACTERS), count) for value, count in ordered[:SHOWN]
            ),
            examples=tuple(list(self._examples)[:SHOWN]),
        )


def report_columns(
    tallies: Sequence[ColumnTally], columns: Sequence[Column], file_names: Mapping[str, str]
) -> tuple[ColumnReport, ...]:
    """Return the reports of all declared columns, in the order of the contract.

    Args:
        tallies: of the columns that the file has.
        columns: all declared ones.
        file_names: declared name -> name in the file, of the columns that the file has.
    """
    by_name = {tally.column.name: tally for tally in tallies}
    return tuple(
        by_name[column.name].report(file_names[column.name])
        if column.name in by_name and column.name in file_names
        else ColumnReport(
            name=column.name, file_name=None, kind=column.kind, role=column.role, unit=column.unit
        )
        for column in columns
    )


def _plain(value: "float | datetime | None") -> float | int | str | None:
    return value.isoformat(sep=" ") if isinstance(value, datetime) else value
