"""The traffic patterns of the site: a row of ``patterns.csv`` for each kind of traffic.

Belongs here: the patterns of an ordinary day, and those of a changed site. Does not belong here:
making connections from them (see ``ordinary``), benign anomalies, and attacks.

Medians of bytes and durations, and shares of states and logins, are close to those of NSL-KDD's
normal rows where it has the service in this role. Elsewhere they are guesses (http_443, ldap,
printer, netbios_ssn, nntp, ssh, uploads, backups). The shares of services, the bursts and the
rhythms are guesses at an office with a server room: the published data does not contain them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from tasks.simulation.connections import Amount

Rhythm = Literal["office", "flat", "night"]

HOURS: Mapping[Rhythm, Sequence[float]] = {
    "office": (1, 1, 1, 1, 1, 2, 5, 12, 22, 28, 28, 26, 18, 24, 28, 26, 22, 16, 9, 5, 4, 3, 2, 1),
    "flat": (1,) * 24,
    "night": (4, 10, 12, 8, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2),
}
"""Relative traffic of each hour of the day. Guesses."""

States = Mapping[str, float]
"""Connection states and their weights."""

STATES: Mapping[str, States] = {
    # Inside the site, per thousand. A guess.
    "steady": {"SF": 985, "REJ": 4, "S0": 3, "RSTO": 3, "S1": 3, "S2": 1, "S3": 1},
    # Across the internet, per thousand: close to normal http rows, with fewer REJ, more RST.
    "distant": {
        "SF": 948, "REJ": 24, "S0": 8, "RSTO": 6, "RSTR": 4, "S1": 6, "S2": 2, "S3": 1, "OTH": 1,
    },
    # Of chats, which are rarely closed: the shares of normal IRC rows.
    "chatty": {"SF": 13, "RSTR": 64, "RSTO": 10, "S1": 13},
    # Of devices that refuse connections while they are busy. A guess.
    "busy": {"SF": 90, "REJ": 8, "S0": 2},
    # UDP and ICMP have no handshake: every exchange is SF, as published.
    "datagram": {"SF": 1},
    "ident": {"SF": 85, "REJ": 12, "S0": 3},
    "terminal": {"SF": 86, "RSTO": 5, "S1": 6, "RSTR": 2, "S0": 1},
    "peers": {"SF": 78, "REJ": 13, "S0": 5, "RSTO": 3, "OTH": 1},
    "tunnel": {"SF": 78, "REJ": 14, "S0": 6, "RSTO": 2},
}  # fmt: skip
"""The states by their name in the column ``states`` of the table."""


@dataclass(frozen=True, kw_only=True)
class TrafficPattern:
    """One kind of traffic between two pools of hosts."""

    service: str
    port: int
    clients: str
    """Pool of the hosts that open the connections."""
    servers: str
    """Pool of the hosts that accept them."""
    share: float
    """Weight among the ordinary connections, relative to the other patterns."""
    sent: Amount
    """Bytes from client to server."""
    received: Amount
    """Bytes from server to client."""
    lasts: Amount
    """Seconds, of connections that are not instant."""
    instant: float
    """Share of the connections that take less than a second."""
    protocol: str
    states: States
    login: float
    """Share of the answered connections in which a user logs in. KDD also counts complete
    exchanges of http, smtp and ftp data as logins."""
    burst: float
    """Mean number of connections in a burst."""
    gap_s: float
    """Mean time between the connections of a burst."""
    roam: float
    """Probability that a connection of a burst goes to another server."""
    rhythm: Rhythm
    source_port: int | None
    """The client's port if it is always the same."""


def read_patterns(site: Literal["ordinary", "changed"]) -> tuple[TrafficPattern, ...]:
    """Return the patterns of an ordinary day, or those that only a changed site has.

    An amount has two columns in the table: its median and its spread.
    """
    table = pl.read_csv(Path(__file__).with_suffix(".csv"), comment_prefix="#")
    patterns = []
    for row in table.filter(site=site).drop("site", "note").iter_rows(named=True):
        row["states"] = STATES[row["states"]]
        for name in ("sent", "received", "lasts"):
            row[name] = Amount(row[name], row.pop(f"{name}_spread"))
        patterns.append(TrafficPattern(**row))
    return tuple(patterns)


ORDINARY = read_patterns("ordinary")
NEW_AT_A_CHANGED_SITE = read_patterns("changed")

PAGE_GROWTH = 3.0
"""How much larger the pages of a changed site are. A guess that any drift statistic detects."""


def change_patterns(patterns: Sequence[TrafficPattern]) -> tuple[TrafficPattern, ...]:
    """Return the patterns of the changed site: larger pages, a new service, new backups."""
    changed = tuple(
        replace(one, received=replace(one.received, median=one.received.median * PAGE_GROWTH))
        if one.service == "http"
        else one
        for one in patterns
    )
    return (*changed, *NEW_AT_A_CHANGED_SITE)
