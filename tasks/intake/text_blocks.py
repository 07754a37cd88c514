"""Parse blocks of lines into typed frames, with every line accounted for.

Belongs here: the parsing of one block of whole lines. Does not belong here: where blocks come from
(``sources``), which field is which column (``layout``), lines read one by one (``single_lines``).

The fast reader gets only lines that it cannot misread: they have the right number of separators,
and no quote, NUL, stray carriage return or broken UTF-8. For it, runs of blanks become one
separator, and lines in another encoding become UTF-8. So it can neither join two lines nor hide a
ragged one. Every other line, and every line in which it finds no value for a needed cell, is read
one by one, and parsed or quarantined with its reasons. The result depends only on the bytes of a
line, so it does not matter where the blocks are cut.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from expectations.errors import InputRejectedError
from tasks.intake.cells import (
    BLANK_BEGINNINGS,
    cast_cells,
    find_empty,
    is_plain,
    may_be_empty,
    may_be_unread,
)
from tasks.intake.layout import Layout
from tasks.intake.lines import BYTE_ORDER_MARK, LINE_BYTES
from tasks.intake.numbered_lines import NumberedLines, TextLines
from tasks.intake.numerals import drop_non_finite, round_to_resolution, scale_numbers
from tasks.intake.parts import ParsedRows
from tasks.intake.quarantine import list_unparsed
from tasks.intake.simple_lines import find_suspects, separator_of, simplify
from tasks.intake.single_lines import OTHER_HEADER, read_one_by_one

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

MOST_LACKING = 0.02
"""If a number is missing in more than this share of the lines, columns are read again. Measured on
blocks of 52,000 lines: this takes .034 CPU s, about as long as 2,000 lines one by one."""
_MISTAKEN_STARTS = (b"x", BYTE_ORDER_MARK)
"""polars (2.1) takes a text that begins with ``x^`` for a zlib stream. It also drops a byte order
mark, but within a file the mark is part of its line."""


def parse_lines(
    numbered: NumberedLines, layout: Layout, line_bytes: int = LINE_BYTES
) -> ParsedRows:
    """Parse the rows of a block; a line longer than ``line_bytes`` is quarantined.

    Returns:
        Parsed rows by row number, and the others; together every row of the block once.

    Raises:
        InputRejectedError: a header within the file puts the columns in other places.
    """
    lines, is_row = numbered.lines, numbered.is_row
    simple = simplify(lines, layout)
    is_clean = is_row & ~find_suspects(simple, layout)
    is_clean &= lines.ends - lines.starts <= line_bytes
    frame, is_whole = _read_clean(simple, is_clean, layout)
    read = np.flatnonzero(is_clean)
    if not is_whole.all():
        frame, read = frame.filter(is_whole), read[is_whole]
    is_left = is_row.copy()
    is_left[read] = False
    left = np.flatnonzero(is_left)
    raw = [lines.text[lines.starts[line] : lines.ends[line]] for line in left]
    reasons: dict[int, list[str]] = {}
    is_sorted = True
    if raw:
        late, late_index, reasons = read_one_by_one(raw, layout, line_bytes)
        is_sorted = late.is_empty()
        if not is_sorted:
            frame, read = pl.concat([frame, late]), np.concatenate([read, left[late_index]])

    for index, (reason, *_) in reasons.items():
        if reason is OTHER_HEADER:
            msg = (
                f"Cannot read the file: its line {numbered.line_numbers[left[index]]} is a header"
                " that names the columns in another order than the rows above it. Perhaps several"
                " files were joined. Deliver each file by itself; no row of this one is stored."
            )
            raise InputRejectedError(msg)
    numbers = {
        "row_number": numbered.row_numbers[read],
        "line_number": numbered.line_numbers[read],
    }
    parsed = pl.DataFrame(numbers, schema=dict.fromkeys(numbers, pl.Int64)).hstack(frame)
    bad = left[list(reasons)]
    unparsed = list_unparsed(
        numbered.row_numbers[bad],
        numbered.line_numbers[bad],
        list(reasons.values()),
        [raw[index] for index in reasons],
    )
    return ParsedRows(
        parsed=parsed if is_sorted else parsed.sort("row_number"),
        unparsed=unparsed,
        blank_lines=numbered.blank_lines,
        unread_lines=numbered.unread_lines,
    )


def _read_clean(
    lines: TextLines, is_clean: NDArray[np.bool_], layout: Layout
) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
    """Read the clean lines with the fast reader.

    It reads numbers as most files write them. Columns without a value in many lines are read again
    as text, and cast as any text is. So are columns of other kinds, and names that blanks may
    surround.

    Returns:
        The layout's columns, typed, (n_clean,); and bool, (n_clean,): whether every cell that needs
        a value has one, and every cell that may be empty has one or is empty, as far as known.
    """
    rows = int(np.count_nonzero(is_clean))
    if rows == 0:
        schema = {column.name: column.dtype for column in layout.columns}
        return pl.DataFrame(schema=schema), np.ones(0, bool)
    text = _take(lines, is_clean)
    is_guarded = text.startswith(_MISTAKEN_STARTS)
    if is_guarded:
        text = b"0" + separator_of(layout) * (layout.width - 1) + b"\n" + text
    numeric = [one for one in layout.columns if is_plain(one) and not one.is_categorical]
    types: dict[str, PolarsDataType] = {column.name: pl.String() for column in layout.columns}
    types |= {column.name: column.dtype for column in numeric}
    values = _read_columns(text, layout, types)
    again = [column for column in numeric if values[column.name].null_count()]
    lacks = [pl.col(column.name).is_null() for column in again]
    if again and values.select(pl.any_horizontal(lacks).sum()).item() <= MOST_LACKING * rows:
        again = []
    has_blanks = any(byte in text for byte in BLANK_BEGINNINGS if byte != separator_of(layout))
    texts = [
        column
        for column in layout.columns
        if not is_plain(column) or (column.is_categorical and has_blanks)
    ]
    cells = _read_columns(text, layout, {column.name: pl.String() for column in again})
    cells = pl.DataFrame([*(values[column.name] for column in texts), *cells])
    plain = [column for column in numeric if column not in again]
    values = scale_numbers(values, plain).with_columns(
        cast_cells(cells, [*texts, *again], layout.form, "the file")
    )
    is_whole = _find_whole(values, cells, layout)
    values = round_to_resolution(drop_non_finite(values, plain, layout.form), layout.columns)
    values, is_whole = values.slice(int(is_guarded)), is_whole[int(is_guarded) :]
    assert values.height == rows, f"{values.height} rows read of {rows} lines"  # noqa: S101 - our mistake
    return values, is_whole


def _take(lines: TextLines, is_taken: NDArray[np.bool_]) -> bytes:
    """Return the text of some lines."""
    if is_taken.all():
        return lines.text
    edges = np.flatnonzero(np.diff(is_taken, prepend=False, append=False)).reshape(-1, 2)
    view = memoryview(lines.text)
    return b"".join(view[lines.starts[first] : lines.ends[last - 1] + 1] for first, last in edges)


def _find_whole(values: pl.DataFrame, cells: pl.DataFrame, layout: Layout) -> NDArray[np.bool_]:
    """Mark the rows in which every cell is known to be right.

    A number that may be empty and was not read as text may be empty, or no number.

    Args:
        values: all columns, typed and scaled.
        cells: the columns that were read as text.
        layout: of the file.
    """
    is_whole = np.ones(values.height, bool)
    for column in layout.columns:
        is_cast = column.name in cells.columns
        is_any_right = may_be_empty(column) and column.is_categorical
        if is_any_right or (is_cast and may_be_unread(column)):
            continue
        is_fine = values[column.name].is_not_null()
        if (
            not may_be_empty(column)
            and column.dtype.is_float()
            and layout.form.non_finite == "null"
        ):
            is_fine &= values[column.name].is_finite().fill_null(value=False)
        if is_fine.all():
            continue
        if may_be_empty(column) and is_cast:
            is_fine |= find_empty(cells[column.name], column, layout.form)
        is_whole &= is_fine.to_numpy()
    return is_whole


def _read_columns(
    text: bytes, layout: Layout, types: Mapping[str, "PolarsDataType"]
) -> pl.DataFrame:
    """Read some columns of a text, by their declared names; null if a cell does not fit."""
    fields = [f"column_{position + 1}" for position in range(layout.width)]
    names = {
        fields[position]: column.name
        for position, column in zip(layout.positions, layout.columns, strict=True)
        if column.name in types
    }
    if not names:
        return pl.DataFrame()
    return pl.read_csv(
        text,
        separator=separator_of(layout).decode(),
        has_header=False,
        schema={field: types[names[field]] if field in names else pl.String for field in fields},
        columns=list(names),
        quote_char=None,
        null_values=list(layout.form.nulls) or None,
        ignore_errors=True,
    ).rename(names)
