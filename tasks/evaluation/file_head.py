"""The beginning of a file, as far as it may say what its connections are.

Belongs here: reading the columns that are no features, and no more rows than are looked at. Does
not belong here: which of them holds labels (``tasks.evaluation.label_columns``).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from expectations.contract import Contract
from storage.text import printable
from tasks.intake.content import CONTENT_BYTES
from tasks.intake.header import fold
from tasks.intake.layout import Layout
from tasks.intake.sources import open_source


@dataclass(frozen=True)
class FileHead:
    """The first rows of a file, as far as they may say what its connections are."""

    source: Path
    layout: Layout
    values: Mapping[str, pl.Series]
    """The columns that are no features, by the name they have in the layout: text, null where
    there is none."""
    rows: int
    """How many rows were looked at."""
    is_whole: bool
    """Whether those are all rows of the file."""

    @property
    def name(self) -> str:
        """What messages call the file."""
        return printable(self.source.name)

    def find(self, column: str) -> str | None:
        """Return the name of a column that is no feature: that name, or one like it by ``fold``.

        None where there is none, or more than one like it.
        """
        alike = [name for name in self.values if fold(name) == fold(column)]
        return column if column in self.values else alike[0] if len(alike) == 1 else None

    def count_values(self, column: str) -> list[tuple[str, int]]:
        """Return the values of a column with their rows, the most frequent first."""
        counted = Counter(self.values[column].drop_nulls().to_list())
        return sorted(counted.items(), key=lambda one: (-one[1], one[0]))


def read_file_head(source: Path, contract: Contract, limit_bytes: int = CONTENT_BYTES) -> FileHead:
    """Read the first rows of a file.

    Raises:
        InputRejectedError: it cannot be read, or is of another source.
    """
    opened = open_source(source, contract, limit_bytes)
    layout = opened.read_layout()
    first = opened.read_first(_find_others(layout, contract))
    return FileHead(source, layout, first.values, first.count, first.is_whole)


def _find_others(layout: Layout, contract: Contract) -> dict[str, int]:
    """Return the columns that are no features: the name in the layout, and the field."""
    features = {
        place
        for column, place in zip(layout.columns, layout.positions, strict=True)
        if column.name in contract.feature_names
    }
    declared = {
        place: column.name for column, place in zip(layout.columns, layout.positions, strict=True)
    }
    return {
        declared.get(place, name): place
        for place, name in enumerate(layout.names)
        if place not in features
    }
