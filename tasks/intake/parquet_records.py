"""Parquet files as records: checked, streamed in slices, cast to the contract's types.

Belongs here: what is particular to Parquet. Does not belong here: what makes a cell bad
(``tasks.intake.cells``). A Parquet file has no lines: a record's line number is its row number, and
its raw form is the record as a line of text (``tasks.intake.parquet_lines``).

A repeated value takes almost no space in Parquet, so a small file may hold more than fits in any
memory. polars does not copy such values; so texts longer than the limit of a line are left out, or
cut, before any other work.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from tasks.intake.cells import cast_cells
from tasks.intake.faults import find_bad_cells
from tasks.intake.layout import Layout, arrange_columns
from tasks.intake.lines import HEAD_BYTES, LINE_BYTES, describe_long_line
from tasks.intake.parquet_files import check_pages, read_footer, refusing
from tasks.intake.parquet_lines import (
    name_nested,
    render,
    select_field,
    select_places,
    text_size,
)
from tasks.intake.parts import ParsedRows
from tasks.intake.quarantine import QUARANTINE_SCHEMA, list_unparsed

FEWEST_CELL_BYTES = 2
"""Fewest bytes of a cell as text: a digit and a separator."""


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
    # Its records are rendered with the first separator.
    separator = contract.form.separators[0]
    return arrange_columns(footer.names, contract, source, header_line=0, separator=separator)


def parse_records(
    source: Path, layout: Layout, slice_rows: int, line_bytes: int = LINE_BYTES
) -> Iterator[ParsedRows]:
    """Yield a Parquet file's records, at most ``slice_rows`` at a time, parsed or not.

    A record whose texts are longer than ``line_bytes`` is quarantined.

    Raises:
        InputRejectedError: the file is damaged, or a column has a type that does not fit.
    """
    fields = read_footer(source).fields
    slice_rows = min(slice_rows, check_pages(source, name_nested(fields, layout.positions)))
    declared = [
        select_field(fields[place]).alias(column.name)
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
                raw = select_places(source, layout).slice(first, slice_rows).collect()[bad]
            for lines in render(raw, layout, line_bytes):
                rows, bad = bad[: len(lines)], bad[len(lines) :]
                some = [reasons[row] for row in rows]
                unparsed = list_unparsed(numbers[rows], numbers[rows], some, lines)
                yield ParsedRows(parsed.clear(), unparsed)
        first += slice_rows


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
    sizes = {name: text_size(name, dtype) for name, dtype in cells.schema.items()}
    texts = {name: size.fill_null(0) for name, size in sizes.items() if size is not None}
    is_long = cells.select(pl.sum_horizontal(pl.repeat(0, pl.len()), *texts.values()) > line_bytes)
    is_short = ~is_long.to_series()
    if not is_short.all():
        cells = cells.with_columns(pl.when(is_short).then(pl.col(name)) for name in texts)
    return cells, ~is_short


def _write_lists(cells: pl.DataFrame) -> pl.DataFrame:
    """Return cells whose lists of single values are lists of texts."""
    return cells.with_columns(
        pl.col(name).cast(pl.List(pl.String))
        for name, dtype in cells.schema.items()
        if isinstance(dtype, pl.List) and not dtype.inner.is_nested()
    )
