"""Lines read one by one: those that the fast reader must not be given.

Belongs here: splitting one line into fields, and why a line is no record. Does not belong here:
which lines are read so (``text_blocks``), and what a cell means (``cells``).
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from expectations.names import fold
from tasks.intake.cells import cast_cells
from tasks.intake.faults import find_bad_cells
from tasks.intake.fields import decode_line, split_fields
from tasks.intake.header import is_number
from tasks.intake.layout import Layout
from tasks.intake.lines import describe_long_line

HEADER_AGAIN = "the header again, not a connection"
OTHER_HEADER = "a header of another order"


def read_one_by_one(
    raw: Sequence[bytes], layout: Layout, line_bytes: int
) -> tuple[pl.DataFrame, NDArray[np.int64], dict[int, list[str]]]:
    """Read lines one by one.

    Returns:
        The rows that could be read, in the layout's columns; the index in ``raw`` of each; and
        index -> reasons of all other lines, ascending.
    """
    reasons: dict[int, list[str]] = {}
    rows: list[list[str]] = []
    at: list[int] = []
    for index, line in enumerate(raw):
        fields, faults = _read_line(line, layout, line_bytes)
        if faults:
            reasons[index] = faults
        else:
            rows.append(fields)
            at.append(index)
    by_field = list(zip(*rows, strict=True)) or [()] * layout.width
    cells = pl.DataFrame(
        [
            pl.Series(column.name, by_field[position], dtype=pl.String)
            for position, column in zip(layout.positions, layout.columns, strict=True)
        ]
    )
    values = cast_cells(cells, layout.columns, layout.form, "the file")
    bad = find_bad_cells(cells, values, layout)
    is_good = np.ones(len(rows), bool)
    is_good[list(bad)] = False
    reasons |= {at[row]: words for row, words in bad.items()}
    return values.filter(is_good), np.array(at, np.int64)[is_good], dict(sorted(reasons.items()))


def _read_line(line: bytes, layout: Layout, line_bytes: int) -> tuple[list[str], list[str]]:
    """Return the fields of a line and no faults, or no fields and its faults."""
    if len(line) > line_bytes:
        return [], [describe_long_line(line_bytes)]
    faults = []
    if b"\0" in line:
        faults.append(f"byte {line.index(0) + 1} is NUL")
    if b"\r" in line:
        faults.append(f"byte {line.index(13) + 1} is a carriage return inside the line")
    text = ""
    try:
        text = decode_line(line, layout.form)
    except UnicodeDecodeError as error:
        faults.append(f"byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8")
    if faults:
        return [], faults
    fields = split_fields(text, layout.separator, has_quotes=layout.form.has_quotes)
    if fields is None:
        return [], ["a quote is not closed, or stands inside an unquoted field"]
    if len(fields) != layout.width:
        return [], [f"expected {layout.width} fields, found {len(fields)}"]
    if header := _find_header_again(fields, layout):
        return [], [header]
    return fields, []


def _find_header_again(fields: Sequence[str], layout: Layout) -> str | None:
    """Return what kind of header a line is, the file's own or another; None if it is no header.

    Rows below another header would be read from the wrong fields.
    """
    first = layout.first_number
    if first is not None and is_number(fields[first]):
        return None
    expected = [layout.place_of.get(fold(field)) for field in fields]
    named = sum(place is not None for place in expected)
    if not named or 2 * named < min(layout.width, len(layout.columns)):
        return None
    if any(
        place is not None and place != found and fold(fields[found]) != fold(layout.names[found])
        for found, place in enumerate(expected)
    ):
        return OTHER_HEADER
    return HEADER_AGAIN if layout.header_line else "a header, not a connection"
