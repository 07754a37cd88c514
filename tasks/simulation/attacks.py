"""Attacks on the site.

Belongs here: five attacks, each with several variants from fast to slow. Does not belong here:
ordinary traffic and benign anomalies.

The first four have the names of NSL-KDD. Their states, bytes and services follow its rows of that
name. The pace, the share of slow attackers and all of ``exfiltration``, which NSL-KDD does not
have, are guesses.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import polars as pl

from tasks.simulation.connections import (
    Amount,
    Array,
    choose,
    draw_ports,
    happens,
    make_connections,
    spread_evenly,
)
from tasks.simulation.site import SERVERS, Site

ATTACK_SHARES = {
    "neptune": 0.030,
    "portsweep": 0.008,
    "ipsweep": 0.008,
    "guess_passwd": 0.004,
    "exfiltration": 0.005,
}
"""Mean share of each attack in a night's connections; a night has 0.5 to 1.5 times that. A guess:
far more than a quiet site has, and few enough that flags are rare."""

WELL_KNOWN = {
    7: "echo", 9: "discard", 11: "systat", 13: "daytime", 15: "netstat", 21: "ftp", 22: "ssh",
    23: "telnet", 25: "smtp", 37: "time", 43: "whois", 53: "domain", 70: "gopher", 79: "finger",
    80: "http", 95: "supdup", 109: "pop_2", 110: "pop_3", 111: "sunrpc", 113: "auth",
    117: "uucp_path", 119: "nntp", 139: "netbios_ssn", 143: "imap4", 179: "bgp", 389: "ldap",
    443: "http_443", 512: "exec", 513: "login", 514: "shell", 515: "printer", 540: "uucp",
}  # fmt: skip
"""TCP ports whose service has a name in KDD."""
LAST_SYSTEM_PORT = 1023
"""A port without a name is ``private`` up to here and ``other`` above. A guess: the published data
has no ports."""

Attack: TypeAlias = Callable[[np.random.Generator, Site, int], pl.DataFrame]


def simulate_attacks(rng: np.random.Generator, site: Site, sizes: dict[str, int]) -> pl.DataFrame:
    """Return the connections of every attack of a night, in no order.

    ``sizes`` has the number of connections of each attack, at least one.
    """
    streams: list[pl.DataFrame] = []
    for name, size in sizes.items():
        attack, usual_size = ATTACKS[name]
        attackers = max(2, round(size / usual_size))
        streams += [
            attack(rng, site, part).with_columns(attack=pl.lit(name))
            for part in _split(rng, size, attackers)
        ]
    return pl.concat(streams)


def draw_sizes(rng: np.random.Generator, rows: int) -> dict[str, int]:
    """Draw the number of connections of each attack, for a night of ``rows`` connections."""
    return {
        name: max(2, round(share * rows * rng.uniform(0.5, 1.5)))
        for name, share in ATTACK_SHARES.items()
    }


def _flood(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Open connections without finishing them, to exhaust a server (``neptune``)."""
    target = site.draw(rng, str(rng.choice(SERVERS)), 1)[0]
    port = _draw_scanned_ports(rng, rows)
    if happens(rng, 0.5):
        port[:] = rng.choice([25, 80, 23])
    if happens(rng, 0.5):
        source = np.full(rows, site.draw(rng, "strangers", 1)[0])
    else:
        source = site.draw(rng, "strangers", rows)  # forged
    return make_connections(
        rows,
        start_s=spread_evenly(rng, rows, gap_s=float(rng.choice([0.008, 0.02, 0.08, 0.8]))),
        source_host=source,
        source_port=draw_ports(rng, rows),
        destination_host=target,
        destination_port=port,
        service=_name_services(port),
        flag=choose(rng, {"S0": 83, "REJ": 14, "RSTO": 3}, rows),
    )


