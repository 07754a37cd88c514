"""The first rows of a file as text, before anything is parsed.

Belongs here: reading some columns of the first lines or records. Does not belong here: what the
values say (``tasks.evaluation``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from tasks.intake.fields import show_line, split_fields
from tasks.intake.layout import Layout
from tasks.intake.numbered_lines import list_rows, number_block
from tasks.intake.parquet_files import read_footer

FIRST_BYTES = 8 << 20
"""How much of a text is read. Measured: 58,000 lines of 41 fields take .3 CPU s."""
FIRST_RECORDS = 50_000
"""Records of Parquet that are read: about as many."""
VALUE_CHARACTERS = 100
"""Characters kept of a value of Parquet. A guess: more than a message shows."""

_TEXT_TYPES = (
    pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_boolean,
    pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal128,
)  # fmt: skip
"""Types of Parquet that are written as text; labels have no other. polars (2.1) makes no text of
some other types, such as durations, extensions and decimals of 256 bits."""


@dataclass(frozen=True)
class FirstRows:
    """Some columns of the first rows of a file."""

    values: Mapping[str, pl.Series]
    """The columns by requested name: String, null where a row has no value."""
    count: int
    """How many rows were read."""
    is_whole: bool
    """Whether these are all rows of the file."""


def read_first_lines(
    pieces: Iterator[bytes], layout: Layout, places: Mapping[str, int]
) -> FirstRows:
    """Return some columns of a text's first lines; lines of another number of fields are left out.

    ``places`` is name -> field, from 0, of each column.
    """
    text, is_whole = _read_beginning(pieces)
    form = layout.form
    number = partial(number_block, form=form, header_line=layout.header_line)
    fields = (
        split_fields(show_line(line, form), layout.separator, has_quotes=form.has_quotes)
        for line in list_rows(iter([text]), number)
    )
    nothing = {"", *form.nulls}
    rows = [
        [None if (bare := one[place].strip()) in nothing else bare for place in places.values()]
        for one in fields
        if one is not None and len(one) == layout.width
    ]
    frame = pl.DataFrame(rows, schema=dict.fromkeys(places, pl.String), orient="row")
    return FirstRows(frame.to_dict(), len(rows), is_whole)


def read_first_records(source: Path, places: Mapping[str, int]) -> FirstRows:
    """Return some columns of a Parquet file's first records.

    Columns that cannot be read have no values: ingest says why.

    Raises:
        InputRejectedError: the file is damaged.
    """
    footer = read_footer(source)
    fields = footer.fields
    try:
        with source.open("rb") as file:
            parquet = pq.ParquetFile(file)
            names = [fields[place].name for place in places.values()]
            records = next(parquet.iter_batches(FIRST_RECORDS, columns=names), None)
    except (pa.ArrowException, OSError, ValueError):
        records = None
    if records is None or not places:
        values = {name: pl.Series(dtype=pl.String) for name in places}
    else:
        columns = [_write_text(_find_field(records, name)) for name in names]
        values = dict(zip(places, columns, strict=True))
    count = max(map(len, values.values()), default=0)
    return FirstRows(values, count, is_whole=count == footer.records)


def _find_field(records: pa.RecordBatch, name: str) -> pa.Array:
    """Return a field by its dotted name; a name of the file may have dots itself."""
    if name in records.schema.names:
        return records.column(name)
    outer = next(one for one in records.schema.names if name.startswith(f"{one}."))
    return _find_field(
        pa.RecordBatch.from_struct_array(records.column(outer)), name[len(outer) + 1 :]
    )


def _read_beginning(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return the whole lines at the beginning of a text, and whether the text ends there."""
    read = bytearray()
    for piece in pieces:
        read += piece
        if len(read) > FIRST_BYTES:
            return bytes(read[: read.rfind(b"\n") + 1]), False
    return bytes(read), True


def _write_text(column: pa.Array) -> pl.Series:
    """Return the beginnings of values as text; null for no value, and for values of other types."""
    held = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_such(held) for is_such in _TEXT_TYPES):
        return pl.Series([None] * len(column), dtype=pl.String)
    text = pl.Series(column).cast(pl.String).str.head(VALUE_CHARACTERS).str.strip_chars()
    return text.to_frame().select(pl.when(pl.first() != "").then(pl.first())).to_series()
