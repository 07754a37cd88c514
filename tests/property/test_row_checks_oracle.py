"""Great Expectations' verdict on every row, against a plain Python reading of the contract."""

import math
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.contract import Column
from expectations.nsl_kdd import NSL_KDD
from expectations.suites import BETWEEN, IN_SET, NOT_NULL
from tasks.row_checks import RowChecker, Tally

COLUMNS = ("protocol_type", "service", "flag", "dst_bytes", "su_attempted", "serror_rate",
           "rerror_rate", "class")  # fmt: skip

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "protocol_type": st.sampled_from(["tcp", "udp", "icmp", "sctp", "", None]),
            "service": st.sampled_from(["http", "private", "eco_i", "tftp9", None]),
            "flag": st.sampled_from(["SF", "S0", "S1", "sf", None]),
            "dst_bytes": st.sampled_from([0, 1, -1, 2**62, None]),
            "su_attempted": st.sampled_from([0, 1, 2, 3, -1, None]),
            "serror_rate": st.sampled_from(
                [0.0, -0.0, 0.5, 1.0, 1.0000001, -1e-9, math.nan, math.inf, -math.inf, None]
            ),
            "rerror_rate": st.sampled_from([0.0, 0.5, 0.51, 0.52, 1.0, math.nan, None]),
            "class": st.sampled_from(["normal", "anomaly", "benign", None]),
        }
    ),
    min_size=1,
    max_size=6,
)


RULES = {
    "handshake_states_are_tcp": lambda row: (
        row["protocol_type"] in {"udp", "icmp"} and row["flag"] in {"S0", "S1", "sf"}
    ),
    "icmp_services_are_icmp": lambda row: (
        row["service"] == "eco_i" and row["protocol_type"] in {"tcp", "udp", "sctp", ""}
    ),
    "icmp_has_no_port_service": lambda row: (
        row["protocol_type"] == "icmp" and row["service"] in {"http", "private"}
    ),
    "unanswered_has_no_reply_bytes": lambda row: (
        row["flag"] == "S0" and row["dst_bytes"] in {1, -1, 2**62}
    ),
    "serror_rate_and_rerror_rate_are_disjoint": lambda row: (
        not is_missing(row["serror_rate"])
        and not is_missing(row["rerror_rate"])
        and row["serror_rate"] + row["rerror_rate"] > 1.01 + 1e-9
    ),
    "udp_service_is_known_for_udp": lambda row: (
        row["protocol_type"] == "udp" and row["service"] == "http"
    ),
    "udp_names_are_udp": lambda row: False,  # noqa: ARG005 - none of these services is drawn
}
"""Where each rule over these columns is broken."""


def is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def is_allowed(column: Column, value: str | float) -> bool:
    if column.values is not None:
        return value in column.values
    low = -math.inf if column.minimum is None else column.minimum
    high = math.inf if column.maximum is None else column.maximum
    assert not isinstance(value, str)
    return low <= value <= high


def failed_checks(row: dict[str, Any]) -> set[tuple[str, str]]:
    failed = set()
    for name in COLUMNS:
        column = NSL_KDD.by_name[name]
        if is_missing(row[name]):
            if not column.nullable:
                failed.add((name, NOT_NULL))
        elif not is_allowed(column, row[name]):
            failed.add((name, BETWEEN if column.values is None else IN_SET))
    return failed | {(name, IN_SET) for name, is_broken in RULES.items() if is_broken(row)}


@pytest.fixture(scope="module")
def checker() -> RowChecker:
    return RowChecker(NSL_KDD, COLUMNS)


@settings(max_examples=25, deadline=None)
@given(rows=ROWS)
def test_every_row_fails_exactly_what_plain_python_says(
    checker: RowChecker, rows: list[dict[str, Any]]
) -> None:
    checker.tallies = tuple(Tally() for _ in checker.checks)
    frame = pl.DataFrame(
        [{"row_number": 100 + i, "line_number": 201 + i, **row} for i, row in enumerate(rows)],
        schema={"row_number": pl.Int64, "line_number": pl.Int64}
        | {name: NSL_KDD.schema[name] for name in COLUMNS},
    )
    verdict = checker.check(frame)
    found = [row for rows in verdict.describe() for row in rows.iter_rows()]

    severity = {(check.column, check.expectation): check.severity for check in checker.checks}
    assert set(RULES) == {column for column, _ in severity} - set(COLUMNS)
    expected_rows = []
    expected_tally: Counter[tuple[str, str]] = Counter()
    for i, row in enumerate(rows):
        failed = failed_checks(row)
        required = {check for check in failed if severity[check] == "required"}
        expected_tally.update(required or failed)
        if required:
            expected_rows.append((100 + i, 201 + i, len(required)))
    assert [(row, line, len(reasons)) for row, line, reasons in found] == expected_rows
    assert verdict.is_refused.tolist() == [
        100 + i in {row for row, _, _ in expected_rows} for i in range(len(rows))
    ]
    tally = {
        (check.column, check.expectation): tally.rows_failed
        for check, tally in zip(checker.checks, checker.tallies, strict=True)
    }
    assert tally == {check: expected_tally[check] for check in tally}
