"""Parquet files as records: checked, streamed in slices, cast to the contract's types.

Belongs here: what is particular to Parquet. Does not belong here: what makes a cell bad
(``tasks.intake.cells``). A Parquet file has no lines: a record's line number is its row number, and
its raw form is the record rendered as a line of CSV.

A repeated value takes almost no space in Parquet, so a small file may hold more than fits in any
memory. polars does not copy such values; so texts longer than the limit of a line are left out, or
cut, before any other work.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from tasks.intake.cells import cast_cells
from tasks.intake.faults import find_bad_cells
from tasks.intake.layout import Layout, arrange_columns
from tasks.intake.lines import HEAD_BYTES, LINE_BYTES, describe_long_line
from tasks.intake.parquet_files import Field, check_pages, read_encodings, read_footer, refusing
from tasks.intake.parts import ParsedRows
from tasks.intake.quarantine import HELD_BYTES, QUARANTINE_SCHEMA

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

FEWEST_CELL_BYTES = 2
"""Fewest bytes of a cell as text: a digit and a separator."""
MOST_NUMBER_BYTES = 48
"""Most bytes of a cell that is no text: a decimal of 38 digits, its sign, its point and a
separator, rounded up."""
MOST_DECIMAL_DIGITS = 38
"""Most digits of a decimal that polars (2.1) casts."""
NO_DECIMALS = frozenset({"DELTA_BYTE_ARRAY", "BYTE_STREAM_SPLIT"})
"""The encodings of bytes of a fixed length, as decimals are, that polars (2.1) does not decode."""


def read_layout(source: Path, contract: Contract, limit_bytes: int) -> Layout:
    """Return which column of a Parquet file is which declared one.

    Repeated values take almost no space in Parquet, so the size that is limited is the larger of
    two: the fewest bytes of all cells as text, and the size in the footer.

    Raises:
        InputRejectedError: the file is damaged, too large or too wide, or lacks a feature.
    """
    footer = read_footer(source)
    fewest = footer.records * len(footer.names) * FEWEST_CELL_BYTES
    if max(fewest, footer.size_bytes) > limit_bytes:
        message = (
            f"Cannot read {source}: its records hold more than {limit_bytes:,} bytes, the limit"
            " that NOCTULE_MAX_FILE_BYTES sets. None of it is stored. Deliver it in parts; or, if"
            " its size is right, raise the limit and replay the batch."
        )
        raise InputRejectedError(message)
    if sum(len(name.encode()) + 1 for name in footer.names) > HEAD_BYTES:
        message = (
            f"Cannot read {source}: the names of its {len(footer.names):,} columns together are"
            f" longer than {HEAD_BYTES} bytes. Deliver it without the columns that"
            f" {contract.name} does not declare."
        )
        raise InputRejectedError(message)
    return arrange_columns(footer.names, contract, source, header_line=0)


def parse_records(
    source: Path, layout: Layout, slice_rows: int, line_bytes: int = LINE_BYTES
) -> Iterator[ParsedRows]:
    """Yield a Parquet file's records, at most ``slice_rows`` at a time, parsed or not.

    A record whose texts are longer than ``line_bytes`` is quarantined.

    Raises:
        InputRejectedError: the file is damaged, or a column has a type that does not fit.
    """
    fields = read_footer(source).fields
    slice_rows = min(slice_rows, check_pages(source, _name_nested(fields, layout.positions)))
    declared = [
        _select(fields[place]).alias(column.name)
        for place, column in zip(layout.positions, layout.columns, strict=True)
    ]
    records = pl.scan_parquet(source, glob=False)
    first = 0
    while True:
        with refusing(source, is_whole=True):
            cells = records.select(declared).slice(first, slice_rows).collect()
        if cells.is_empty():
            return
        cells, is_long = _leave_out_long(_write_lists(cells), line_bytes)
        cells = _write_labels(cells, layout)
        values = cast_cells(cells, layout.columns, layout.form, str(source))
        reasons = find_bad_cells(cells, values, layout)
        reasons |= {row: [describe_long_line(line_bytes)] for row in is_long.arg_true()}
        numbers = pl.int_range(first + 1, first + 1 + cells.height, dtype=pl.Int64, eager=True)
        parsed = pl.DataFrame({"row_number": numbers, "line_number": numbers}).hstack(values)
        bad = sorted(reasons)
        if bad:
            parsed = parsed.filter(~numbers.is_in(numbers[bad].implode()))
        yield ParsedRows(parsed, pl.DataFrame(schema=QUARANTINE_SCHEMA))
        if bad:
            with refusing(source, is_whole=True):
                raw = _by_place(source, layout.positions).slice(first, slice_rows).collect()[bad]
            for lines in _render(raw, layout.width, line_bytes):
                rows, bad = bad[: len(lines)], bad[len(lines) :]
                unparsed = {
                    "row_number": numbers[rows],
                    "line_number": numbers[rows],
                    "stage": ["ingest"] * len(rows),
                    "reasons": [reasons[row] for row in rows],
                    "raw": lines,
                }
                yield ParsedRows(parsed.clear(), pl.DataFrame(unparsed, schema=QUARANTINE_SCHEMA))
        first += slice_rows


def read_rendered(
    source: Path,
    row_numbers: Collection[int],
    line_bytes: int = LINE_BYTES,
    places: Sequence[int] = (),
) -> dict[int, bytes]:
    """Return some records of a Parquet file as lines of CSV, by row number from 1, ascending.

    Numbers beyond the file are ignored. A line longer than ``line_bytes`` is cut to one byte more,
    by which it is recognised.

    Raises:
        InputRejectedError: damaged.
    """
    footer = read_footer(source)
    held_rows = check_pages(source, _name_nested(footer.fields, places))
    names, count = footer.names, footer.records
    wanted = sorted(row for row in row_numbers if row <= count)
    rendered: dict[int, bytes] = {}
    for first in range(0, count, held_rows):
        rows = wanted[bisect_right(wanted, first) : bisect_right(wanted, first + held_rows)]
        if rows:
            with refusing(source, is_whole=True):
                held = _by_place(source, places).slice(first, held_rows).collect()
            found = held[[row - first - 1 for row in rows]]
            lines = (line for some in _render(found, len(names), line_bytes) for line in some)
            rendered |= zip(rows, lines, strict=True)
    return rendered


def _write_labels(cells: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Return cells with labels as text where they are numbers or Booleans."""
    labels = [column.name for column in layout.columns if column.role == "label"]
    types = {name: cells.schema[name] for name in labels}
    return cells.with_columns(
        pl.col(name).cast(pl.String)
        for name, dtype in types.items()
        if dtype.is_numeric() or dtype == pl.Boolean
    )


