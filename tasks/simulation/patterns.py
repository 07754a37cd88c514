"""The traffic patterns of the site: every kind of ordinary traffic, declared once.

Belongs here: the patterns of an ordinary day, and those of a changed site. Does not belong here:
making connections from them (see ``ordinary``), benign anomalies, and attacks.

Medians of bytes and durations, and shares of states and logins, are close to those of NSL-KDD's
normal rows where it has the service in this role. Elsewhere they are guesses (http_443, ldap,
printer, netbios_ssn, nntp, ssh, uploads, backups). The shares of services, the bursts and the
rhythms are guesses at an office with a server room: the published data does not contain them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

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

STEADY: States = {"SF": 985, "REJ": 4, "S0": 3, "RSTO": 3, "S1": 3, "S2": 1, "S3": 1}
"""Inside the site, per thousand. A guess."""
DISTANT: States = {
    "SF": 948, "REJ": 24, "S0": 8, "RSTO": 6, "RSTR": 4, "S1": 6, "S2": 2, "S3": 1, "OTH": 1,
}  # fmt: skip
"""Across the internet, per thousand: close to normal http rows, with fewer REJ, more RST."""
CHATTY: States = {"SF": 13, "RSTR": 64, "RSTO": 10, "S1": 13}
"""Of chats, which are rarely closed: the shares of normal IRC rows."""
BUSY: States = {"SF": 90, "REJ": 8, "S0": 2}
"""Of devices that refuse connections while they are busy. A guess."""
DATAGRAM: States = {"SF": 1}
"""UDP and ICMP have no handshake: every exchange is SF, as published."""

NOTHING = Amount(0)


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
    received: Amount = NOTHING
    """Bytes from server to client."""
    lasts: Amount = NOTHING
    """Seconds, of connections that are not instant."""
    instant: float = 0.0
    """Share of the connections that take less than a second."""
    protocol: str = "tcp"
    states: States
    login: float = 0.0
    """Share of the answered connections in which somebody logs in. KDD also counts complete
    exchanges of http, smtp and ftp data as logins."""
    burst: float = 1.0
    """Mean number of connections in a burst."""
    gap_s: float = 0.3
    """Mean time between the connections of a burst."""
    roam: float = 0.0
    """Probability that a connection of a burst goes to another server."""
    rhythm: Rhythm = "office"
    source_port: int | None = None
    """The client's port if it is always the same."""


WEB = (
    TrafficPattern(
        service="http", port=80, clients="office", servers="world", share=29.0,
        sent=Amount(240, 0.35), received=Amount(1500, 1.4), lasts=Amount(4, 1.0), instant=0.96,
        states=DISTANT, login=0.96, burst=6, gap_s=0.25, roam=0.25,
    ),
    TrafficPattern(  # visitors of the site's own web servers
        service="http", port=80, clients="strangers", servers="web", share=10.0,
        sent=Amount(250, 0.35), received=Amount(1800, 1.3), lasts=Amount(4, 1.0), instant=0.96,
        states=DISTANT, login=0.96, burst=5, gap_s=0.3,
    ),
    TrafficPattern(  # crawlers: as many connections in two seconds as a modest flood
        service="http", port=80, clients="strangers", servers="web", share=4.0,
        sent=Amount(200, 0.1), received=Amount(4000, 1.2), instant=1.0,
        states=DISTANT, login=0.97, burst=90, gap_s=0.03, rhythm="flat",
    ),
    TrafficPattern(
        service="http_443", port=443, clients="office", servers="world", share=6.0,
        sent=Amount(900, 0.8), received=Amount(5000, 1.3), lasts=Amount(20, 1.2), instant=0.7,
        states=DISTANT, burst=3, gap_s=0.25, roam=0.3,
    ),
    TrafficPattern(  # uploads to outside servers, some of them large
        service="http", port=80, clients="office", servers="world", share=0.9,
        sent=Amount(60_000, 1.7), received=Amount(420, 0.6), lasts=Amount(6, 1.2), instant=0.5,
        states=DISTANT, login=0.96, burst=2, gap_s=5,
    ),
)  # fmt: skip

