"""The beginning of a file, as far as it may say what its connections are.

Belongs here: reading the columns that are no features, and no more rows than are looked at. Does
not belong here: which of them holds labels (``tasks.evaluation.label_columns``).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from expectations.contract import Contract
from storage.text import printable
from tasks.intake.content import CONTENT_BYTES, is_parquet, read_content
from tasks.intake.header import fold, split_fields
from tasks.intake.layout import Layout, read_head, recognise_layout
from tasks.intake.parquet_records import count_records, read_layout

LOOK_BYTES = 8 << 20
"""How much of a text is looked at: 58,000 lines of NSL-KDD, which take .3 CPU s."""

LOOK_RECORDS = 50_000
"""Records of Parquet that are looked at: about as many."""

LOOK_CHARACTERS = 100
"""Characters of a value of Parquet that are looked at: a guess, more than a message shows."""

_LABEL_TYPES = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_boolean,
    pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal128,
)  # fmt: skip
"""What labels are kept as in Parquet. polars (2.1) makes no text of some other types, such as
durations, extensions and decimals of 256 bits."""


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
    if is_parquet(source):
        layout = read_layout(source, contract, limit_bytes)
        wanted = _find_others(layout, contract)
        columns = _read_records(source, list(wanted.values()))
        count = len(columns[0]) if columns else 0
        values = dict(zip(wanted, columns, strict=True))
        return FileHead(source, layout, values, count, count == count_records(source))
    head, pieces = read_head(read_content(source))
    layout = recognise_layout(head, contract, source)
    text, is_whole = _read_beginning(pieces)
    fields = (split_fields(line.removesuffix("\r")) for line in text.split("\n"))
    wanted = _find_others(layout, contract)
    rows = [
        [one[place].strip() or None for place in wanted.values()]
        for one in islice(fields, layout.header_line, None)
        if one is not None and len(one) == layout.width
    ]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(wanted, pl.String), orient="row")
    return FileHead(source, layout, frame.to_dict(), len(rows), is_whole)


def _read_beginning(pieces: Iterator[bytes]) -> tuple[str, bool]:
    """Read the whole lines at the beginning of a text, and tell whether it ends there."""
    read = bytearray()
    for piece in pieces:
        read += piece
        if len(read) > LOOK_BYTES:
            return read[: read.rfind(b"\n") + 1].decode(errors="replace"), False
    return read.decode(errors="replace"), True


def _read_records(source: Path, places: Sequence[int]) -> list[pl.Series]:
    """Read some columns of the first records of Parquet, as text.

    Columns that cannot be read have no values: ingest says why.
    """
    try:
        with source.open("rb") as file:
            parquet = pq.ParquetFile(file)
            names = [parquet.schema_arrow.names[place] for place in places]
            records = next(parquet.iter_batches(LOOK_RECORDS, columns=names), None)
    except (pa.ArrowException, OSError, ValueError):
        records = None
    if records is None:
        return [pl.Series(dtype=pl.String) for _ in places]
    return [_write_text(records.column(name)) for name in names]


def _write_text(column: pa.Array) -> pl.Series:
    """Return the beginnings of values as text; null where they have none, or are no labels."""
    held = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_such(held) for is_such in _LABEL_TYPES):
        return pl.Series([None] * len(column), dtype=pl.String)
    text = pl.Series(column).cast(pl.String).str.head(LOOK_CHARACTERS).str.strip_chars()
    return text.to_frame().select(pl.when(pl.first() != "").then(pl.first())).to_series()


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