def _scan_ports(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Try the ports of one host, to find the open ones (``portsweep``)."""
    port = _draw_scanned_ports(rng, rows)
    state = choose(rng, {"RSTR": 40, "REJ": 38, "S0": 8, "SH": 4, "RSTOS0": 4, "SF": 6}, rows)
    is_open = state == "SF"
    source_port = draw_ports(rng, rows)
    if happens(rng, 0.6):
        source_port[:] = source_port[0]
    lingers = (state == "RSTR") & happens(rng, 0.15, rows)
    return make_connections(
        rows,
        start_s=spread_evenly(rng, rows, gap_s=float(rng.choice([0.03, 0.4, 6.0, 45.0]))),
        source_host=site.draw(rng, str(rng.choice(["strangers", "office"])), 1)[0],
        source_port=source_port,
        destination_host=site.draw(rng, str(rng.choice([*SERVERS, "office"])), 1)[0],
        destination_port=port,
        service=_name_services(port),
        duration=np.where(lingers, rng.integers(1, 60, rows), 0),
        flag=state,
        src_bytes=np.where(is_open, rng.integers(1, 200, rows), 0),
        dst_bytes=np.where(is_open, rng.integers(0, 600, rows), 0),
    )


def _sweep_hosts(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Try one host after another, to find those that exist (``ipsweep``)."""
    hosts = site.hosts("office", "printers", *SERVERS)
    common = {
        "start_s": spread_evenly(rng, rows, gap_s=float(rng.choice([0.05, 0.5, 4.0, 20.0]))),
        "source_host": site.draw(rng, str(rng.choice(["strangers", "world", "office"])), 1)[0],
        "destination_host": hosts[(rng.integers(hosts.size) + np.arange(rows)) % hosts.size],
    }
    if happens(rng, 0.7):
        return make_connections(
            rows,
            source_port=8,
            protocol_type="icmp",
            service="eco_i",
            src_bytes=int(rng.choice([8, 18, 30, 64])),
            **common,
        )
    port = int(rng.choice([22, 23, 25, 80, 139, 445]))
    state = choose(rng, {"REJ": 60, "SF": 25, "S0": 8, "RSTO": 7}, rows)
    is_open = state == "SF"
    return make_connections(
        rows,
        source_port=draw_ports(rng, rows),
        destination_port=port,
        service=_name_services(np.full(rows, port)),
        flag=state,
        src_bytes=np.where(is_open, rng.integers(0, 100, rows), 0),
        dst_bytes=np.where(is_open, rng.integers(20, 300, rows), 0),
        **common,
    )


def _guess_passwords(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Try one password after another on one account (``guess_passwd``)."""
    service, port, pool = (
        ("telnet", 23, "database"), ("ftp", 21, "files"), ("ssh", 22, "web"),
        ("pop_3", 110, "mail"), ("imap4", 143, "mail"),
    )[rng.integers(5)]  # fmt: skip
    is_last = np.arange(rows) == rows - 1
    has_succeeded = is_last & happens(rng, 0.3)
    is_visible = service != "ssh"
    failed = rng.choice([1, 1, 1, 2, 3], rows)
    sent = {"telnet": 125, "ftp": 60, "ssh": 1900, "pop_3": 36, "imap4": 90}[service]
    received = {"telnet": 180, "ftp": 220, "ssh": 2300, "pop_3": 110, "imap4": 150}[service]
    return make_connections(
        rows,
        start_s=spread_evenly(rng, rows, gap_s=float(rng.choice([0.7, 3.0, 15.0, 240.0]))),
        source_host=site.draw(rng, str(rng.choice(["strangers", "office"])), 1)[0],
        source_port=draw_ports(rng, rows),
        destination_host=site.draw(rng, pool, 1)[0],
        destination_port=port,
        service=service,
        duration=rng.choice([0, 0, 1, 2, 4], rows),
        flag=choose(rng, {"SF": 50, "RSTO": 35, "S3": 5, "RSTR": 10}, rows),
        src_bytes=Amount(sent, 0.12).draw(rng, rows),
        dst_bytes=Amount(received, 0.12).draw(rng, rows),
        num_failed_logins=np.where(has_succeeded, 0, failed * happens(rng, 0.9, rows)) * is_visible,
        logged_in=has_succeeded,
        hot=happens(rng, 0.5, rows) & (service == "telnet"),
    )


def _exfiltrate(rng: np.random.Generator, site: Site, rows: int) -> pl.DataFrame:
    """Send data out of the site: in bulk, in small pieces, or in the names of DNS queries."""
    common = {
        "source_host": site.draw(rng, str(rng.choice(["office", "files", "database"])), 1)[0],
        "source_port": draw_ports(rng, rows),
        "destination_host": site.draw(rng, "world", 1)[0],
    }
    variant = rng.choice(["bulk", "pieces", "names"])
    if variant == "names":
        return make_connections(
            rows,
            start_s=spread_evenly(rng, rows, gap_s=float(rng.choice([0.15, 1.0, 8.0]))),
            destination_port=53,
            protocol_type="udp",
            service="domain_u",
            src_bytes=Amount(150, 0.3).draw(rng, rows),
            dst_bytes=Amount(130, 0.35).draw(rng, rows),
            **common,
        )
    if variant == "bulk":
        service, port = (("ftp_data", 20), ("ssh", 22), ("http", 80))[rng.integers(3)]
        gap_s, sent, lasts = 90.0, Amount(2_500_000, 1.2), Amount(45, 1.0)
    else:
        service, port = (("http", 80), ("http_443", 443))[rng.integers(2)]
        gap_s, sent, lasts = 500.0, Amount(45_000, 0.7), Amount(4, 0.8)
    can_log_in = service != "http_443"
    return make_connections(
        rows,
        start_s=spread_evenly(rng, rows, gap_s=gap_s),
        destination_port=port,
        service=service,
        duration=lasts.draw(rng, rows),
        flag=choose(rng, {"SF": 96, "RSTO": 2, "S3": 1, "RSTR": 1}, rows),
        src_bytes=sent.draw(rng, rows),
        dst_bytes=np.where(service == "ftp_data", 0, Amount(420, 0.7).draw(rng, rows)),
        logged_in=happens(rng, 0.9, rows) & can_log_in,
        **common,
    )


ATTACKS: dict[str, tuple[Attack, int]] = {
    "neptune": (_flood, 350),
    "portsweep": (_scan_ports, 60),
    "ipsweep": (_sweep_hosts, 60),
    "guess_passwd": (_guess_passwords, 30),
    "exfiltration": (_exfiltrate, 20),
}
"""Each attack with the usual number of its connections (guesses)."""


def _split(rng: np.random.Generator, rows: int, parts: int) -> list[int]:
    """Divide connections among attackers at random, at least one for each."""
    parts = min(parts, rows)
    return list(1 + rng.multinomial(rows - parts, rng.dirichlet(np.full(parts, 4.0))))


def _draw_scanned_ports(rng: np.random.Generator, rows: int) -> Array:
    """Draw ports as scanners do: well-known ports half of the time."""
    known = rng.choice(list(WELL_KNOWN), rows)
    return np.where(happens(rng, 0.5, rows), known, rng.integers(1, 10_000, rows))


def _name_services(port: Array) -> Array:
    """Return KDD's names for the services of TCP ports."""
    return np.array(
        [
            WELL_KNOWN.get(number, "private" if number <= LAST_SYSTEM_PORT else "other")
            for number in port
        ]
    )
