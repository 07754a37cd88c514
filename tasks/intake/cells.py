"""Cells: the cast of a file's values to the contract's types.

Belongs here: the meaning of one value, and whether there is one. Does not belong here: lines,
files, why a value does not fit (``tasks.intake.faults``), or whether a value of the right type is a
plausible one (``tasks.validation.validate``). The kinds that are neither numbers nor plain names
are read by ``tasks.intake.times`` and ``tasks.intake.names``, and whole numbers by
``tasks.intake.numerals``.

What a value is, in text and in Parquet alike:

- Surrounding blanks (spaces, tabs, no-break spaces) are not part of it; a value of only blanks is
  empty. So is one of the contract's words for no value, in any column; and infinity and NaN in a
  column of numbers, where the contract says so.
- A number is written in ASCII with a point, and with or without a sign and an exponent: ``+5``,
  ``007``, ``.5``, ``1.2e3``. ``nan``, ``inf`` and ``1e999`` are floats here; validation refuses
  them where the contract bounds the column.
- A decimal in a column of whole numbers is rounded to a whole number that is very near: 14.0, and
  13.999999999999998 from floating-point work, are 14; 14.5 is refused.
- ``True`` and ``False``, in any case of letters, are 1 and 0 in a column that is declared as a
  flag.
- A number is multiplied by the scale of its column; then it is in the column's unit.
- A port may be written with four hexadecimal digits: 0x0050 is 80. The name of a service is none.
- A float is rounded to the resolution of its column, so that two values that mean the same are
  equal from here on: in the database, in drift and for every detector.
"""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from expectations.contract import Column, Form
from expectations.errors import InputRejectedError
from tasks.intake.names import read_addresses, read_protocols, read_sets
from tasks.intake.numerals import (
    INT64_LIMIT,
    WHOLE_WITHIN,
    drop_non_finite,
    read_integers,
    round_to_resolution,
    scale_numbers,
)
from tasks.intake.times import read_clock, read_times, settle_times

BLANKS = " \t\u00a0"
"""Characters that are removed from both ends of a value. Spreadsheets and web pages pad with the
no-break space."""
BLANK_BEGINNINGS = tuple({blank.encode()[:1] for blank in BLANKS})
"""The first byte of each in UTF-8: a text without any of these has no blank."""

HALF_FLOAT_DIGITS = 3
"""Digits that a float of 16 bits holds: it returns 0.33 as 0.33007812."""

NOT_FINITE = r"(?i)^[+-]?(?:inf(?:inity)?|nan)$"
"""How infinity and NaN are written."""

PLAIN_KINDS = frozenset({"number", "count", "ratio", "flag", "interval", "port", "category", "id"})
"""Kinds whose values the reader of polars reads as they are, as a rule."""

UNSTORABLE = r"[\x00\r\n]"
"""A field must not have a line end, and PostgreSQL stores no text with NUL."""
SHOWN_CHARACTERS = 40
"""How much of a cell a message quotes. A guess: enough to recognise it."""


def may_be_empty(column: Column) -> bool:
    """Return whether a row without this cell can be scored: it is nullable, or never read."""
    return column.nullable or column.role in {"label", "ignored"}


def may_be_unread(column: Column) -> bool:
    """Return whether a text that is no value of its column is taken for none.

    It is in an identifier that may be empty: no model gets it, so a port by the name of its service
    does not keep a row from being scored.
    """
    return column.nullable and column.role == "identifier"


def is_plain(column: Column) -> bool:
    """Return whether the values of a column are read as they are, as a rule."""
    is_scaled_whole = column.dtype.is_integer() and column.scale != 1
    return column.kind in PLAIN_KINDS and not column.formats and not is_scaled_whole


def write_texts(cells: pl.Series) -> pl.Series:
    """Return cells of any type as text, without blanks around them; empty where there is none."""
    if isinstance(cells.dtype, pl.List):
        cells = cells.cast(pl.List(pl.String), strict=False).list.join(",", ignore_nulls=True)
    return cells.cast(pl.String, strict=False).fill_null("").str.strip_chars(BLANKS)


def find_empty(cells: pl.Series, column: Column, form: Form) -> pl.Series:
    """Mark the cells of a column that hold no value; Boolean."""
    texts = write_texts(cells)
    is_empty = texts == ""
    if form.nulls:
        is_empty |= texts.is_in(form.nulls)
    if column.kind == "set":
        is_empty |= texts.str.strip_chars(f"{BLANKS},{column.separator}") == ""
    if form.non_finite == "null" and column.dtype.is_numeric():
        is_empty |= texts.str.contains(NOT_FINITE)
        if column.dtype.is_float():
            number = texts.cast(pl.Float64, strict=False) * column.scale
            is_empty |= ~number.is_finite().fill_null(value=True)
    return is_empty


