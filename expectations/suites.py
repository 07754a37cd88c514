"""What Great Expectations is asked: the checks that follow from a contract, and suites of them.

Belongs here: the list of checks in our own words, and their translation to expectations. Does not
belong here: running a suite, or what becomes of a row that fails (see
``tasks.validation.validate``).

Two suites come from a contract. The *rows* suite looks at every row of a chunk; the *profile*
suite looks at a frame of one row, whose columns are statistics of the whole batch.
"""

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import polars as pl

from expectations.contract import BatchBound, Column, Contract, Severity

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

SuiteName = Literal["rows", "profile"]

NOT_NULL = "expect_column_values_to_not_be_null"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"

ORDINAL_KEY = "check"
"""Where an expectation's ``meta`` keeps the ordinal of the check it was made from."""

LISTED_VALUES = 15
"""Domains up to this size are listed in messages, larger ones counted. A guess."""


@dataclass(frozen=True, kw_only=True)
class ColumnExpectation:
    """One question to one column of the checked frame; its ordinal in the list is its identity."""

    expectation: str
    """The name Great Expectations has for it."""
    column: str
    """A declared column, the name of a row rule, or a statistic of the profile."""
    severity: Severity
    expected: str
    """What is expected, in words that follow "expected"."""
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] | tuple[int, ...] | None = None
    """What an ``IN_SET`` check allows."""


def row_expectations(contract: Contract, columns: Iterable[str]) -> tuple[ColumnExpectation, ...]:
    """List the checks of every row.

    Args:
        contract: the source's declaration.
        columns: the columns the file has; those the contract does not declare are passed over.

    Returns:
        For each declared column: that it is there, where it may not be null, and that it is in its
        range or among its values; then each row rule whose columns the file has, as a derived
        boolean column that must be true.
    """
    present = set(columns)
    checks: list[ColumnExpectation] = []
    for column in contract.columns:
        if column.name in present:
            checks += _column_checks(column)
    checks += [
        ColumnExpectation(
            expectation=IN_SET,
            column=rule.name,
            severity=rule.severity,
            expected=rule.meaning,
            values=(True,),  # as 1, looking booleans up takes 3.5 times as long (measured)
        )
        for rule in contract.row_rules
        if present.issuperset(rule.columns)
    ]
    return tuple(checks)


def batch_expectations(
    contract: Contract, columns: Iterable[str], *, max_quarantine_ratio: float
) -> tuple[ColumnExpectation, ...]:
    """List the checks of a batch as a whole.

    Args:
        contract: the source's declaration.
        columns: the columns the file has.
        max_quarantine_ratio: replaces the contract's bound of ``quarantine_ratio``.

    Returns:
        For each declared column that it is stored as its declared type (statistic
        ``dtype.<column>``), then the contract's bounds.
    """
    present = set(columns)
    types = [
        ColumnExpectation(
            expectation=IN_SET,
            column=f"dtype.{column.name}",
            severity="required",
            expected=f"stored as {column.dtype}",
            values=(str(column.dtype),),
        )
        for column in contract.columns
        if column.name in present
    ]
    bounds = (
        dataclasses.replace(bound, maximum=max_quarantine_ratio)
        if bound.name == "quarantine_ratio"
        else bound
        for bound in contract.profile
    )
    return (*types, *map(_bound_check, bounds))


def build_suite(name: SuiteName, checks: Sequence[ColumnExpectation]) -> "ExpectationSuite":
    """Translate checks to a Great Expectations suite, one expectation each."""
    from great_expectations import ExpectationSuite

    return ExpectationSuite(
        name=name,
        expectations=[_expectation(ordinal, check) for ordinal, check in enumerate(checks)],
    )


def format_number(value: float) -> str:
    """Write a bound as a person would: 1, 0.05, 86400."""
    return f"{value:.15g}"


def describe_range(minimum: float | None, maximum: float | None) -> str:
    """Say in words what a pair of inclusive bounds allows."""
    if minimum is not None and maximum is not None:
        return f"from {format_number(minimum)} to {format_number(maximum)}"
    if minimum is not None:
        return f"at least {format_number(minimum)}"
    if maximum is not None:
        return f"at most {format_number(maximum)}"
    return "a finite number"


def _column_checks(column: Column) -> list[ColumnExpectation]:
    """Ask of one column that it is there and that its values are allowed."""
    checks = []
    if not column.nullable:
        checks.append(
            ColumnExpectation(
                expectation=NOT_NULL,
                column=column.name,
                severity="required" if column.role == "feature" else column.severity,
                expected="a value",
            )
        )
    if column.values is not None:
        checks.append(
            ColumnExpectation(
                expectation=IN_SET,
                column=column.name,
                severity=column.severity,
                expected=_one_of(column.values),
                values=column.values,
            )
        )
        return checks
    minimum, maximum = column.minimum, column.maximum
    if column.dtype == pl.Float64():
        # An open end of floats would let infinity pass.
        minimum = -sys.float_info.max if minimum is None else minimum
        maximum = sys.float_info.max if maximum is None else maximum
    if minimum is not None or maximum is not None:
        checks.append(
            ColumnExpectation(
                expectation=BETWEEN,
                column=column.name,
                severity=column.severity,
                expected=describe_range(column.minimum, column.maximum),
                minimum=minimum,
                maximum=maximum,
            )
        )
    return checks


def _bound_check(bound: BatchBound) -> ColumnExpectation:
    """Ask of one statistic that it is within its bounds."""
    return ColumnExpectation(
        expectation=BETWEEN,
        column=bound.name,
        severity=bound.severity,
        expected=describe_range(bound.minimum, bound.maximum),
        minimum=bound.minimum,
        maximum=bound.maximum,
    )


def _expectation(ordinal: int, check: ColumnExpectation) -> "Expectation":
    """Translate one check."""
    from great_expectations import expectations as gxe

    common = {
        "column": check.column,
        "severity": "critical" if check.severity == "required" else "warning",
        "meta": {ORDINAL_KEY: ordinal},
    }
    if check.expectation == NOT_NULL:
        return gxe.ExpectColumnValuesToNotBeNull(**common)
    if check.expectation == IN_SET:
        return gxe.ExpectColumnValuesToBeInSet(**common, value_set=list(check.values or ()))
    return gxe.ExpectColumnValuesToBeBetween(
        **common, min_value=check.minimum, max_value=check.maximum
    )


def _one_of(values: Sequence[str] | Sequence[int]) -> str:
    """Name a domain, or count it where it is long."""
    if len(values) > LISTED_VALUES:
        return f"one of the {len(values)} known values"
    return f"one of {', '.join(str(value) for value in values)}"
