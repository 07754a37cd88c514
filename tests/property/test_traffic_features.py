from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from tasks.simulation.traffic import compute_traffic_features

MIDNIGHT = datetime(2026, 11, 3)  # noqa: DTZ001  the features compare times; no zone is involved
FLAGS = ("SF", "S0", "S1", "S2", "S3", "SH", "REJ", "RSTO", "RSTR", "RSTOS0", "OTH")


@dataclass(frozen=True)
class Connection:
    start_us: int
    source: str
    port: int
    host: str
    service: str
    flag: str


def percent(part: int, whole: int) -> float:
    share = Decimal(part) / Decimal(whole)
    return float(share.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP))


def share(window: Sequence[Connection], condition: Callable[[Connection], bool]) -> float:
    return percent(sum(1 for other in window if condition(other)), len(window))


def has_syn_error(connection: Connection) -> bool:
    return connection.flag in {"S0", "S1", "S2", "S3", "SH"}


def is_rejected(connection: Connection) -> bool:
    return connection.flag in {"REJ", "RSTO", "RSTR", "RSTOS0"}


def describe_slowly(stream: Sequence[Connection], row: int) -> dict[str, float]:
    """Compute the features of one row from the rows before it, as defined."""
    this = stream[row]
    recent = [c for c in stream[: row + 1] if this.start_us - c.start_us <= 2_000_000]
    host = [c for c in recent if c.host == this.host]
    service = [c for c in recent if c.service == this.service]
    last = [c for c in stream[: row + 1] if c.host == this.host][-100:]
    last_service = [c for c in last if c.service == this.service]
    return {
        "count": min(len(host), 511),
        "srv_count": min(len(service), 511),
        "serror_rate": share(host, has_syn_error),
        "srv_serror_rate": share(service, has_syn_error),
        "rerror_rate": share(host, is_rejected),
        "srv_rerror_rate": share(service, is_rejected),
        "same_srv_rate": share(host, lambda c: c.service == this.service),
        "diff_srv_rate": share(host, lambda c: c.service != this.service),
        "srv_diff_host_rate": share(service, lambda c: c.host != this.host),
        "dst_host_count": len(last),
        "dst_host_srv_count": len(last_service),
        "dst_host_same_srv_rate": share(last, lambda c: c.service == this.service),
        "dst_host_diff_srv_rate": share(last, lambda c: c.service != this.service),
        "dst_host_same_src_port_rate": share(last, lambda c: c.port == this.port),
        "dst_host_srv_diff_host_rate": share(last_service, lambda c: c.source != this.source),
        "dst_host_serror_rate": share(last, has_syn_error),
        "dst_host_srv_serror_rate": share(last_service, has_syn_error),
        "dst_host_rerror_rate": share(last, is_rejected),
        "dst_host_srv_rerror_rate": share(last_service, is_rejected),
    }


def frame_of(stream: Sequence[Connection]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "start": [MIDNIGHT + timedelta(microseconds=c.start_us) for c in stream],
            "source_host": [c.source for c in stream],
            "source_port": [c.port for c in stream],
            "destination_host": [c.host for c in stream],
            "service": [c.service for c in stream],
            "flag": [c.flag for c in stream],
        },
        schema={
            "start": pl.Datetime("us"),
            "source_host": pl.String,
            "source_port": pl.Int64,
            "destination_host": pl.String,
            "service": pl.String,
            "flag": pl.String,
        },
    )


# Half seconds make ties in time and windows that end exactly on their border; one microsecond
# beside them makes the nearest misses.
gaps = st.sampled_from([0, 0, 0, 1, 499_999, 500_000, 1_000_000, 1_999_999, 2_000_000, 2_000_001])


@st.composite
def streams(draw: st.DrawFn, longest: int) -> list[Connection]:
    rows = draw(
        st.lists(
            st.tuples(
                gaps,
                st.sampled_from("xyz"),
                st.sampled_from([0, 40_000, 40_001]),
                st.sampled_from("AB"),
                st.sampled_from(["http", "smtp", "private"]),
                st.sampled_from(FLAGS),
            ),
            max_size=longest,
        )
    )
    start_us = 0
    stream = []
    for gap_us, *rest in rows:
        start_us += gap_us
        stream.append(Connection(start_us, *rest))
    return stream


def flood(rows: int) -> list[Connection]:
    """Return connections within two seconds: for many rows, more than the cap of 511."""
    return [
        Connection(
            start_us=row * 1_000,
            source="xyz"[row % 3],
            port=40_000 + row % 7,
            host="AAAB"[row % 4],
            service=["http", "http", "smtp"][row % 3],
            flag=FLAGS[row * row % 11],
        )
        for row in range(rows)
    ]


@given(streams(longest=40))
@example([])
@example(flood(250))
@example(flood(800))
def test_every_feature_equals_the_definition_read_slowly(stream: list[Connection]) -> None:
    features = compute_traffic_features(frame_of(stream))

    assert features.rows(named=True) == [describe_slowly(stream, row) for row in range(len(stream))]


@given(streams(longest=30))
def test_later_connections_change_nothing_earlier(stream: list[Connection]) -> None:
    whole = compute_traffic_features(frame_of(stream))
    half = compute_traffic_features(frame_of(stream[: len(stream) // 2]))

    assert whole.head(half.height).equals(half)


@given(streams(longest=30), st.sampled_from(["ms", "us", "ns"]))
def test_time_unit_and_kind_of_names_do_not_matter(stream: list[Connection], unit: str) -> None:
    whole_ms = [
        Connection(c.start_us // 1_000 * 1_000, *list(vars(c).values())[1:]) for c in stream
    ]
    frame = frame_of(whole_ms)
    other = frame.with_columns(
        pl.col("start").cast(pl.Datetime(unit, "UTC")),
        pl.col("source_host", "destination_host", "service").cast(pl.Categorical),
    )

    assert compute_traffic_features(other).equals(compute_traffic_features(frame))
