from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from tasks.simulation.traffic import compute_traffic_features

MIDNIGHT = datetime(2026, 11, 3, tzinfo=UTC)


def connections(*rows: tuple[float, str, str, str, str]) -> pl.DataFrame:
    """Seconds since midnight, source, destination, service, flag."""
    return pl.DataFrame(
        {
            "start": [MIDNIGHT + timedelta(seconds=row[0]) for row in rows],
            "source_host": [row[1] for row in rows],
            "source_port": [50_000 + index for index in range(len(rows))],
            "destination_host": [row[2] for row in rows],
            "service": [row[3] for row in rows],
            "flag": [row[4] for row in rows],
        }
    )


def last(frame: pl.DataFrame) -> dict[str, float]:
    return compute_traffic_features(frame).row(-1, named=True)


def test_a_lone_connection_is_its_own_window() -> None:
    features = last(connections((0, "pc", "web", "http", "SF")))

    assert features["count"] == features["srv_count"] == features["dst_host_count"] == 1
    assert features["same_srv_rate"] == 1.0
    assert features["serror_rate"] == features["rerror_rate"] == 0.0


def test_exactly_two_seconds_ago_is_still_inside_and_a_microsecond_more_is_not() -> None:
    inside = connections((0, "pc", "web", "http", "SF"), (2, "pc", "web", "http", "SF"))
    outside = connections((0, "pc", "web", "http", "SF"), (2.000001, "pc", "web", "http", "SF"))

    assert last(inside)["count"] == 2
    assert last(outside)["count"] == 1
    assert last(outside)["dst_host_count"] == 2


def test_host_and_service_windows_look_at_different_neighbours() -> None:
    features = last(
        connections(
            (0.0, "pc", "web", "http", "SF"),
            (0.1, "pc", "web", "smtp", "REJ"),
            (0.2, "pc", "mail", "smtp", "S0"),
            (0.3, "pc", "mail", "smtp", "SF"),
        )
    )

    assert features["count"] == 2
    assert features["serror_rate"] == 0.5
    assert features["rerror_rate"] == 0.0
    assert features["srv_count"] == 3
    assert features["srv_rerror_rate"] == 0.33
    assert features["srv_diff_host_rate"] == 0.33


def test_connections_at_the_same_instant_count_in_stream_order() -> None:
    features = compute_traffic_features(
        connections((0, "pc", "web", "http", "SF"), (0, "pc", "web", "http", "SF"))
    )

    assert features["count"].to_list() == [1, 2]


def test_a_rate_halfway_between_two_decimals_is_rounded_up() -> None:
    rows = [(0.1 * row, "pc", "web", "http", "S0" if row == 0 else "SF") for row in range(8)]

    assert last(connections(*rows))["serror_rate"] == 0.13  # 1/8


def test_a_missing_column_is_named() -> None:
    frame = connections((0, "pc", "web", "http", "SF")).drop("flag")

    with pytest.raises(ValueError, match="the connections lack flag"):
        compute_traffic_features(frame)


def test_a_connection_without_a_host_is_refused() -> None:
    frame = connections((0, "pc", "web", "http", "SF")).with_columns(
        destination_host=pl.lit(None, pl.String)
    )

    with pytest.raises(ValueError, match="destination_host is null"):
        compute_traffic_features(frame)


def test_connections_out_of_order_are_refused() -> None:
    frame = connections((5, "pc", "web", "http", "SF"), (0, "pc", "web", "http", "SF"))

    with pytest.raises(ValueError, match="Sort them by start first"):
        compute_traffic_features(frame)
