"""Benign anomalies: unusual traffic at the site that is no attack.

Belongs here: faults and scans with permission, each of which resembles an attack in some features,
so that no single feature identifies an attack. Does not belong here: ordinary traffic, attacks.

All shares and details are guesses.
"""

import numpy as np
import polars as pl

from tasks.simulation.connections import (
    DAY_S,
    Amount,
    choose,
    draw_ports,
    happens,
    make_connections,
    spread_evenly,
)
from tasks.simulation.site import SERVERS, Site

BENIGN_SHARES = {"inventory": 0.004, "expired_password": 0.0025, "retries": 0.003}
"""Share of each benign anomaly in the connections that are no attack."""

OUTAGE_S = 420.0
"""Length of one outage, in seconds."""
OUTAGES = 2
"""Servers that fail in a night."""

INVENTORY_PORTS = {80: "http", 22: "ssh", 139: "netbios_ssn", 23: "telnet", 515: "printer"}


def simulate_benign_anomalies(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Return the connections of a day's benign anomalies: about one in a hundred of ``rows``.

    ``rows`` counts the night's connections that are no attack, these included.
    """
    sizes = {name: max(1, round(share * rows)) for name, share in BENIGN_SHARES.items()}
    return pl.concat(
        [
            _take_inventory(rng, site, sizes["inventory"]),
            _use_expired_passwords(rng, site, sizes["expired_password"]),
            _retry_missing_hosts(rng, site, sizes["retries"]),
        ]
    )


def apply_outages(rng: np.random.Generator, site: Site, connections: pl.DataFrame) -> pl.DataFrame:
    """Let servers fail for some minutes: connections to them are unanswered or refused.

    In the features, an outage of a busy server resembles a small flood.
    """
    start = connections["start_s"].to_numpy()
    host = connections["destination_host"].to_numpy()
    is_lost = np.zeros(connections.height, dtype=bool)
    for server in rng.choice(site.hosts("web", "mail", "database"), OUTAGES, replace=False):
        begins = rng.uniform(0, DAY_S - OUTAGE_S)
        is_away = (start >= begins) & (start < begins + OUTAGE_S)
        is_lost |= is_away & (host == server)
    is_lost &= (connections["protocol_type"] == "tcp").to_numpy()
    is_lost &= happens(rng, 0.9, is_lost.size)  # a failing server answers now and then
    state = pl.Series(choose(rng, {"S0": 7, "REJ": 3}, connections.height))
    lost = pl.Series(is_lost)
    numbers = [
        name
        for name, dtype in connections.schema.items()
        if dtype == pl.Int64 and not name.endswith("_port")
    ]
    return connections.with_columns(
        pl.when(lost).then(state).otherwise("flag").alias("flag"),
        *(pl.when(lost).then(0).otherwise(name).alias(name) for name in numbers),
    )


def _take_inventory(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Let the monitor try a few ports of every host: a sweep with permission."""
    hosts = site.hosts("office", "printers", *SERVERS)
    ports = np.array(list(INVENTORY_PORTS))
    # Host by host and port by port, from a random host.
    visit = rng.integers(hosts.size) * ports.size + np.arange(rows)
    port = ports[visit % ports.size]
    state = choose(rng, {"REJ": 55, "SF": 30, "S0": 15}, rows)
    is_answered = state == "SF"
    return make_connections(
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


def _use_expired_passwords(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Let mail programs log in with passwords that have expired."""
    programs = max(1, rows // 40)  # about 40 tries each, until somebody notices
    program = rng.integers(programs, size=rows)
    return make_connections(
        rows,
        start_s=rng.uniform(0, DAY_S, rows),
        source_host=site.draw(rng, "office", programs)[program],
        source_port=draw_ports(rng, rows),
        destination_host=site.draw(rng, "mail", programs)[program],
        destination_port=110,
        service="pop_3",
        duration=rng.choice([0, 0, 1, 3], rows),
        flag=choose(rng, {"SF": 80, "RSTO": 15, "RSTR": 5}, rows),
        src_bytes=Amount(35, 0.2).draw(rng, rows),
        dst_bytes=Amount(120, 0.15).draw(rng, rows),
        num_failed_logins=rng.integers(1, 3, rows),
    )


def _retry_missing_hosts(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Let programs try hosts that no longer exist, several times in a row."""
    runs = max(1, rows // 12)  # about 12 tries a run
    run = np.sort(rng.integers(runs, size=rows))
    service = choose(rng, {"http": 5, "smtp": 2, "private": 2, "ftp": 1, "telnet": 1}, runs)[run]
    return make_connections(
        rows,
        start_s=rng.uniform(0, DAY_S - 60, runs)[run] + rng.uniform(0, 8, rows),
        source_host=site.draw(rng, "office", runs)[run],
        source_port=draw_ports(rng, rows),
        destination_host=site.draw(rng, "world", runs)[run],
        destination_port=rng.integers(1, 10_000, runs)[run],
        service=service,
        flag=choose(rng, {"S0": 60, "REJ": 40}, runs)[run],
    )
