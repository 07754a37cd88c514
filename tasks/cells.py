"""Cells: from what a file holds to the contract's types, and in words why one does not fit.

Belongs here: the meaning of one value. Does not belong here: lines, files, or whether a value of
the right type is a plausible one (``tasks.validate``).

A number is what Rust's parsers accept, blanks and tabs around it allowed: ``-5``, ``+5``, ``007``
are integers within 64 bits, ``5.0`` and ``1e3`` are not; ``nan``, ``inf`` and ``1e999`` are floats
here and are refused, where the contract bounds the column, by validation.
"""

import re
from collections.abc import Sequence

import polars as pl

from expectations.contract import Column
from expectations.errors import InputRejectedError

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_BLANKS = " \t"
_UNSTORABLE = r"[\x00\r\n]"
"""A line end has no place in a field, and PostgreSQL has no text with NUL."""
_SHOWN_CHARACTERS = 40
"""How much of a cell a reason quotes. A guess: enough to recognise it."""
_INT64_LIMIT = 2.0**63
"""Floats below it, and at or above its negative, have an Int64."""


def may_be_empty(column: Column) -> bool:
    """Whether a row without this cell can still be scored: it is nullable, or never read."""
    return column.nullable or column.role in {"label", "ignored"}


def is_blank(text: pl.Series) -> pl.Series:
    """Mark the cells of a column of numbers, as text, that hold nothing."""
    return text.fill_null("").str.strip_chars(_BLANKS) == ""


def cast_cells(cells: pl.DataFrame, columns: Sequence[Column], source: str) -> pl.DataFrame:
    """Cast columns to their declared types; null where a cell is empty or does not fit.

    Args:
        cells: at least the columns given, as text or as a Parquet file's own types.
        columns: the columns wanted.
        source: the file, for messages.

    Raises:
        InputRejectedError: a whole column is of a type that cannot hold such values.
    """
    held = cells.schema  # made anew each time it is asked for
    return cells.select(
        _cast(column, held[column.name], source).alias(column.name) for column in columns
    )


def _cast(column: Column, held: pl.DataType, source: str) -> pl.Expr:
    """Express the cast of one column from the type a file holds it in."""
    cell = pl.col(column.name)
    is_text = isinstance(held, pl.String | pl.Categorical | pl.Enum | pl.Null)
    if is_text or (held.is_integer() and column.is_categorical):
        text = cell.cast(pl.String)
        if column.is_categorical:
            is_usable = (text != "") & ~text.str.contains(_UNSTORABLE)
            return pl.when(is_usable).then(text)
        return text.str.strip_chars(_BLANKS).cast(column.dtype, strict=False)
    if column.is_categorical or not (held.is_numeric() or held == pl.Boolean):
        expected = "text" if column.is_categorical else "numbers"
        shown = str(held)[:_SHOWN_CHARACTERS]
        msg = (
            f"Cannot read {source}: its column {column.name} is {shown}, expected {expected}."
            " Write the column in that type and deliver it again; none of its rows is stored."
        )
        raise InputRejectedError(msg)
    if column.dtype.is_integer() and (held.is_float() or held.is_decimal()):
        number = cell.cast(pl.Float64)
        is_whole = (number == number.floor()) & number.is_between(
            -_INT64_LIMIT, _INT64_LIMIT, closed="left"
        )
        return pl.when(is_whole).then(number).cast(column.dtype, strict=False)
    return cell.cast(column.dtype, strict=False)


def find_bad_cells(
    cells: pl.DataFrame, values: pl.DataFrame, columns: Sequence[Column]
) -> dict[int, list[str]]:
    """Say of each row that cannot be used which of its cells are at fault.

    Args:
        cells: one row per record, as the file holds them.
        values: the same rows, cast by ``cast_cells``.
        columns: the columns of both.

    Returns:
        Row index -> reasons in the order of the columns; rows in ascending order. Rows without
        fault are absent.
    """
    faults: dict[int, list[str]] = {}
    for column in columns:
        value = values[column.name]
        if not value.null_count():
            continue
        text = cells[column.name].cast(pl.String, strict=False).fill_null("")
        blank = text == "" if column.is_categorical else is_blank(text)
        at_fault = value.is_null() & ~blank if may_be_empty(column) else value.is_null()
        for row in at_fault.arg_true():
            faults.setdefault(row, []).append(_describe(column, text[row], is_blank=blank[row]))
    return dict(sorted(faults.items()))


def _describe(column: Column, text: str, *, is_blank: bool) -> str:
    """Say in words why a cell has no value."""
    if is_blank:
        return f"{column.name}: empty"
    shown = repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")
    if column.is_categorical:
        return f"{column.name}: {shown} holds a line end or NUL"
    if column.dtype.is_float():
        return f"{column.name}: {shown} is not a number"
    if _INTEGER.fullmatch(text.strip(_BLANKS)):
        return f"{column.name}: {shown} does not fit in 64 bits"
    return f"{column.name}: {shown} is not an integer"