NAMES_AND_TIME = (
    TrafficPattern(
        service="domain_u", port=53, clients="office", servers="dns", share=15.0,
        sent=Amount(44, 0.1), received=Amount(85, 0.4), protocol="udp", states=DATAGRAM,
        burst=2.5, gap_s=0.1,
    ),
    TrafficPattern(
        service="domain_u", port=53, clients="dns", servers="world", share=3.0,
        sent=Amount(46, 0.15), received=Amount(120, 0.4), protocol="udp", states=DATAGRAM,
        burst=1.5, gap_s=0.1, roam=0.5,
    ),
    TrafficPattern(  # a mail filter looks up long names in block lists, in bursts
        service="domain_u", port=53, clients="mail", servers="world", share=0.5,
        sent=Amount(95, 0.3), received=Amount(140, 0.3), protocol="udp", states=DATAGRAM,
        burst=8, gap_s=0.3, roam=0.1, rhythm="flat",
    ),
    TrafficPattern(
        service="domain", port=53, clients="dns", servers="world", share=0.1,
        sent=Amount(48, 0.1), received=Amount(490, 0.3), states=DISTANT, login=0.9, rhythm="flat",
    ),
    TrafficPattern(
        service="ntp_u", port=123, clients="office", servers="dns", share=1.5,
        sent=Amount(48), received=Amount(48), lasts=Amount(6, 0.8), instant=0.88, protocol="udp",
        states=DATAGRAM, rhythm="flat", source_port=123,
    ),
    TrafficPattern(
        service="time", port=37, clients="database", servers="dns", share=0.1,
        sent=NOTHING, received=Amount(4), lasts=Amount(3, 0.5), instant=0.8, states=STEADY,
        rhythm="flat",
    ),
)  # fmt: skip

MAIL = (
    TrafficPattern(
        service="smtp", port=25, clients="world", servers="mail", share=4.5,
        sent=Amount(1200, 0.75), received=Amount(335, 0.12), lasts=Amount(4, 0.9), instant=0.72,
        states=DISTANT, login=0.98, burst=1.4, gap_s=1,
    ),
    TrafficPattern(
        service="smtp", port=25, clients="office", servers="mail", share=3.0,
        sent=Amount(2000, 1.3), received=Amount(340, 0.1), lasts=Amount(2, 0.7), instant=0.8,
        states=STEADY, login=0.99,
    ),
    TrafficPattern(
        service="auth", port=113, clients="mail", servers="world", share=0.4,
        sent=Amount(10, 0.2), received=Amount(38, 0.05), lasts=Amount(4, 0.9), instant=0.85,
        states={"SF": 85, "REJ": 12, "S0": 3}, login=0.65,
    ),
    TrafficPattern(
        service="pop_3", port=110, clients="office", servers="mail", share=2.0,
        sent=Amount(38, 0.35), received=Amount(160, 1.3), lasts=Amount(3, 0.6), instant=0.85,
        states=STEADY, login=0.985,
    ),
    TrafficPattern(
        service="imap4", port=143, clients="office", servers="mail", share=1.6,
        sent=Amount(1330, 0.5), received=Amount(1500, 1.5), lasts=Amount(25, 1.2), instant=0.3,
        states=STEADY, login=0.99,
    ),
)  # fmt: skip

