"""Faults: which cells keep a row from being used, and why, in words.

Belongs here: the reason of each such cell, and what to do about it. Does not belong here: what a
value is (``tasks.intake.cells``).
"""

import unicodedata

import polars as pl

from expectations.contract import Column
from tasks.intake.cells import (
    BLANKS,
    SHOWN_CHARACTERS,
    find_empty,
    may_be_empty,
    may_be_unread,
    write_texts,
)
from tasks.intake.layout import Layout
from tasks.intake.numerals import INT64_LIMIT, TRUTH, read_decimal
from tasks.intake.times import USUAL

_NO_VALUE = frozenset({"null", "none", "na", "n/a", "nan", "nil", "-", "--", "?", ".", r"\n"})
"""How other programs write a missing value."""


def find_bad_cells(
    cells: pl.DataFrame, values: pl.DataFrame, layout: Layout
) -> dict[int, list[str]]:
    """Return which cells are at fault, for each row that cannot be used.

    Args:
        cells: one row per record, as the file holds them.
        values: the same rows, cast by ``tasks.intake.cells.cast_cells``.
        layout: of the file; its columns are those of both.

    Returns:
        Row index -> reasons in the order of the columns; rows in ascending order. Rows without
        fault are absent.
    """
    faults: dict[int, list[str]] = {}
    for column in layout.columns:
        value = values[column.name]
        if not value.null_count() or may_be_unread(column):
            continue
        at_fault = value.is_null()
        empty = find_empty(cells[column.name], column, layout.form)
        if may_be_empty(column):
            at_fault &= ~empty
        if not at_fault.any():
            continue
        shown = cells[column.name]
        if isinstance(shown.dtype, pl.List):
            shown = write_texts(shown)
        shown = shown.cast(pl.String, strict=False).fill_null("")
        called = layout.called[column.name]
        for row in at_fault.arg_true():
            words = _describe_empty(shown[row]) if empty[row] else _describe(column, shown[row])
            faults.setdefault(row, []).append(f"{called}: {words}")
    return dict(sorted(faults.items()))


def _describe_empty(text: str) -> str:
    """Return in words why a cell holds no value."""
    bare = text.strip(BLANKS)
    return f"empty, written as {bare!r}" if bare else "empty"


def _describe(column: Column, text: str) -> str:
    """Return in words why a text is no value of its column."""
    shown = repr(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…")
    if column.is_categorical:
        return f"{shown} holds a line end or NUL"
    bare = text.strip(BLANKS)
    number = read_decimal(bare)
    if column.kind == "time":
        fault = f"is not a time in the form {' or '.join(column.formats or USUAL)}"
    elif column.kind == "interval" and column.formats:
        fault = "is not a length of time such as 01:02:03.5"
    elif column.dtype.is_float():
        fault = f"is not a number{_advise(column, bare)}"
    elif number is not None and not -INT64_LIMIT <= number < INT64_LIMIT:
        fault = "does not fit in 64 bits"
    elif column.kind == "port":
        fault = "is not a port: write its number"
    elif column.scale != 1:
        fault = f"times {column.scale:g} is not an integer{_advise(column, bare)}"
    else:
        fault = f"is not an integer{_advise(column, bare)}"
    return f"{shown} {fault}"


def _advise(column: Column, text: str) -> str:
    """Return what a text that is no number may mean, and how to write it; empty if unknown."""
    advice = ""
    other = next((character for character in text if not character.isascii()), None)
    if text.lower() in _NO_VALUE:
        how = "leave the field empty" if may_be_empty(column) else "a row without it is not scored"
        advice = f": it stands for no value; {how}"
    elif text.lower() in TRUTH:
        advice = ": only a flag is true or false"
    elif "," in text:
        advice = ": write it without a comma, and decimals with a point"
    elif text.endswith("%"):
        advice = ": write 33% as 0.33"
    elif text.startswith(("b'", 'b"')):
        advice = ": it is what Python shows of bytes; write it without b and quotes"
    elif other is not None:
        name = unicodedata.name(other, "without a name")
        advice = f": U+{ord(other):04X} ({name}) is no part of a number"
    return advice