def _leave_out_long(cells: pl.DataFrame, line_bytes: int) -> tuple[pl.DataFrame, pl.Series]:
    """Return cells without the texts of records that are longer than a line may be.

    Returns:
        The cells; and Boolean, (n_records,): whether a record's texts were too long.
    """
    sizes = {name: _text_size(name, dtype) for name, dtype in cells.schema.items()}
    texts = {name: size.fill_null(0) for name, size in sizes.items() if size is not None}
    is_long = cells.select(pl.sum_horizontal(pl.repeat(0, pl.len()), *texts.values()) > line_bytes)
    is_short = ~is_long.to_series()
    if not is_short.all():
        cells = cells.with_columns(pl.when(is_short).then(pl.col(name)) for name in texts)
    return cells, ~is_short


def _text_size(name: str, dtype: pl.DataType) -> pl.Expr | None:
    """Return the size of a column's texts, without making them; None if it has no text."""
    if isinstance(dtype, pl.List):
        texts = pl.element().str.len_bytes().cast(pl.Int64)
        return pl.col(name).list.eval(texts).list.sum()
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.col(name).cat.len_bytes().cast(pl.Int64)
    return pl.col(name).str.len_bytes().cast(pl.Int64) if dtype == pl.String else None


def _name_nested(fields: Sequence[Field], places: Collection[int]) -> list[str]:
    """Return the names of those of some fields, by their places, that are not flat."""
    return [fields[place].name for place in places if not fields[place].is_flat]


def _select(field: Field) -> pl.Expr:
    """Return the values of a field."""
    first, *others = field.path
    values = pl.nth(first)
    for place in others:
        values = values.struct[place]
    return values


def _write_lists(cells: pl.DataFrame) -> pl.DataFrame:
    """Return cells whose lists of single values are lists of texts."""
    return cells.with_columns(
        pl.col(name).cast(pl.List(pl.String))
        for name, dtype in cells.schema.items()
        if isinstance(dtype, pl.List) and not dtype.inner.is_nested()
    )


def _by_place(source: Path, places: Collection[int]) -> pl.LazyFrame:
    """Return the fields that have a text form, named by their places.

    Of those that are not flat, only those at ``places`` are returned. Structs, lists of lists and
    bytes have no such form. Names in a file may be patterns to polars, or names of ours. A decimal
    that polars (2.1) does not decode is left out too.
    """
    records = pl.scan_parquet(source, glob=False)
    fields = {
        str(place): field
        for place, field in enumerate(read_footer(source).fields)
        if field.is_flat or place in places
    }
    encodings = read_encodings(source, {field.name for field in fields.values()})
    chosen = records.select(_select(field).alias(name) for name, field in fields.items())
    columns = []
    for name, dtype in chosen.collect_schema().items():
        field = fields[name]
        column = _select(field)
        held: PolarsDataType = dtype
        if isinstance(dtype, pl.Extension):
            column, held = column.ext.storage(), dtype.ext_storage()
        elif isinstance(dtype, pl.List) and not dtype.inner.is_nested():
            column, held = column.cast(pl.List(pl.String)).list.join(","), pl.String()
        is_unread = isinstance(held, pl.Decimal) and (
            held.precision > MOST_DECIMAL_DIGITS
            or encodings.get(field.name, frozenset()) & NO_DECIMALS
        )
        if not (held.is_nested() or held == pl.Binary or is_unread):
            columns.append(column.alias(name))
    return records.select(columns)


def _render(records: pl.DataFrame, width: int, line_bytes: int) -> Iterator[list[bytes]]:
    """Yield records as lines of CSV, quoted where RFC 4180 requires it.

    Each column is named by its place among the ``width`` fields; a place without a column becomes
    an empty field. As many lines as can be held together are yielded at once.
    """
    most = line_bytes + 1
    fields = []
    longest = 0
    for place in map(str, range(width)):
        if place not in records.columns:
            fields.append(pl.lit(""))
            continue
        dtype = records.schema[place]
        size = _text_size(place, dtype)
        cell = pl.col(place)
        if size is not None:
            longest += min(records.select(size.max()).item() or 0, most)
            cell = cell.str.head(most) if dtype == pl.String else cell.cat.slice(0, most)
        elif dtype == pl.Duration:  # the one type that polars (2.1) casts to no text
            cell = cell.dt.to_string("iso")
        longest += MOST_NUMBER_BYTES
        text = cell.cast(pl.String).fill_null("")
        quoted = pl.format('"{}"', text.str.replace_all('"', '""', literal=True))
        fields.append(pl.when(text.str.contains('[",\r\n]')).then(quoted).otherwise(text))
    line = pl.concat_str(fields, separator=",").cast(pl.Binary).bin.head(most)
    for some in records.iter_slices(max(1, HELD_BYTES // longest)):
        yield some.select(line).to_series().to_list()