FILES = (
    TrafficPattern(
        service="ftp", port=21, clients="office", servers="files", share=0.8,
        sent=Amount(900, 0.6), received=Amount(2500, 0.5), lasts=Amount(26, 0.4), instant=0.08,
        states=STEADY, login=0.95,
    ),
    TrafficPattern(
        service="ftp", port=21, clients="strangers", servers="files", share=0.5,
        sent=Amount(500, 0.8), received=Amount(2000, 0.7), lasts=Amount(28, 0.6), instant=0.1,
        states=DISTANT, login=0.95, rhythm="flat",
    ),
    TrafficPattern(
        service="ftp_data", port=20, clients="office", servers="files", share=3.5,
        sent=Amount(1500, 2.2), lasts=Amount(4, 1.2), instant=0.93, states=STEADY, login=0.7,
        burst=3, gap_s=1.5,
    ),
    TrafficPattern(  # the nightly backup: long, large and harmless
        service="ftp_data", port=20, clients="files", servers="backup", share=0.6,
        sent=Amount(4_000_000, 1.3), lasts=Amount(60, 1.0), states=STEADY, login=0.7,
        burst=6, gap_s=20, rhythm="night",
    ),
    TrafficPattern(
        service="netbios_ssn", port=139, clients="office", servers="files", share=2.2,
        sent=Amount(1800, 1.2), received=Amount(2200, 1.4), lasts=Amount(40, 1.3), instant=0.4,
        states=STEADY, login=0.9,
    ),
    TrafficPattern(
        service="printer", port=515, clients="office", servers="printers", share=0.6,
        sent=Amount(40_000, 1.3), received=Amount(20, 0.1), lasts=Amount(5, 0.8), instant=0.3,
        states=BUSY,
    ),
)  # fmt: skip

SESSIONS = (
    TrafficPattern(
        service="ssh", port=22, clients="office", servers="web", share=1.2,
        sent=Amount(3000, 1.3), received=Amount(6000, 1.3), lasts=Amount(60, 1.6), instant=0.2,
        states=STEADY, login=0.93, burst=1.6, gap_s=8, roam=0.3,
    ),
    TrafficPattern(
        service="ssh", port=22, clients="office", servers="world", share=0.3,
        sent=Amount(5000, 1.8), received=Amount(6000, 1.4), lasts=Amount(90, 1.6), instant=0.15,
        states=DISTANT, login=0.93,
    ),
    TrafficPattern(
        service="telnet", port=23, clients="office", servers="database", share=0.8,
        sent=Amount(180, 1.0), received=Amount(7000, 1.7), lasts=Amount(60, 1.9), instant=0.15,
        states={"SF": 86, "RSTO": 5, "S1": 6, "RSTR": 2, "S0": 1}, login=0.93,
    ),
    TrafficPattern(
        service="X11", port=6000, clients="database", servers="office", share=0.08,
        sent=Amount(130_000, 2.5), received=Amount(23_000, 2.0), lasts=Amount(20, 2.0),
        instant=0.3, states=BUSY, login=0.65,
    ),
    TrafficPattern(
        service="ldap", port=389, clients="office", servers="dns", share=2.0,
        sent=Amount(310, 0.3), received=Amount(800, 0.9), lasts=Amount(5, 1.0), instant=0.8,
        states=STEADY, login=0.97, burst=1.5, gap_s=0.2,
    ),
)  # fmt: skip

PEOPLE = (
    TrafficPattern(
        service="IRC", port=6667, clients="office", servers="world", share=0.3,
        sent=Amount(1100, 1.2), received=Amount(7800, 1.1), lasts=Amount(6000, 0.8), instant=0.2,
        states=CHATTY, login=0.56,
    ),
    TrafficPattern(
        service="finger", port=79, clients="office", servers="database", share=0.3,
        sent=Amount(8, 0.2), received=Amount(150, 0.6), lasts=Amount(2, 0.5), instant=0.88,
        states=STEADY,
    ),
    TrafficPattern(
        service="nntp", port=119, clients="office", servers="world", share=0.2,
        sent=Amount(200, 0.6), received=Amount(3000, 1.0), lasts=Amount(20, 1.0), instant=0.5,
        states=DISTANT, login=0.9,
    ),
    TrafficPattern(  # calls and streams
        service="other", port=5004, clients="office", servers="world", share=1.8,
        sent=Amount(150, 0.6), received=Amount(105, 0.4), lasts=Amount(1900, 1.2), instant=0.35,
        protocol="udp", states=DATAGRAM, burst=1.5, gap_s=0.5,
    ),
    TrafficPattern(
        service="other", port=6881, clients="office", servers="world", share=0.6,
        sent=Amount(3800, 1.6), received=Amount(200, 1.2), lasts=Amount(30, 1.2), instant=0.8,
        states={"SF": 78, "REJ": 13, "S0": 5, "RSTO": 3, "OTH": 1}, login=0.7, burst=2, roam=0.8,
    ),
    TrafficPattern(
        service="private", port=1723, clients="office", servers="world", share=0.4,
        sent=Amount(470, 0.9), received=Amount(400, 1.0), lasts=Amount(5, 1.0), instant=0.6,
        states={"SF": 78, "REJ": 14, "S0": 6, "RSTO": 2}, login=0.25,
    ),
)  # fmt: skip

