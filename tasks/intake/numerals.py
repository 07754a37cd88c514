"""Numbers in cells: whole numbers however they are written, units, and rounding.

Belongs here: the arithmetic of a column's numbers. Does not belong here: blanks, missing values and
types of files (``tasks.intake.cells``).
"""

import math
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import numpy as np
import polars as pl

from expectations.contract import Column, Form

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

_DECIMAL = re.compile(r"[+-]?(\d++(\.\d*+)?|\.\d++)(e[+-]?\d++)?", re.ASCII | re.IGNORECASE)
_HEX_PORT = r"^0[xX]([0-9a-fA-F]{1,4})$"
TRUTH = {"true": 1, "false": 0}
"""Words for the values of a flag."""
INT64_LIMIT = 2**63
"""Int64 holds numbers below it, and down to its negative."""
_INT64_DIGITS = 19


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


def scale_numbers(values: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """Return a frame whose floats are in the units of their columns.

    Where the scale is a whole part of 1, such as .001, the number is divided: 1.5 ms then is the
    double that 0.0015 is read as.
    """
    scaled = []
    for column in columns:
        if column.dtype.is_float() and column.scale != 1:
            whole = round(1 / column.scale)
            is_part = whole > 1 and math.isclose(whole * column.scale, 1, rel_tol=1e-12)
            number = values[column.name]
            # polars (2.1) divides by one number as it multiplies by its inverse: that rounds twice.
            parts = pl.Series(np.full(len(number), float(whole)))
            scaled.append(number / parts if is_part else number * column.scale)
    return values.with_columns(scaled)


def drop_non_finite(values: pl.DataFrame, columns: Sequence[Column], form: Form) -> pl.DataFrame:
    """Return a frame without infinity and NaN, if the contract takes them for null."""
    if form.non_finite != "null":
        return values
    floats = [pl.col(column.name) for column in columns if column.dtype.is_float()]
    return values.with_columns(pl.when(one.is_finite()).then(one) for one in floats)


def read_integers(numbers: pl.Series, bare: pl.Series, column: Column) -> pl.Series:
    """Return whole numbers, with those read from bare texts that are null in ``numbers``.

    Most of those have zeros after a point. Each other text is read once.
    """
    if not numbers.null_count():
        return numbers
    numbers = numbers.fill_null(bare.str.replace(r"\.0*$", "").cast(column.dtype, strict=False))
    if column.kind == "port":
        ports = bare.str.extract(_HEX_PORT).str.to_integer(base=16, strict=False)
        numbers = numbers.fill_null(ports)
    others = bare.filter(numbers.is_null() & (bare != "")).unique()
    read = {text: _read_integer(text, column) for text in others}
    found = [text for text, number in read.items() if number is not None]
    if not found:
        return numbers
    exact = pl.Series([read[text] for text in found], dtype=column.dtype)
    return numbers.fill_null(bare.replace_strict(found, exact, default=None))


def _read_integer(text: str, column: Column) -> int | None:
    """Return one whole number; None if the text is none, or it does not fit in 64 bits."""
    if column.is_flag and text.lower() in TRUTH:
        return TRUTH[text.lower()]
    number = read_decimal(text)
    if number is None or number.adjusted() >= _INT64_DIGITS:
        return None
    whole = round(number)
    is_whole = abs(number - whole) < WHOLE_WITHIN
    return whole if is_whole and -INT64_LIMIT <= whole < INT64_LIMIT else None


def read_decimal(text: str) -> Decimal | None:
    """Return the exact number; None if the text is none."""
    try:
        return Decimal(text) if _DECIMAL.fullmatch(text) else None
    except InvalidOperation:  # its exponent has too many digits for Decimal
        return None
