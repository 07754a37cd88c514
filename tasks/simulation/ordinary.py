"""The ordinary connections of a day, made from traffic patterns.

Belongs here: bursts of connections, their start times and their hosts. Does not belong here: the
patterns (see ``patterns``), content features (see ``content``), benign anomalies, attacks.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from tasks.simulation.connections import (
    DAY_S,
    UNANSWERED,
    Array,
    choose,
    draw_ports,
    happens,
    make_connections,
)
from tasks.simulation.content import draw_content
from tasks.simulation.patterns import HOURS, Rhythm, TrafficPattern
from tasks.simulation.site import Site

SATURDAY = 5
WEEKEND_OFFICE = 0.4
"""Share of office traffic that keeps the office rhythm on a weekend; the rest is flat. A guess."""


def simulate_ordinary(
    rng: np.random.Generator,
    site: Site,
    rows: int,
    night: date,
    patterns: Sequence[TrafficPattern],
) -> pl.DataFrame:
    """Return exactly ``rows`` ordinary connections, in no order."""
    shares = np.array([pattern.share for pattern in patterns])
    sizes = rng.multinomial(rows, shares / shares.sum())
    return pl.concat(
        _simulate_pattern(rng, site, int(size), night, pattern)
        for pattern, size in zip(patterns, sizes, strict=True)
    )


def draw_starts(rng: np.random.Generator, size: int, rhythm: Rhythm, night: date) -> Array:
    """Draw start times, in seconds since midnight, by the rhythm of the day."""
    weights = np.array(HOURS[rhythm], dtype=np.float64)
    weights /= weights.sum()
    if rhythm == "office" and night.weekday() >= SATURDAY:
        weights = WEEKEND_OFFICE * weights + (1 - WEEKEND_OFFICE) / weights.size
    hour = np.searchsorted(np.cumsum(weights)[:-1], rng.random(size), side="right")
    return (hour + rng.random(size)) * (DAY_S / weights.size)


def _simulate_pattern(
    rng: np.random.Generator, site: Site, rows: int, night: date, pattern: TrafficPattern
) -> pl.DataFrame:
    """Return the connections of one traffic pattern."""
    burst_number, step, after_s = _draw_bursts(rng, rows, pattern.burst, pattern.gap_s)
    bursts = int(burst_number.max(initial=-1)) + 1
    server = site.draw(rng, pattern.servers, bursts)[burst_number]
    other_server = site.draw(rng, pattern.servers, rows)
    states = choose(rng, pattern.states, rows)
    is_answered = ~np.isin(states, UNANSWERED)
    is_instant = happens(rng, pattern.instant, rows) | ~is_answered
    if pattern.source_port is None:
        # A client increments its port within a burst.
        port = np.minimum(draw_ports(rng, bursts)[burst_number] + step, 60_999)
    else:
        port = np.full(rows, pattern.source_port)
    logged_in = happens(rng, pattern.login, rows) & is_answered
    sent = pattern.sent.draw(rng, rows)
    return make_connections(
        rows,
        start_s=draw_starts(rng, bursts, pattern.rhythm, night)[burst_number] + after_s,
        source_host=site.draw(rng, pattern.clients, bursts)[burst_number],
        source_port=port,
        destination_host=np.where(happens(rng, pattern.roam, rows), other_server, server),
        destination_port=pattern.port,
        duration=np.where(is_instant, 0, np.minimum(pattern.lasts.draw(rng, rows), DAY_S)),
        protocol_type=pattern.protocol,
        service=pattern.service,
        flag=states,
        src_bytes=np.where(is_answered, sent, 0),
        dst_bytes=np.where(is_answered, pattern.received.draw(rng, rows), 0),
        logged_in=logged_in,
        **draw_content(rng, pattern, logged_in, is_answered),
    )


def _draw_bursts(
    rng: np.random.Generator, rows: int, burst: float, gap_s: float
) -> tuple[Array, Array, Array]:
    """Divide connections into bursts of geometric length.

    Returns:
        For each connection: the number of its burst, its place in the burst, and the seconds since
        the burst began.
    """
    lengths = rng.geometric(1 / burst, size=max(1, rows))  # each is at least 1: always enough
    burst_number = np.repeat(np.arange(lengths.size), lengths)[:rows]
    is_first = np.diff(burst_number, prepend=-1) != 0
    first = np.flatnonzero(is_first)[burst_number]
    running = np.cumsum(rng.exponential(gap_s, rows))
    return burst_number, np.arange(rows) - first, running - running[first]