WATCHING = (
    TrafficPattern(  # the monitor asks every server for its counters
        service="private", port=161, clients="monitor", servers="database", share=1.5,
        sent=Amount(105), received=Amount(146, 0.02), protocol="udp", states=DATAGRAM,
        burst=8, gap_s=0.05, roam=0.9, rhythm="flat",
    ),
    TrafficPattern(  # and pings all office hosts, a few at a time
        service="eco_i", port=0, clients="monitor", servers="office", share=1.2,
        sent=Amount(64), protocol="icmp", states=DATAGRAM, burst=20, gap_s=0.05, roam=1.0,
        rhythm="flat", source_port=8,
    ),
    TrafficPattern(
        service="ecr_i", port=0, clients="office", servers="monitor", share=1.1,
        sent=Amount(64), protocol="icmp", states=DATAGRAM, burst=1, rhythm="flat", source_port=0,
    ),
    TrafficPattern(
        service="eco_i", port=0, clients="office", servers="world", share=0.3,
        sent=Amount(30, 0.3), protocol="icmp", states=DATAGRAM, burst=4, gap_s=1, source_port=8,
    ),
    TrafficPattern(
        service="urp_i", port=3, clients="world", servers="office", share=0.5,
        sent=Amount(150, 0.35), protocol="icmp", states=DATAGRAM, burst=1.5, rhythm="flat",
        source_port=3,
    ),
    TrafficPattern(
        service="tim_i", port=0, clients="world", servers="office", share=0.04,
        sent=Amount(564), protocol="icmp", states=DATAGRAM, rhythm="flat", source_port=11,
    ),
)  # fmt: skip

ORDINARY: tuple[TrafficPattern, ...] = (
    *WEB, *NAMES_AND_TIME, *MAIL, *FILES, *SESSIONS, *PEOPLE, *WATCHING,
)  # fmt: skip


PAGE_GROWTH = 3.0
"""How much larger the pages of a changed site are. A guess that any drift statistic detects."""

NEW_AT_A_CHANGED_SITE = (
    TrafficPattern(  # an application with a remote database: a service that is new at the site
        service="sql_net", port=1521, clients="web", servers="database", share=12.0,
        sent=Amount(420, 0.6), received=Amount(2600, 1.2), lasts=Amount(15, 1.0), instant=0.7,
        states=STEADY, login=0.98, burst=4, gap_s=0.2,
    ),
    TrafficPattern(  # a backup of the office hosts during the day
        service="ssh", port=22, clients="office", servers="backup", share=9.0,
        sent=Amount(900_000, 1.2), received=Amount(4000, 0.4), lasts=Amount(30, 0.8),
        states=STEADY, login=0.99, burst=5, gap_s=10, rhythm="flat",
    ),
)  # fmt: skip


def change_patterns(patterns: Sequence[TrafficPattern]) -> tuple[TrafficPattern, ...]:
    """Return the patterns of the changed site: larger pages, a new service, new backups."""
    changed = tuple(
        replace(one, received=replace(one.received, median=one.received.median * PAGE_GROWTH))
        if one.service == "http"
        else one
        for one in patterns
    )
    return (*changed, *NEW_AT_A_CHANGED_SITE)
