"""The ordinary connections of a day: habits become sessions, sessions become connections.

Belongs here: when sessions begin, who holds them, how they are paced. Does not belong here: the
habits themselves (see ``habits``), what payloads show (see ``content``), incidents, attacks.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import polars as pl

from tasks.simulation.content import draw_content
from tasks.simulation.events import (
    DAY_S,
    UNANSWERED,
    Array,
    Site,
    choose,
    draw_ports,
    happens,
    make_events,
)
from tasks.simulation.habits import HOURS, Habit, Rhythm

SATURDAY = 5
WEEKEND_OFFICE = 0.4
"""How much of the office's rhythm is left on a weekend; the rest is flat. A guess."""


def simulate_ordinary(
    rng: np.random.Generator, site: Site, rows: int, night: date, habits: Sequence[Habit]
) -> pl.DataFrame:
    """Make exactly ``rows`` ordinary connections (an event frame, in no order)."""
    shares = np.array([habit.share for habit in habits])
    sizes = rng.multinomial(rows, shares / shares.sum())
    return pl.concat(
        _simulate_habit(rng, site, int(size), night, habit)
        for habit, size in zip(habits, sizes, strict=True)
    )


def draw_starts(rng: np.random.Generator, size: int, rhythm: Rhythm, night: date) -> Array:
    """Draw seconds since midnight by the rhythm of the day."""
    weights = np.array(HOURS[rhythm], dtype=np.float64)
    weights /= weights.sum()
    if rhythm == "office" and night.weekday() >= SATURDAY:
        weights = WEEKEND_OFFICE * weights + (1 - WEEKEND_OFFICE) / weights.size
    hour = np.searchsorted(np.cumsum(weights)[:-1], rng.random(size), side="right")
    return (hour + rng.random(size)) * (DAY_S / weights.size)


def _simulate_habit(
    rng: np.random.Generator, site: Site, rows: int, night: date, habit: Habit
) -> pl.DataFrame:
    """Make the connections of one habit."""
    session, step, after_s = _draw_bursts(rng, rows, habit.burst, habit.gap_s)
    sessions = int(session.max(initial=-1)) + 1
    server = site.draw(rng, habit.servers, sessions)[session]
    other_server = site.draw(rng, habit.servers, rows)
    states = choose(rng, habit.states, rows)
    is_answered = ~np.isin(states, UNANSWERED)
    is_instant = happens(rng, habit.instant, rows) | ~is_answered
    if habit.source_port is None:
        # A client counts its ports up through a burst.
        port = np.minimum(draw_ports(rng, sessions)[session] + step, 60_999)
    else:
        port = np.full(rows, habit.source_port)
    logged_in = happens(rng, habit.login, rows) & is_answered
    sent = habit.sent.draw(rng, rows)
    return make_events(
        rows,
        start_s=draw_starts(rng, sessions, habit.rhythm, night)[session] + after_s,
        source_host=site.draw(rng, habit.clients, sessions)[session],
        source_port=port,
        destination_host=np.where(happens(rng, habit.roam, rows), other_server, server),
        destination_port=habit.port,
        duration=np.where(is_instant, 0, np.minimum(habit.lasts.draw(rng, rows), DAY_S)),
        protocol_type=habit.protocol,
        service=habit.service,
        flag=states,
        src_bytes=np.where(is_answered, sent, 0),
        dst_bytes=np.where(is_answered, habit.received.draw(rng, rows), 0),
        logged_in=logged_in,
        **draw_content(rng, habit, logged_in, is_answered),
    )


def _draw_bursts(
    rng: np.random.Generator, rows: int, burst: float, gap_s: float
) -> tuple[Array, Array, Array]:
    """Divide connections into bursts of geometric length.

    Returns:
        For each connection: the number of its session, its place in that, and the seconds since
        the session began.
    """
    lengths = rng.geometric(1 / burst, size=max(1, rows))  # at least 1 each: always enough
    session = np.repeat(np.arange(lengths.size), lengths)[:rows]
    is_first = np.diff(session, prepend=-1) != 0
    first = np.flatnonzero(is_first)[session]
    running = np.cumsum(rng.exponential(gap_s, rows))
    return session, np.arange(rows) - first, running - running[first]
