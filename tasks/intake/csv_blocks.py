"""Parse blocks of CSV lines into typed frames, with every line accounted for.

Belongs here: the parsing of one block of whole lines. Does not belong here: where blocks come from
(``sources``), which field is which column (``layout``), lines read one by one (``single_lines``).

The fast reader gets only lines that it cannot misread: they have the right number of separators,
and no quote, NUL, stray carriage return or broken UTF-8. So it can neither join two lines nor hide
a ragged one. Every other line, and every line in which it finds no value for a needed cell, is read
one by one, and parsed or quarantined with its reasons. The result depends only on the bytes of a
line, so it does not matter where the blocks are cut.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from expectations.errors import InputRejectedError
from tasks.intake.cells import (
    BLANK_BEGINNINGS,
    cast_cells,
    is_blank,
    may_be_empty,
    round_to_resolution,
)
from tasks.intake.layout import Layout
from tasks.intake.lines import BYTE_ORDER_MARK, LINE_BYTES
from tasks.intake.numbered_lines import FEW, NumberedLines, TextLines
from tasks.intake.parts import ParsedRows
from tasks.intake.quarantine import QUARANTINE_SCHEMA
from tasks.intake.single_lines import OTHER_HEADER, read_one_by_one

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

_NON_ASCII = 0x80
"""In UTF-8, this byte and all higher ones belong to characters of several bytes."""
MIN_QUOTES_PER_LINE = 0.01
"""Below this, which is a quoted field in every two hundredth line, lines with quotes are read one
by one. Measured on blocks of 74,000 lines: removing any number of quotes costs .03 CPU s; one by
one costs .035 with a quoted field in every hundredth line, and 1.4 with one in each line."""
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
    simple = _remove_plain_quotes(lines)
    is_clean = is_row & ~_find_suspects(simple, layout.width)
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
    unparsed = pl.DataFrame(
        {
            "row_number": numbered.row_numbers[bad],
            "line_number": numbered.line_numbers[bad],
            "stage": ["ingest"] * len(bad),
            "reasons": _as_lists(list(reasons.values())),
            "raw": [raw[index] for index in reasons],
        },
        schema=QUARANTINE_SCHEMA,
    )
    return ParsedRows(
        parsed=parsed if is_sorted else parsed.sort("row_number"),
        unparsed=unparsed,
        blank_lines=numbered.blank_lines,
    )


def _as_lists(texts: Sequence[Sequence[str]]) -> pl.Series:
    """Return a column of lists of texts, none of them empty.

    polars makes a series from each list, in 14 us; from all texts at once it makes one series.
    """
    owners = np.repeat(np.arange(len(texts)), [len(some) for some in texts])
    flat = pl.DataFrame(
        {"owner": owners, "text": [text for some in texts for text in some]},
        schema={"owner": pl.Int64, "text": pl.String},
    )
    return flat.group_by("owner", maintain_order=True).agg("text")["text"]


def _remove_plain_quotes(lines: TextLines) -> TextLines:
    """Remove the quotes of lines whose every quote opens or closes a whole field of plain text.

    Many files quote all their texts; read one by one, their lines cost twenty times as much. A
    quote is plain if it opens just after a separator or closes just before one, and no separator or
    other quote lies between the two. A line with any other quote keeps all its quotes.
    """
    quotes = lines.find(b'"')
    if len(quotes) <= MIN_QUOTES_PER_LINE * len(lines.ends):
        return lines
    counts = lines.count(b'"')
    line = np.repeat(np.arange(len(counts)), counts)
    ordinal = np.arange(len(quotes)) - (np.cumsum(counts) - counts)[line]
    is_opening = ordinal % 2 == 0
    outside = np.where(is_opening, lines.content[quotes - 1], lines.content[quotes + 1])
    is_comma = (lines.content == ord(",")).view(np.uint8)
    commas_to_next = np.add.reduceat(is_comma, quotes, dtype=np.int32)
    is_plain = (outside == ord(",")) | (outside == ord("\n"))
    is_plain &= ~is_opening | (commas_to_next == 0)
    is_plain_line = counts % 2 == 0
    is_plain_line[line[~is_plain]] = False
    is_kept = np.ones(len(lines.content), bool)
    is_kept[quotes[is_plain_line[line]]] = False
    return TextLines(lines.content[is_kept].tobytes())


def _find_suspects(lines: TextLines, width: int) -> NDArray[np.bool_]:
    """Mark the lines that the fast reader must not get; bool, (n_lines,)."""
    is_suspect: NDArray[np.bool_] = lines.count(b",") != width - 1
    for byte in (b'"', b"\0", b"\r"):
        is_suspect[lines.at(lines.find(byte))] = True
    if not lines.text.isascii():
        is_suspect[_find_broken(lines)] = True
    return is_suspect


def _find_broken(lines: TextLines) -> list[int]:
    """Return the lines that may not be UTF-8.

    Up to ``FEW`` bytes above ASCII: the broken lines. With more: none where the block as a whole is
    UTF-8, else every line with such a byte.
    """
    others = np.flatnonzero(lines.content >= _NON_ASCII)
    if len(others) > FEW and _decode(lines.text) is not None:
        return []
    found: list[int] = np.unique(lines.at(others)).tolist()
    if len(others) > FEW:
        return found
    return [
        one for one in found if _decode(lines.text[lines.starts[one] : lines.ends[one]]) is None
    ]


def _decode(text: bytes) -> str | None:
    """Return decoded UTF-8; None if it is not UTF-8."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return None