def cast_cells(
    cells: pl.DataFrame, columns: Sequence[Column], form: Form, source: str
) -> pl.DataFrame:
    """Return columns in their declared types; null if a cell is empty or does not fit.

    Args:
        cells: at least the columns given, as text or as a file's own types.
        columns: the columns wanted.
        form: of the contract.
        source: the file, for messages.

    Raises:
        InputRejectedError: a whole column is of a type that cannot hold such values.
    """
    held = cells.schema  # each access makes it again
    for column in columns:
        _require_type(column, held[column.name], source)
    plain = [column for column in columns if is_plain(column)]
    values = cells.select(
        _cast(column, held[column.name], form).alias(column.name) for column in plain
    )
    exact = [
        read_integers(
            values[column.name],
            cells.select(_bare(pl.col(column.name), form)).to_series(),
            column,
        )
        for column in plain
        if column.dtype.is_integer()
        and _is_written(held[column.name])
        and values[column.name].null_count()
    ]
    others = [
        _read_other(cells[column.name], column, form) for column in columns if not is_plain(column)
    ]
    values = pl.DataFrame([*values.with_columns(exact), *others])
    values = drop_non_finite(scale_numbers(values, columns), columns, form)
    return round_to_resolution(values.select(column.name for column in columns), columns)


def _require_type(column: Column, held: pl.DataType, source: str) -> None:
    """Refuse a file of which a whole column cannot hold what is declared."""
    is_number = held.is_numeric() or held == pl.Boolean
    if _is_text(held) or held.is_integer():
        return
    if column.kind == "time":
        expected, is_held = "times", held.is_float() or isinstance(held, pl.Date | pl.Datetime)
    elif column.is_categorical:
        expected = "text"
        is_held = (column.kind == "protocol" and is_number) or (
            column.kind == "set" and isinstance(held, pl.List) and held.inner == pl.String
        )
    else:
        expected = "numbers"
        is_held = is_number or (column.kind == "interval" and held == pl.Duration)
    if not is_held:
        shown = str(held)[:SHOWN_CHARACTERS]
        msg = (
            f"Cannot read {source}: its column {column.name} is {shown}, expected {expected}."
            f" Write it as {expected} and deliver the file again; none of its rows is stored."
        )
        raise InputRejectedError(msg)


def _cast(column: Column, held: pl.DataType, form: Form) -> pl.Expr:
    """Return the cast of one column of a plain kind from its type in the file."""
    cell = pl.col(column.name)
    if column.is_categorical:
        name = _bare(cell, form)
        return pl.when((name != "") & ~name.str.contains(UNSTORABLE)).then(name)
    if _is_text(held) or (held.is_decimal() and column.dtype.is_integer()):
        cell = _bare(cell, form)
    elif held == pl.Duration:
        cell = cell.dt.total_microseconds() / (1_000_000 * column.scale)  # it is scaled again
    elif held.is_float() and column.dtype.is_integer():
        number = cell.cast(pl.Float64)
        cell = number.round()
        is_whole = ((number - cell).abs() < WHOLE_WITHIN) & cell.is_between(
            -float(INT64_LIMIT), float(INT64_LIMIT), closed="left"
        )
        cell = pl.when(is_whole).then(cell)
    elif held == pl.Float16:
        cell = cell.cast(pl.Float64).round_sig_figs(HALF_FLOAT_DIGITS)
    return cell.cast(column.dtype, strict=False)


def _bare(cell: pl.Expr, form: Form) -> pl.Expr:
    """Return texts without blanks around them; null for a word that stands for no value."""
    text = cell.cast(pl.String).str.strip_chars(BLANKS)
    return pl.when(~text.is_in(form.nulls)).then(text) if form.nulls else text


def _read_other(cells: pl.Series, column: Column, form: Form) -> pl.Series:
    """Return the values of a column of a kind that is not plain; null if there is none."""
    if isinstance(cells.dtype, pl.Date | pl.Datetime):
        return settle_times(cells, column)
    texts = write_texts(cells)
    is_value = ~find_empty(cells, column, form)
    if column.is_categorical:
        is_value &= ~texts.str.contains(UNSTORABLE)
    texts = texts.zip_with(is_value, pl.Series(texts.name, [None] * len(texts), dtype=pl.String))
    if column.kind == "set":
        is_list = isinstance(cells.dtype, pl.List)
        return read_sets(texts, "," if is_list else column.separator)
    if column.kind == "time":
        return read_times(texts, column)
    read = {"interval": read_clock, "protocol": read_protocols, "address": read_addresses}
    return read[column.kind](texts) if column.kind in read else _read_scaled(texts, column)


def _read_scaled(texts: pl.Series, column: Column) -> pl.Series:
    """Return whole numbers in the unit of their column, from numbers in another."""
    numbers = texts.cast(pl.Float64, strict=False).to_frame()
    scaled = scale_numbers(numbers, [replace(column, kind="number")])
    whole = _cast(replace(column, scale=1), pl.Float64(), Form())
    return scaled.select(whole.alias(texts.name)).to_series()


def _is_text(held: pl.DataType) -> bool:
    return isinstance(held, pl.String | pl.Categorical | pl.Enum | pl.Null)


def _is_written(held: pl.DataType) -> bool:
    """Return whether a type holds numbers as digits."""
    return _is_text(held) or held.is_decimal()
