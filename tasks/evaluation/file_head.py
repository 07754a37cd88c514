"""The first rows of a file, in the columns that may hold labels.

Belongs here: reading the first rows of all columns that are no features. Does not belong here: the
choice of the label column (``label_columns``).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from expectations.contract import Contract
from expectations.names import fold
from storage.text import printable
from tasks.intake.content import CONTENT_BYTES
from tasks.intake.layout import Layout
from tasks.intake.sources import open_source


@dataclass(frozen=True)
class FileHead:
    """The first rows of a file, in the columns that may hold labels."""

    source: Path
    layout: Layout
    values: Mapping[str, pl.Series]
    """The columns that are no features, by their name in the layout: text, null where empty."""
    rows: int
    """Number of rows read."""
    is_whole: bool
    """Whether the file has no more rows."""

    @property
    def name(self) -> str:
        """The file's name in messages."""
        return printable(self.source.name)

    def find(self, column: str) -> str | None:
        """Return the name of a column that is no feature, equal to a name or equal by ``fold``.

        None where there is no such column, or more than one equal by ``fold``.
        """
        alike = [name for name in self.values if fold(name) == fold(column)]
        return column if column in self.values else alike[0] if len(alike) == 1 else None

    def count_values(self, column: str) -> list[tuple[str, int]]:
        """Return the values of a column with their number of rows, the most frequent first."""
        counted = Counter(self.values[column].drop_nulls().to_list())
        return sorted(counted.items(), key=lambda one: (-one[1], one[0]))


def read_file_head(source: Path, contract: Contract, limit_bytes: int = CONTENT_BYTES) -> FileHead:
    """Read the first rows of a file.

    Raises:
        InputRejectedError: the file cannot be read, or does not fit the contract.
    """
    opened = open_source(source, contract, limit_bytes)
    layout = opened.read_layout()
    first = opened.read_first(_find_others(layout, contract))
    return FileHead(source, layout, first.values, first.count, first.is_whole)


def _find_others(layout: Layout, contract: Contract) -> dict[str, int]:
    """Return the columns that are no features: their name in the layout, and their field."""
    declared = {
        place: column.name for column, place in zip(layout.columns, layout.positions, strict=True)
    }
    return {
        declared.get(place, name): place
        for place, name in enumerate(layout.names)
        if declared.get(place) not in contract.feature_names
    }