def _read_clean(
    lines: TextLines, is_clean: NDArray[np.bool_], layout: Layout
) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
    """Read the clean lines with the fast reader.

    It reads numbers as most files write them. Columns without a value in many lines are read again
    as text, and cast as any text is; so are names that blanks may surround.

    Returns:
        The layout's columns, typed, (n_clean,); and bool, (n_clean,): whether every cell that needs
        a value has one, and every cell that may be empty has one or is empty, as far as known.
    """
    rows = int(np.count_nonzero(is_clean))
    types = {column.name: column.dtype for column in layout.columns}
    if rows == 0:
        return pl.DataFrame(schema=types), np.ones(0, bool)
    text = lines.text
    if rows < len(is_clean):
        edges = np.flatnonzero(np.diff(is_clean, prepend=False, append=False)).reshape(-1, 2)
        view = memoryview(text)
        text = b"".join(
            view[lines.starts[first] : lines.ends[last - 1] + 1] for first, last in edges
        )
    is_guarded = text.startswith(_MISTAKEN_STARTS)
    if is_guarded:
        text = b"0" + b"," * (layout.width - 1) + b"\n" + text
    values = _read_columns(text, layout, types)
    again = [
        column
        for column in layout.columns
        if not column.is_categorical and values[column.name].null_count()
    ]
    lacks = [pl.col(column.name).is_null() for column in again]
    if again and values.select(pl.any_horizontal(lacks).sum()).item() <= MOST_LACKING * rows:
        again = []
    if any(byte in text for byte in BLANK_BEGINNINGS):
        again += [column for column in layout.columns if column.is_categorical]
    cells = _read_columns(text, layout, {column.name: pl.String() for column in again})
    values = round_to_resolution(
        values.with_columns(cast_cells(cells, again, "the file")), layout.columns
    )
    is_whole = np.ones(values.height, bool)
    for column in layout.columns:
        is_fine = values[column.name].is_not_null()
        if is_fine.all():
            continue
        if may_be_empty(column) and column.is_categorical:
            continue
        if may_be_empty(column) and column in again:
            is_fine |= is_blank(cells[column.name])
        is_whole &= is_fine.to_numpy()
    values, is_whole = values.slice(int(is_guarded)), is_whole[int(is_guarded) :]
    assert values.height == rows, f"{values.height} rows read of {rows} lines"  # noqa: S101 - our mistake
    return values, is_whole


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
        has_header=False,
        schema={field: types[names[field]] if field in names else pl.String for field in fields},
        columns=list(names),
        quote_char=None,
        ignore_errors=True,
    ).rename(names)
