"""The expectations that follow from a contract, and their translation to Great Expectations."""

import sys
from typing import Any

import pytest

from expectations.contract import BatchBound, Column, Contract
from expectations.suites import (
    BETWEEN,
    IN_SET,
    NOT_NULL,
    batch_bounds,
    batch_expectations,
    build_suite,
    describe_range,
    row_expectations,
)
from tests.support.sources import NSL_KDD


def checks_of(column: Column) -> dict[str, Any]:
    contract = Contract(name="one", title="One", source="none", columns=(column,))
    return {check.expectation: check for check in row_expectations(contract, [column.name])}


def test_each_feature_is_asked_for_a_value_and_for_its_domain() -> None:
    checks = row_expectations(NSL_KDD, NSL_KDD.feature_names)
    asked = [(check.column, check.expectation) for check in checks]
    assert len(asked) == len(set(asked)) == 41 + 41 + 25
    assert ("serror_rate", NOT_NULL) in asked
    assert ("serror_rate", BETWEEN) in asked
    assert ("service", IN_SET) in asked


def test_labels_are_asked_about_only_where_the_file_has_them_and_never_required() -> None:
    without = row_expectations(NSL_KDD, NSL_KDD.feature_names)
    labelled = row_expectations(NSL_KDD, [*NSL_KDD.feature_names, "class", "not declared"])
    more = [check for check in labelled if check not in without]
    assert [(check.column, check.severity) for check in more] == [("class", "advisory")]


def test_a_rule_is_left_out_where_a_column_of_it_is_absent() -> None:
    asked = {
        check.column for check in row_expectations(NSL_KDD, ["serror_rate", "rerror_rate", "flag"])
    }
    assert "serror_rate_and_rerror_rate_are_disjoint" in asked
    assert "handshake_states_are_tcp" not in asked


def test_a_missing_value_is_never_only_advisory_in_a_feature() -> None:
    checks = checks_of(Column(name="x", kind="count", minimum=0, severity="advisory", meaning=""))
    assert checks[NOT_NULL].severity == "required"
    assert checks[BETWEEN].severity == "advisory"


def test_a_float_without_bounds_must_still_be_finite() -> None:
    check = checks_of(Column(name="x", kind="number", meaning=""))[BETWEEN]
    assert (check.minimum, check.maximum) == (-sys.float_info.max, sys.float_info.max)
    assert check.expected == "a finite number"


def test_an_integer_without_bounds_is_asked_only_for_a_value() -> None:
    assert set(checks_of(Column(name="x", kind="count", meaning=""))) == {NOT_NULL}


def test_a_nullable_column_is_not_asked_for_a_value() -> None:
    column = Column(name="x", kind="count", nullable=True, maximum=3, meaning="")
    assert set(checks_of(column)) == {BETWEEN}


def test_the_setting_replaces_the_bound_of_quarantined_rows() -> None:
    checks = batch_expectations(NSL_KDD, NSL_KDD.feature_names, max_quarantine_ratio=0.07)
    by_column = {check.column: check for check in checks}
    assert by_column["quarantine_ratio"].maximum == 0.07
    assert by_column["dtype.serror_rate"].values == ("Float64",)
    assert len(checks) == 41 + len(batch_bounds(NSL_KDD))


def test_every_check_becomes_one_expectation_that_knows_it() -> None:
    checks = row_expectations(NSL_KDD, NSL_KDD.feature_names)
    suite = build_suite("rows", checks)
    told = {
        expectation.meta["check"]: (expectation.configuration.type, expectation.column)
        for expectation in suite.expectations
    }
    assert told == {
        ordinal: (check.expectation, check.column) for ordinal, check in enumerate(checks)
    }


@pytest.mark.parametrize(
    ("minimum", "maximum", "words"),
    [
        (0, 1, "from 0 to 1"),
        (0.05, None, "at least 0.05"),
        (None, 86_400, "at most 86400"),
        (None, None, "a finite number"),
    ],
)
def test_ranges_are_told_in_words(minimum: float, maximum: float, words: str) -> None:
    assert describe_range(minimum, maximum) == words


WHEN = Column(name="at", kind="time", nullable=True, optional=True, role="identifier", meaning="")
SIZE = Column(name="size", kind="count", meaning="")


def bounds_of(*profile: BatchBound, columns: tuple[str, ...] = ("at", "size")) -> dict[str, Any]:
    contract = Contract(
        name="one", title="One", source="none", columns=(WHEN, SIZE), profile=profile
    )
    checks = batch_expectations(contract, columns, max_quarantine_ratio=0.5)
    return {check.column: check for check in checks}


def test_every_batch_is_bounded_and_times_are_real_moments() -> None:
    bounds = bounds_of()
    required = {name for name, check in bounds.items() if check.severity == "required"}
    assert required == {"dtype.at", "dtype.size", "rows_accepted", "quarantine_ratio"}
    assert bounds["earliest.at"].expected == "at least 631152000 (1990-01-01)"
    assert bounds["latest.at"].maximum == 4_102_444_800
    assert bounds["constant_features"].maximum == 0


def test_a_page_can_have_another_bound_of_a_general_statistic() -> None:
    bounds = bounds_of(BatchBound(name="rows_read", minimum=3, severity="required"))
    assert (bounds["rows_read"].minimum, bounds["rows_read"].severity) == (3, "required")


def test_a_column_that_the_file_lacks_has_no_bound() -> None:
    distinct = BatchBound(name="distinct.at", minimum=2)
    assert "distinct.at" in bounds_of(distinct)
    assert not {"distinct.at", "earliest.at", "dtype.at"} & set(
        bounds_of(distinct, columns=("size",))
    )


@pytest.mark.parametrize(
    ("column", "asked"),
    [
        (Column(name="x", kind="time", meaning=""), {NOT_NULL}),
        (Column(name="x", kind="set", nullable=True, meaning=""), set()),
        (Column(name="x", kind="address", meaning=""), {NOT_NULL}),
        (Column(name="x", kind="interval", nullable=True, meaning=""), {BETWEEN}),
        (Column(name="x", kind="flag", values=(0, 1), nullable=True, meaning=""), {IN_SET}),
        (Column(name="x", kind="protocol", meaning=""), {NOT_NULL}),
    ],
    ids=lambda given: given.kind if isinstance(given, Column) else "",
)
def test_each_kind_is_asked_for_what_it_needs(column: Column, asked: set[str]) -> None:
    assert set(checks_of(column)) == asked
