"""The statistics of a batch, against plain Python, however it is cut into chunks."""

import math
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.contract import BatchBound, Column, Contract
from expectations.suites import batch_bounds
from tasks.validation.batch_profile import BatchProfile
from tests.support.sources import NSL_KDD

NAMES = (
    "rows_read", "rows_accepted", "quarantine_ratio", "unparsed_ratio", "null_ratio.highest",
    "constant_features", "distinct.kind", "share.kind.tcp", "share.land.1", "zero_ratio.land",
    "unseen_ratio.kind", "mean.rate", "maximum.rate", "maximum.land",
)  # fmt: skip

SMALL = Contract(
    name="small",
    title="Small",
    source="none",
    columns=(
        Column(name="kind", kind="category", values=("tcp", "udp"), meaning=""),
        Column(name="land", kind="count", meaning=""),
        Column(name="rate", kind="number", meaning=""),
    ),
    profile=tuple(BatchBound(name=name) for name in NAMES),
)

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["tcp", "udp", "sctp", None]),
            "land": st.sampled_from([0, 1, 2, None]),
            "rate": st.sampled_from([0.0, 0.25, 1.0, math.nan, math.inf, -math.inf, None]),
        }
    ),
    max_size=6,
)


def profile_of(chunks: list[list[dict[str, Any]]], **counts: int) -> dict[str, Any]:
    profile = BatchProfile(SMALL, NAMES, SMALL.by_name)
    for chunk in chunks:
        profile.add(pl.DataFrame(chunk, schema=dict(SMALL.schema)))
    return profile.statistics(**counts)


def slow_profile(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def share(part: int) -> float | None:
        return part / len(rows) if rows else None

    rates = [row["rate"] for row in rows]
    finite = [rate for rate in rates if rate is not None and math.isfinite(rate)]
    lands = [row["land"] for row in rows if row["land"] is not None]
    kinds = {row["kind"] for row in rows if row["kind"] is not None}
    empty = {
        "kind": sum(row["kind"] is None for row in rows),
        "land": sum(row["land"] is None for row in rows),
        "rate": sum(rate is None or math.isnan(rate) for rate in rates),
    }
    return {
        "null_ratio.highest": max(share(count) or 0.0 for count in empty.values()),
        "constant_features": sum(len(seen) <= 1 for seen in (kinds, set(lands), set(finite))),
        "distinct.kind": len(kinds),
        "share.kind.tcp": share(sum(row["kind"] == "tcp" for row in rows)),
        "share.land.1": share(lands.count(1)),
        "zero_ratio.land": share(lands.count(0)),
        "unseen_ratio.kind": share(sum(row["kind"] == "sctp" for row in rows)),
        "mean.rate": sum(finite) / len(finite) if finite else None,
        "maximum.rate": max(finite, default=None),
        "maximum.land": max(lands, default=None),
    }


@given(rows=ROWS, cut=st.integers(0, 6))
def test_chunks_add_up_to_what_plain_python_finds(rows: list[dict[str, Any]], cut: int) -> None:
    chunks = [chunk for chunk in (rows[:cut], rows[cut:]) if chunk]
    found = profile_of(chunks, rows_read=10, rows_unparsed=1, rows_accepted=5)
    assert {name: found[name] for name in slow_profile(rows)} == pytest.approx(slow_profile(rows))


def test_what_is_quarantined_is_counted_from_both_stages() -> None:
    found = profile_of([], rows_read=10, rows_unparsed=1, rows_accepted=5)
    assert found["quarantine_ratio"] == 0.5
    assert found["unparsed_ratio"] == 0.1
    assert (found["rows_read"], found["rows_accepted"]) == (10, 5)


def test_a_share_of_nothing_has_no_value() -> None:
    found = profile_of([], rows_read=0, rows_unparsed=0, rows_accepted=0)
    assert found["quarantine_ratio"] is None
    assert found["share.kind.tcp"] is None


def test_every_bound_of_the_real_contract_has_its_statistic() -> None:
    profile = BatchProfile(
        NSL_KDD, [bound.name for bound in batch_bounds(NSL_KDD)], NSL_KDD.by_name
    )
    row = {name: [1 if dtype.is_numeric() else "SF"] for name, dtype in NSL_KDD.schema.items()}
    profile.add(pl.DataFrame(row, schema=dict(NSL_KDD.schema)))
    found = profile.statistics(rows_read=1, rows_unparsed=0, rows_accepted=1)
    assert set(found) == {bound.name for bound in batch_bounds(NSL_KDD)}
    assert None not in found.values()
    assert found["share.flag.SF"] == 1


FLOWS = Contract(
    name="flows",
    title="Flows",
    source="none",
    columns=(
        Column(name="started_at", kind="time", role="identifier", meaning=""),
        Column(name="service", kind="category", nullable=True, meaning=""),
        Column(name="duration_s", kind="interval", nullable=True, meaning=""),
        Column(name="src_bytes", kind="count", meaning=""),
        Column(name="uid", kind="id", role="identifier", optional=True, meaning=""),
    ),
)
FLOW_NAMES = (
    "earliest.started_at", "latest.started_at", "span_s.started_at", "share.service.a.b.c",
    "null_ratio.highest", "constant_features", "distinct.uid", "share.uid.x", "distinct.started_at",
)  # fmt: skip


def test_times_and_nullable_columns_have_statistics_and_an_absent_column_has_none() -> None:
    present = [name for name in FLOWS.by_name if name != "uid"]
    profile = BatchProfile(FLOWS, FLOW_NAMES, present)
    for start_us, service in ((5_000_000, "a.b.c"), (2_500_000, None), (None, "dns")):
        row = {"started_at": start_us, "service": service, "duration_s": None, "src_bytes": 7}
        frame = pl.DataFrame({name: [row[name]] for name in present})
        profile.add(frame.cast({name: FLOWS.schema[name] for name in present}))
    found = profile.statistics(rows_read=3, rows_unparsed=0, rows_accepted=3)
    assert found == {
        "earliest.started_at": 2.5,
        "latest.started_at": 5.0,
        "span_s.started_at": 2.5,
        "share.service.a.b.c": pytest.approx(1 / 3),
        "null_ratio.highest": 0.0,
        "constant_features": 1,
        "distinct.uid": None,
        "share.uid.x": None,
        "distinct.started_at": 2,
    }
