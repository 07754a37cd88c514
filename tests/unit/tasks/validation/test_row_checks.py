"""Rows of any contract are checked: nulls where they may be, times, texts and large numbers."""

from datetime import UTC, datetime

import polars as pl

from expectations.contract import Column, Contract
from tasks.validation.row_checks import RowChecker

START = datetime(2017, 7, 7, 8, 22, tzinfo=UTC)

FLOWS = Contract(
    name="flows",
    title="Flows",
    source="none",
    columns=(
        Column(name="started_at", kind="time", role="identifier", meaning=""),
        Column(name="src_ip", kind="address", role="identifier", nullable=True, meaning=""),
        Column(name="service", kind="category", meaning=""),
        Column(name="proto", kind="protocol", values=("tcp", "udp"), nullable=True, meaning=""),
        Column(name="duration_s", kind="interval", minimum=0, nullable=True, meaning=""),
        Column(name="src_bytes", kind="count", minimum=0, nullable=True, meaning=""),
        Column(name="flag", kind="flag", values=(0, 1), nullable=True, meaning=""),
    ),
)

GOOD = {
    "started_at": START,
    "src_ip": "::1",
    "service": "http",
    "proto": "tcp",
    "duration_s": 0.5,
    "src_bytes": 2**63 - 1,
    "flag": 1,
}
NULLABLE = {"src_ip": None, "proto": None, "duration_s": None, "src_bytes": None, "flag": None}

BAD = {
    "started_at: no value": {"started_at": None},
    "service: no value": {"service": None},
    "proto: 'gre' is not one of tcp, udp": {"proto": "gre"},
    "duration_s: -0.5 is below 0": {"duration_s": -0.5},
    "duration_s: inf is not finite": {"duration_s": float("inf")},
    "src_bytes: -1 is below 0": {"src_bytes": -1},
    "flag: 2 is not one of 0, 1": {"flag": 2},
}


def test_a_null_is_refused_only_where_there_must_be_a_value() -> None:
    rows = [GOOD, GOOD | NULLABLE, *({**GOOD, **change} for change in BAD.values())]
    frame = pl.DataFrame(rows, schema=dict(FLOWS.schema)).select(
        pl.int_range(1, len(rows) + 1).alias("row_number"),
        pl.int_range(2, len(rows) + 2).alias("line_number"),
        pl.all(),
    )
    refused = RowChecker(FLOWS, list(FLOWS.schema)).check(frame)
    assert refused.is_refused.tolist() == [False, False, *([True] * len(BAD))]
    (described,) = refused.describe()
    assert described["reasons"].to_list() == [[reason] for reason in BAD]
