"""Cells: the cast of a file's values to the contract's types, and why a value does not fit.

Belongs here: the meaning of one value. Does not belong here: lines, files, or whether a value of
the right type is a plausible one (``tasks.validation.validate``).

What a value is, in text and in Parquet alike:

- Surrounding blanks (spaces, tabs, no-break spaces) are not part of it; a value of only blanks is
  empty.
- A number is written in ASCII with a point, and with or without a sign and an exponent: ``+5``,
  ``007``, ``.5``, ``1.2e3``. ``nan``, ``inf`` and ``1e999`` are floats here; validation refuses
  them where the contract bounds the column.
- A decimal in a column of whole numbers is rounded to a whole number that is very near: 14.0, and
  13.999999999999998 from floating-point work, are 14; 14.5 is refused.
- ``True`` and ``False``, in any case of letters, are 1 and 0 in a column that is declared as a
  flag.
- A float is rounded to the resolution of its column, so that two values that mean the same are
  equal from here on: in the database, in drift and for every detector.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import polars as pl

from expectations.contract import Column
from expectations.errors import InputRejectedError

BLANKS = " \t\u00a0"
"""Characters that are removed from both ends of a value. Spreadsheets and web pages pad with the
no-break space."""
BLANK_BEGINNINGS = tuple({blank.encode()[:1] for blank in BLANKS})
"""The first byte of each in UTF-8: a text without any of these has no blank."""

WHOLE_WITHIN = 1e-6
"""Largest distance of a decimal from the whole number that it is rounded to. A guess: a million
times the error of an operation on doubles in the thousands, and a thousandth of a decimal that a
person would write."""

BORDER = 3 / 8
"""Where, between two multiples of a resolution, rounding changes from down to up. It is not the
half: 1/128 is 7,812.5 millionths, so floating-point errors would decide how it is rounded. A number
of millionths at this border is a fraction whose denominator 512 divides: every ratio of up to 511
connections is at least 2e-10 away from it."""

EXACT_STEPS = 2.0**53
"""Beyond so many steps of a resolution, doubles of two neighbouring steps are equal."""

HALF_FLOAT_DIGITS = 3
"""Digits that a float of 16 bits holds: it returns 0.33 as 0.33007812."""

_DECIMAL = re.compile(r"[+-]?(\d++(\.\d*+)?|\.\d++)(e[+-]?\d++)?", re.ASCII | re.IGNORECASE)
_TRUTH = {"true": 1, "false": 0}
_NO_VALUE = frozenset({"null", "none", "na", "n/a", "nan", "nil", "-", "--", "?", ".", r"\n"})
"""How other programs write a missing value."""
_UNSTORABLE = r"[\x00\r\n]"
"""A field must not have a line end, and PostgreSQL stores no text with NUL."""
_SHOWN_CHARACTERS = 40
"""How much of a cell a reason quotes. A guess: enough to recognise it."""
_INT64_LIMIT = 2**63
"""Int64 holds numbers below it, and down to its negative."""
_INT64_DIGITS = 19


def may_be_empty(column: Column) -> bool:
    """Return whether a row without this cell can be scored: it is nullable, or never read."""
    return column.nullable or column.role in {"label", "ignored"}


def is_blank(text: pl.Series) -> pl.Series:
    """Mark the empty cells of a column of text."""
    return text.fill_null("").str.strip_chars(BLANKS) == ""


def cast_cells(cells: pl.DataFrame, columns: Sequence[Column], source: str) -> pl.DataFrame:
    """Return columns in their declared types; null if a cell is empty or does not fit.

    Args:
        cells: at least the columns given, as text or as a Parquet file's own types.
        columns: the columns wanted.
        source: the file, for messages.

    Raises:
        InputRejectedError: a whole column is of a type that cannot hold such values.
    """
    held = cells.schema  # each access makes it again
    values = cells.select(
        _cast(column, held[column.name], source).alias(column.name) for column in columns
    )
    exact = [
        _read_integers(values[column.name], cells[column.name], column)
        for column in columns
        if column.dtype.is_integer() and _is_written(held[column.name])
    ]
    return round_to_resolution(values.with_columns(exact), columns)


def round_to_resolution(values: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """Return a frame whose floats are rounded to the resolution of their columns.

    0.33 becomes the double that the text ``0.33`` is read as, and a number near zero becomes 0.0
    without a sign. Infinity, NaN and numbers too large for the resolution stay as they are.
    """
    resolutions = {
        column.name: column.resolution
        for column in columns
        if column.dtype.is_float() and column.resolution is not None
    }
    if not resolutions:
        return values
    floats = pl.col(*resolutions)
    lows, highs = values.select(floats.min()).row(0), values.select(floats.max()).row(0)
    return values.with_columns(
        _settle(name, resolution, low or 0.0, high or 0.0)
        for (name, resolution), low, high in zip(resolutions.items(), lows, highs, strict=True)
    )


def _settle(name: str, resolution: float, low: float, high: float) -> pl.Expr:
    """Return a column of floats, between two known values, rounded to a resolution."""
    value = pl.col(name)
    settled = (value + (1 / 2 - BORDER) * resolution).round(-round(math.log10(resolution)))
    if low < 0:
        settled += 0.0  # which takes the sign of a zero
    limit = EXACT_STEPS * resolution
    if -limit < low and high < limit:
        return settled
    return pl.when(value.abs() < limit).then(settled).otherwise(value).alias(name)


def _cast(column: Column, held: pl.DataType, source: str) -> pl.Expr:
    """Return the cast of one column from its type in the file."""
    cell = pl.col(column.name)
    is_number = held.is_numeric() or held == pl.Boolean
    if not (_is_text(held) or held.is_integer() or (is_number and not column.is_categorical)):
        expected = "text" if column.is_categorical else "numbers"
        shown = str(held)[:_SHOWN_CHARACTERS]
        msg = (
            f"Cannot read {source}: its column {column.name} is {shown}, expected {expected}."
            f" Write it as {expected} and deliver the file again; none of its rows is stored."
        )
        raise InputRejectedError(msg)
    if column.is_categorical:
        name = cell.cast(pl.String).str.strip_chars(BLANKS)
        return pl.when((name != "") & ~name.str.contains(_UNSTORABLE)).then(name)
    if _is_text(held) or (held.is_decimal() and column.dtype.is_integer()):
        cell = cell.cast(pl.String).str.strip_chars(BLANKS)
    elif held.is_float() and column.dtype.is_integer():
        number = cell.cast(pl.Float64)
        cell = number.round()
        is_whole = ((number - cell).abs() < WHOLE_WITHIN) & cell.is_between(
            -float(_INT64_LIMIT), float(_INT64_LIMIT), closed="left"
        )
        cell = pl.when(is_whole).then(cell)
    elif held == pl.Float16:
        cell = cell.cast(pl.Float64).round_sig_figs(HALF_FLOAT_DIGITS)
    return cell.cast(column.dtype, strict=False)


def _is_text(held: pl.DataType) -> bool:
    return isinstance(held, pl.String | pl.Categorical | pl.Enum | pl.Null)


def _is_written(held: pl.DataType) -> bool:
    """Return whether a type holds numbers as digits."""
    return _is_text(held) or held.is_decimal()


def _read_integers(numbers: pl.Series, cells: pl.Series, column: Column) -> pl.Series:
    """Return whole numbers, with those read from ``cells`` that are null in ``numbers``.

    Most of those have zeros after a point. Each other text is read once.
    """
    if not numbers.null_count():
        return numbers
    bare = cells.cast(pl.String).str.strip_chars(BLANKS)
    numbers = numbers.fill_null(bare.str.replace(r"\.0*$", "").cast(column.dtype, strict=False))
    others = bare.filter(numbers.is_null() & (bare != "")).unique()
    read = {text: _read_integer(text, column) for text in others}
    found = [text for text, number in read.items() if number is not None]
    if not found:
        return numbers
    exact = pl.Series([read[text] for text in found], dtype=column.dtype)
    return numbers.fill_null(bare.replace_strict(found, exact, default=None))


def _read_integer(text: str, column: Column) -> int | None:
    """Return one whole number; None if the text is none, or it does not fit in 64 bits."""
    if column.is_flag and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    number = _read_decimal(text)
    if number is None or number.adjusted() >= _INT64_DIGITS:
        return None
    whole = round(number)
    is_whole = abs(number - whole) < WHOLE_WITHIN
    return whole if is_whole and -_INT64_LIMIT <= whole < _INT64_LIMIT else None


def _read_decimal(text: str) -> Decimal | None:
    """Return the exact number; None if the text is none."""
    try:
        return Decimal(text) if _DECIMAL.fullmatch(text) else None
    except InvalidOperation:  # its exponent has too many digits for Decimal
        return None


def find_bad_cells(
    cells: pl.DataFrame, values: pl.DataFrame, columns: Sequence[Column]
) -> dict[int, list[str]]:
    """Return which cells are at fault, for each row that cannot be used.

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
        blank = is_blank(text)
        at_fault = value.is_null() & ~blank if may_be_empty(column) else value.is_null()
        for row in at_fault.arg_true():
            faults.setdefault(row, []).append(_describe(column, text[row], is_blank=blank[row]))
    return dict(sorted(faults.items()))


def _describe(column: Column, text: str, *, is_blank: bool) -> str:
    """Return in words why a cell has no value."""
    if is_blank:
        return f"{column.name}: empty"
    shown = repr(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…")
    if column.is_categorical:
        return f"{column.name}: {shown} holds a line end or NUL"
    bare = text.strip(BLANKS)
    if column.dtype.is_float():
        return f"{column.name}: {shown} is not a number{_advise(column, bare)}"
    number = _read_decimal(bare)
    if number is not None and not -_INT64_LIMIT <= number < _INT64_LIMIT:
        return f"{column.name}: {shown} does not fit in 64 bits"
    return f"{column.name}: {shown} is not an integer{_advise(column, bare)}"


def _advise(column: Column, text: str) -> str:
    """Return what a text that is no number may mean, and how to write it; empty if unknown."""
    advice = ""
    other = next((character for character in text if not character.isascii()), None)
    if text.lower() in _NO_VALUE:
        how = "leave the field empty" if may_be_empty(column) else "a row without it is not scored"
        advice = f": it stands for no value; {how}"
    elif text.lower() in _TRUTH:
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
