from datetime import date

import numpy as np
import polars as pl
import pytest

from tasks.simulation import attacks, ordinary
from tasks.simulation.benign import apply_outages
from tasks.simulation.connections import (
    CONNECTION_SCHEMA,
    DAY_S,
    UNANSWERED,
    Amount,
    make_connections,
    spread_evenly,
)
from tasks.simulation.corruption import CORRUPTIONS, corrupt_lines
from tasks.simulation.site import Site, format_addresses

TUESDAY, SUNDAY = date(2026, 11, 3), date(2026, 11, 8)


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_a_connection_is_ordinary_by_default() -> None:
    connections = make_connections(2, service="http", src_bytes=np.array([10, 20]))

    assert dict(connections.schema) == {name: dtype() for name, dtype in CONNECTION_SCHEMA.items()}
    assert connections["src_bytes"].to_list() == [10, 20]
    assert connections.select("attack", "flag", "hot").row(1) == ("normal", "SF", 0)


def test_a_connection_has_no_other_columns() -> None:
    with pytest.raises(AssertionError, match="bytes_sent"):
        make_connections(1, bytes_sent=3)


def test_popular_hosts_are_drawn_more_often_than_rare_ones() -> None:
    site = Site(100_000)
    first, *_, last = site.hosts("world")

    drawn = site.draw(rng(), "world", 20_000)

    assert np.isin(drawn, site.hosts("world")).all()
    assert (drawn == first).sum() > 20 * (drawn == last).sum()


def test_an_amount_without_spread_is_its_median_and_with_spread_keeps_it() -> None:
    assert Amount(48).draw(rng(), 3).tolist() == [48, 48, 48]
    assert np.isclose(np.median(Amount(1_000, 0.5).draw(rng(), 20_000)), 1_000, rtol=0.02)


def test_addresses_are_written_in_place() -> None:
    addresses = pl.Series([167_772_161, 3_323_068_417, 167_772_161], dtype=pl.UInt32)

    assert format_addresses(addresses).to_list() == ["10.0.0.1", "198.18.0.1", "10.0.0.1"]


@pytest.mark.parametrize("gap_s", [0.01, 30.0, 10_000.0])
def test_connections_fit_in_the_day_for_any_gap(gap_s: float) -> None:
    start_s = spread_evenly(rng(), 500, gap_s)

    assert (np.diff(start_s) >= 0).all()
    assert 0 <= start_s[0] <= start_s[-1] <= DAY_S


def test_office_traffic_is_low_at_night_except_on_weekends() -> None:
    def share_before_six(night: date) -> float:
        return (ordinary.draw_starts(rng(), 20_000, "office", night) < 6 * 3_600).mean()

    assert share_before_six(TUESDAY) < 0.05
    assert share_before_six(SUNDAY) > 0.1


def test_a_burst_begins_at_0_and_is_in_time_order() -> None:
    burst, step, after_s = ordinary._draw_bursts(rng(), 1_000, burst=5, gap_s=0.5)

    for number in range(burst.max() + 1):
        mine = burst == number
        assert step[mine].tolist() == list(range(mine.sum()))
        assert after_s[mine][0] == 0
        assert (np.diff(after_s[mine]) >= 0).all()
    assert np.isclose(np.bincount(burst).mean(), 5, rtol=0.2)


def test_each_attack_has_exactly_its_number_of_connections() -> None:
    sizes = {"neptune": 700, "portsweep": 2, "ipsweep": 61, "guess_passwd": 5, "exfiltration": 3}

    connections = attacks.simulate_attacks(rng(), Site(1_000), sizes)

    assert dict(connections["attack"].value_counts().iter_rows()) == sizes


def test_ports_are_named_as_kdd_names_them() -> None:
    named = attacks._name_services(np.array([80, 22, 445, 1_023, 1_024, 8_080]))

    assert named.tolist() == ["http", "ssh", "private", "private", "other", "other"]


def test_a_server_in_an_outage_hardly_answers() -> None:
    site = Site(100_000)
    server = site.hosts("web", "mail", "database")
    before = make_connections(
        server.size * 2_000,
        start_s=np.tile(np.linspace(0, DAY_S, 2_000), server.size),
        destination_host=np.repeat(server, 2_000),
        service="http",
        src_bytes=200,
        logged_in=1,
    )

    after = apply_outages(rng(), site, before)

    lost = after.filter(pl.col("flag") != "SF")
    assert lost["destination_host"].n_unique() == 2
    assert set(lost["flag"]) <= set(UNANSWERED)
    assert lost.select(pl.col("src_bytes", "logged_in").max()).row(0) == (0, 0)
    assert (
        lost.group_by("destination_host")
        .agg(seconds=pl.col("start_s").max() - pl.col("start_s").min())["seconds"]
        .max()
        <= 420
    )
    assert after.select("start_s", "destination_host").equals(
        before.select("start_s", "destination_host")
    )


def test_each_corruption_is_used_and_changes_its_line() -> None:
    header = b"duration,protocol_type,service,flag,src_bytes,dst_bytes,count,"
    header += b"serror_rate,same_srv_rate,dst_host_serror_rate"
    line = b"0,tcp,http,SF,200,1500,3,0.00,1.00,0.00"

    chosen = np.arange(len(CORRUPTIONS))
    lines = corrupt_lines(rng(), [line] * (chosen.size + 1), header, chosen)

    assert lines[-1] == line
    assert len({*lines}) == len(CORRUPTIONS) + 1
