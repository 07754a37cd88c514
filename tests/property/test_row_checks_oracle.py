"""Great Expectations fails the same rows as an oracle in plain Python."""

import math
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.validation.row_checks import RowChecker, Tally
from tests.support.oracles.row_oracle import RULES, failed_checks
from tests.support.sources import NSL_KDD

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


def test_the_plain_reading_has_every_rule_of_the_contract() -> None:
    assert set(RULES) == {rule.name for rule in NSL_KDD.row_rules}


@pytest.fixture(scope="module")
def checker() -> RowChecker:
    return RowChecker(NSL_KDD, COLUMNS)


@settings(max_examples=25)
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
    refused = checker.check(frame)
    found = [row for rows in refused.describe() for row in rows.iter_rows()]

    severity = {(check.column, check.expectation): check.severity for check in checker.checks}
    expected_rows = []
    expected_tally: Counter[tuple[str, str]] = Counter()
    for i, row in enumerate(rows):
        failed = failed_checks(row)
        required = {check for check in failed if severity[check] == "required"}
        expected_tally.update(required or failed)
        if required:
            expected_rows.append((100 + i, 201 + i, len(required)))
    assert [(row, line, len(reasons)) for row, line, reasons in found] == expected_rows
    assert refused.is_refused.tolist() == [
        100 + i in {row for row, _, _ in expected_rows} for i in range(len(rows))
    ]
    tally = {
        (check.column, check.expectation): tally.rows_failed
        for check, tally in zip(checker.checks, checker.tallies, strict=True)
    }
    assert tally == {check: expected_tally[check] for check in tally}
