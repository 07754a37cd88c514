"""Why a row failed, in words.

Belongs here: the text for a failed expectation and a row. Does not belong here: deciding which rows
fail.
"""

import sys
from typing import TYPE_CHECKING

import polars as pl

from expectations.contract import Contract, RowRule
from expectations.suites import BETWEEN, NOT_NULL, ColumnExpectation, format_number
from storage.text import readable

if TYPE_CHECKING:
    from collections.abc import Mapping

VALUE_CHARACTERS = 80
"""A value is cut after this many characters in a message; the whole line is kept as bytes beside
it. A guess: a line of a terminal."""

OBSERVED = "observed"
REASON = "reason"
VALUE = "value"

NULL = "null"

PYTHON_BYTES = r"""^b('.*'|".*")$"""
BYTES_ADVICE = ": it is what Python shows of bytes; write the name without b and quotes"
"""scikit-learn's copy of the KDD files holds names as bytes, and pandas writes them so."""


def describe_failures(
    contract: Contract,
    check: ColumnExpectation,
    rows: pl.DataFrame,
    called: "Mapping[str, str] | None" = None,
) -> pl.DataFrame:
    """Return in words what is wrong with rows that failed a row expectation of a contract.

    ``called`` says how columns are called, by their names, where that differs.

    Returns:
        Grain: one row, in the same order: ``observed`` String, the value or values found, and
        ``reason`` String, such as ``serror_rate: 1.7 is above 1``.
    """
    rule = rules_by_name(contract).get(check.column)
    if rule is not None:
        values = [
            pl.concat_str(pl.lit(f"{name} "), pl.lit(write_values(rows[name])))
            for name in rule.columns
        ]
        observed = rows.select(pl.concat_str(values, separator=", ").alias(OBSERVED))
        return observed.with_columns(
            pl.format("{}: {}", OBSERVED, pl.lit(rule.meaning)).alias(REASON)
        )
    name = (called or {}).get(check.column, check.column)
    found = rows.select(
        pl.col(check.column).alias(VALUE), write_values(rows[check.column]).alias(OBSERVED)
    )
    if check.expectation == NOT_NULL:
        missing = pl.when(pl.col(VALUE).is_null()).then(pl.lit("no value"))
        sentence = missing.otherwise(pl.format("{} is not a number", OBSERVED))
    elif check.expectation == BETWEEN:
        sentence = pl.format("{} is {}", OBSERVED, _side_outside(check))
    else:
        sentence = pl.format("{} is not {}", OBSERVED, pl.lit(check.expected))
        if found.schema[VALUE] == pl.String:
            is_bytes = pl.col(VALUE).str.contains(PYTHON_BYTES)
            advice = pl.when(is_bytes).then(pl.lit(BYTES_ADVICE)).otherwise(pl.lit(""))
            sentence = pl.concat_str(sentence, advice)
    return found.select(OBSERVED, pl.format("{}: {}", pl.lit(name), sentence).alias(REASON))


def rules_by_name(contract: Contract) -> "Mapping[str, RowRule]":
    """Return a contract's row rules by their names."""
    return {rule.name: rule for rule in contract.row_rules}


def write_values(values: pl.Series) -> pl.Series:
    """Return values as text: numbers as they are, names in quotes, cut and with escapes.

    Returns:
        String, under the same name; a null becomes the word ``null``.
    """
    if values.dtype != pl.String:
        return values.cast(pl.String).fill_null(NULL)
    names = values.unique().drop_nulls()
    return values.replace_strict(
        names, [_quote(name) for name in names], default=NULL, return_dtype=pl.String
    )


def _side_outside(check: ColumnExpectation) -> pl.Expr:
    """Return on which side of its range a value lies; beyond the largest float it is not finite."""
    below, above = (
        "not finite"
        if bound is None or abs(bound) == sys.float_info.max
        else f"{side} {format_number(bound)}"
        for side, bound in (("below", check.minimum), ("above", check.maximum))
    )
    if check.minimum is None:
        return pl.lit(above)
    return pl.when(pl.col(VALUE) < check.minimum).then(pl.lit(below)).otherwise(pl.lit(above))


def _quote(name: str) -> str:
    """Return a name in quotes, escaped, and cut if it is long."""
    text = readable(name[:VALUE_CHARACTERS].encode())
    return f"'{text}'" + ("..." if len(name) > VALUE_CHARACTERS else "")
