"""What goes wrong at the site without anybody meaning harm.

Belongs here: ordinary trouble that looks like an attack from some side, so that nothing the
detectors see gives an attack away alone. Does not belong here: ordinary habits, attacks.

How much of each there is, and how it looks in detail, are guesses.
"""

import numpy as np
import polars as pl

from tasks.simulation.events import (
    DAY_S,
    SERVERS,
    Site,
    choose,
    draw_ports,
    happens,
    make_events,
    spread_evenly,
)

SHARES = {"inventory": 0.004, "stale_password": 0.0025, "retries": 0.003}
"""Connections of each incident, of the ordinary ones."""

OUTAGE_S = 420.0
"""How long a server that fails is away."""
OUTAGES = 2

INVENTORY_PORTS = {80: "http", 22: "ssh", 139: "netbios_ssn", 23: "telnet", 515: "printer"}


def simulate_incidents(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Make the connections of a day's incidents, about one in a hundred of ``rows`` ordinary ones.

    Args:
        rng: the night's source of chance.
        site: the hosts.
        rows: how many ordinary connections the night has, these included.
    """
    sizes = {name: max(1, round(share * rows)) for name, share in SHARES.items()}
    return pl.concat(
        [
            _take_inventory(rng, site, sizes["inventory"]),
            _keep_a_stale_password(rng, site, sizes["stale_password"]),
            _retry_a_missing_host(rng, site, sizes["retries"]),
        ]
    )


def suffer_outages(rng: np.random.Generator, site: Site, events: pl.DataFrame) -> pl.DataFrame:
    """Let servers fail for some minutes: what they are asked then stays unanswered or is refused.

    Seen from the features, an outage of a busy server is a small flood.
    """
    start = events["start_s"].to_numpy()
    host = events["destination_host"].to_numpy()
    is_lost = np.zeros(events.height, dtype=bool)
    for server in rng.choice(site.hosts("web", "mail", "database"), OUTAGES, replace=False):
        begins = rng.uniform(0, DAY_S - OUTAGE_S)
        is_away = (start >= begins) & (start < begins + OUTAGE_S)
        is_lost |= is_away & (host == server)
    is_lost &= (events["protocol_type"] == "tcp").to_numpy()
    is_lost &= happens(rng, 0.9, is_lost.size)  # a failing server is reached now and then
    state = pl.Series(choose(rng, {"S0": 7, "REJ": 3}, events.height))
    lost = pl.Series(is_lost)
    numbers = [
        name
        for name, dtype in events.schema.items()
        if dtype == pl.Int64 and not name.endswith("_port")
    ]
    return events.with_columns(
        pl.when(lost).then(state).otherwise("flag").alias("flag"),
        *(pl.when(lost).then(0).otherwise(name).alias(name) for name in numbers),
    )


def _take_inventory(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Let the monitor try a few ports of every host at its leisure: a sweep with permission."""
    hosts = site.hosts("office", "printers", *SERVERS)
    ports = np.array(list(INVENTORY_PORTS))
    # Host by host, port by port, beginning anywhere.
    visit = rng.integers(hosts.size) * ports.size + np.arange(rows)
    port = ports[visit % ports.size]
    state = choose(rng, {"REJ": 55, "SF": 30, "S0": 15}, rows)
    is_answered = state == "SF"
    return make_events(
        rows,
        start_s=spread_evenly(rng, rows, gap_s=0.4),
        source_host=site.hosts("monitor")[0],
        source_port=draw_ports(rng, rows),
        destination_host=hosts[visit // ports.size % hosts.size],
        destination_port=port,
        service=np.array(list(INVENTORY_PORTS.values()))[visit % ports.size],
        flag=state,
        src_bytes=np.where(is_answered, rng.integers(20, 200, rows), 0),
        dst_bytes=np.where(is_answered, rng.integers(30, 600, rows), 0),
    )


def _keep_a_stale_password(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Let mail programs ask on with passwords that have expired."""
    programs = max(1, rows // 40)  # about 40 tries each before somebody notices
    program = rng.integers(programs, size=rows)
    return make_events(
        rows,
        start_s=rng.uniform(0, DAY_S, rows),
        source_host=site.draw(rng, "office", programs)[program],
        source_port=draw_ports(rng, rows),
        destination_host=site.draw(rng, "mail", programs)[program],
        destination_port=110,
        service="pop_3",
        duration=rng.choice([0, 0, 1, 3], rows),
        flag=choose(rng, {"SF": 80, "RSTO": 15, "RSTR": 5}, rows),
        src_bytes=np.rint(35 * np.exp(0.2 * rng.standard_normal(rows))),
        dst_bytes=np.rint(120 * np.exp(0.15 * rng.standard_normal(rows))),
        num_failed_logins=rng.integers(1, 3, rows),
    )


def _retry_a_missing_host(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Let programs look for hosts that moved away, a few times in a row."""
    runs = max(1, rows // 12)  # about 12 tries a run
    run = np.sort(rng.integers(runs, size=rows))
    service = choose(rng, {"http": 5, "smtp": 2, "private": 2, "ftp": 1, "telnet": 1}, runs)[run]
    return make_events(
        rows,
        start_s=rng.uniform(0, DAY_S - 60, runs)[run] + rng.uniform(0, 8, rows),
        source_host=site.draw(rng, "office", runs)[run],
        source_port=draw_ports(rng, rows),
        destination_host=site.draw(rng, "world", runs)[run],
        destination_port=rng.integers(1, 10_000, runs)[run],
        service=service,
        flag=choose(rng, {"S0": 60, "REJ": 40}, runs)[run],
    )
