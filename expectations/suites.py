"""The expectations that follow from a contract, and Great Expectations suites made of them.

Belongs here: the list of expectations in our own class, their translation to Great Expectations,
and the class of a result. Does not belong here: running a suite, or what happens to a row that
fails (``tasks.validation``).

Two suites come from a contract. The *rows* suite checks every row of a chunk. The *profile* suite
checks a frame of one row, whose columns are statistics of the whole batch.
"""

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import polars as pl
from pydantic import BaseModel

from expectations.contract import BatchBound, Column, Contract, Severity

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

SuiteName = Literal["rows", "profile"]

NOT_NULL = "expect_column_values_to_not_be_null"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"

ORDINAL_KEY = "check"
"""The key in an expectation's ``meta`` for its ordinal in our list."""

LISTED_VALUES = 15
"""Messages list at most this many allowed values; of more, they give the number. A guess."""


@dataclass(frozen=True, kw_only=True)
class ColumnExpectation:
    """One expectation of one column of the checked frame; its ordinal in the list identifies it."""

    expectation: str
    """Its name in Great Expectations."""
    column: str
    """A declared column, the name of a row rule, or a statistic of the profile."""
    severity: Severity
    expected: str
    """The expectation in words that can follow "expected"."""
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] | tuple[int, ...] | None = None
    """The values that ``IN_SET`` allows."""


class ExpectationResult(BaseModel, frozen=True):
    """The result of one expectation on the whole batch."""

    suite: SuiteName
    expectation: str
    """Its name in Great Expectations."""
    column: str | None
    """A declared column, a row rule, or a statistic of the profile."""
    severity: Severity
    is_success: bool
    rows_checked: int
    """Parsed rows of the batch; 1 in the profile suite."""
    rows_failed: int
    observed: str | None
    """The value of a statistic; of the rows suite, the first few values that failed."""
    expected: str


GENERAL_BOUNDS: Final = (
    BatchBound(
        name="rows_accepted",
        minimum=1,
        severity="required",
        meaning="Rows left to score; without any, there is nothing to do.",
    ),
    BatchBound(
        name="quarantine_ratio",
        maximum=0.5,
        severity="required",
        meaning="Share of the rows read that ingest and validation quarantine. The bound is a "
        "setting. The default is a guess: above half, the file more likely has another format "
        "than poor quality.",
    ),
    BatchBound(
        name="rows_read",
        minimum=100,
        meaning="Rows in the file. A guess: of fewer, one row is more than the 1 % that the other "
        "bounds are about.",
    ),
    BatchBound(
        name="unparsed_ratio",
        maximum=0.01,
        meaning="Share of the rows read that could not be parsed. A guess: sensors write no such "
        "rows, so one in a hundred tells of damage.",
    ),
    BatchBound(
        name="null_ratio.highest",
        maximum=0.01,
        meaning="Share of null and NaN in the feature that has most, of those that must have a "
        "value. A guess: these rows are quarantined, and one in a hundred tells of a sensor that "
        "lost a field.",
    ),
)
"""Bounds of every contract. A page can have another bound of the same statistic."""

CONSTANT_SHARE: Final = 0.5
"""Largest share of the features that may have a single value in a batch, if the page says nothing.
A guess: flags that are nearly always 0 are constant in a quiet night, bytes and packets are not."""


EARLIEST_S: Final = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
LATEST_S: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
"""Between these, in seconds since 1970, a time is a real moment. A clock that is not set begins in
1970, and some logs have seconds since their own beginning; a wrong unit leads far beyond 2100."""


_LAST_SECOND: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def batch_bounds(contract: Contract) -> tuple[BatchBound, ...]:
    """Return the bounds of a batch: the general ones, or the page's in their place, then others.

    Those of the times are advisory: a model gets no time, so a row with a wrong one can be scored.
    """
    constant = BatchBound(
        name="constant_features",
        maximum=int(CONSTANT_SHARE * len(contract.features)),
        meaning="Features with a single value: at most half of them.",
    )
    times = [
        bound
        for column in contract.columns
        if column.kind == "time"
        for bound in (
            BatchBound(
                name=f"earliest.{column.name}",
                minimum=EARLIEST_S,
                meaning=f"The first {column.name}, in seconds since 1970.",
            ),
            BatchBound(
                name=f"latest.{column.name}",
                maximum=LATEST_S,
                meaning=f"The last {column.name}, in seconds since 1970.",
            ),
        )
    ]
    general = {bound.name: bound for bound in (*GENERAL_BOUNDS, constant, *times)}
    return tuple({**general, **{bound.name: bound for bound in contract.profile}}.values())


def row_expectations(contract: Contract, columns: Iterable[str]) -> tuple[ColumnExpectation, ...]:
    """Return the expectations of every row.

    ``columns`` are the file's; those that the contract does not declare are ignored.

    Returns:
        For each declared column: it is not null, unless it may be; and it is in its range or among
        its values. Then, for each row rule whose columns the file has: a derived boolean column is
        true.
    """
    present = set(columns)
    found: list[ColumnExpectation] = []
    for column in contract.columns:
        if column.name in present:
            found += _column_expectations(column)
    found += [
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
    return tuple(found)


def batch_expectations(
    contract: Contract, columns: Iterable[str], *, max_quarantine_ratio: float
) -> tuple[ColumnExpectation, ...]:
    """Return the expectations of a whole batch.

    ``max_quarantine_ratio`` replaces the contract's bound of ``quarantine_ratio``.

    Returns:
        For each declared column: it has its declared type (statistic ``dtype.<column>``). Then the
        bounds of the contract, without those of declared columns that the file lacks.
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
        for bound in batch_bounds(contract)
        if bound.column is None or bound.column in present
    )
    return (*types, *map(_bound_expectation, bounds))


def build_suite(name: SuiteName, expected: Sequence[ColumnExpectation]) -> "ExpectationSuite":
    """Translate expectations to a Great Expectations suite."""
    from great_expectations import ExpectationSuite

    return ExpectationSuite(
        name=name,
        expectations=[_translate(ordinal, one) for ordinal, one in enumerate(expected)],
    )


def format_number(value: float) -> str:
    """Return a bound as a person would write it: 1, 0.05, 86400."""
    return f"{value:.15g}"


def describe_range(minimum: float | None, maximum: float | None) -> str:
    """Return in words what a pair of inclusive bounds allows."""
    if minimum is not None and maximum is not None:
        return f"from {format_number(minimum)} to {format_number(maximum)}"
    if minimum is not None:
        return f"at least {format_number(minimum)}"
    if maximum is not None:
        return f"at most {format_number(maximum)}"
    return "a finite number"


def describe_bound(bound: BatchBound) -> str:
    """Return in words what a bound allows; of a moment, also its day."""
    words = describe_range(bound.minimum, bound.maximum)
    if not bound.name.startswith(("earliest.", "latest.")):
        return words
    limits = [one for one in (bound.minimum, bound.maximum) if one is not None]
    if any(not 0 <= one <= _LAST_SECOND for one in limits):
        return words
    days = (f"{datetime.fromtimestamp(one, UTC):%Y-%m-%d}" for one in limits)
    return f"{words} ({', '.join(days)})"


def _column_expectations(column: Column) -> list[ColumnExpectation]:
    """Return the expectations of one column: it is not null, and its values are allowed."""
    found = []
    if not column.nullable:
        found.append(
            ColumnExpectation(
                expectation=NOT_NULL,
                column=column.name,
                severity="required" if column.role == "feature" else column.severity,
                expected="a value",
            )
        )
    if column.values is not None:
        found.append(
            ColumnExpectation(
                expectation=IN_SET,
                column=column.name,
                severity=column.severity,
                expected=_one_of(column.values),
                values=column.values,
            )
        )
        return found
    minimum, maximum = column.minimum, column.maximum
    if column.dtype == pl.Float64():
        # Without a bound, infinity would be allowed.
        minimum = -sys.float_info.max if minimum is None else minimum
        maximum = sys.float_info.max if maximum is None else maximum
    if minimum is not None or maximum is not None:
        found.append(
            ColumnExpectation(
                expectation=BETWEEN,
                column=column.name,
                severity=column.severity,
                expected=describe_range(column.minimum, column.maximum),
                minimum=minimum,
                maximum=maximum,
            )
        )
    return found


def _bound_expectation(bound: BatchBound) -> ColumnExpectation:
    """Return the expectation that one statistic is within its bounds."""
    return ColumnExpectation(
        expectation=BETWEEN,
        column=bound.name,
        severity=bound.severity,
        expected=describe_bound(bound),
        minimum=bound.minimum,
        maximum=bound.maximum,
    )


def _translate(ordinal: int, one: ColumnExpectation) -> "Expectation":
    """Translate one expectation."""
    from great_expectations import expectations as gxe

    common = {
        "column": one.column,
        "severity": "critical" if one.severity == "required" else "warning",
        "meta": {ORDINAL_KEY: ordinal},
    }
    if one.expectation == NOT_NULL:
        return gxe.ExpectColumnValuesToNotBeNull(**common)
    if one.expectation == IN_SET:
        return gxe.ExpectColumnValuesToBeInSet(**common, value_set=list(one.values or ()))
    return gxe.ExpectColumnValuesToBeBetween(**common, min_value=one.minimum, max_value=one.maximum)


def _one_of(values: Sequence[str] | Sequence[int]) -> str:
    """Return the allowed values in words, or only their number if there are many."""
    if len(values) > LISTED_VALUES:
        return f"one of the {len(values)} known values"
    return f"one of {', '.join(str(value) for value in values)}"
