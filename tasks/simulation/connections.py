"""The frame of connections that every part of the simulation makes.

Belongs here: its columns, and random draws that several parts share. Does not belong here: the
hosts (see ``site``), and what any host does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

Array: TypeAlias = np.ndarray
"""(n_connections,) of integers, floats, booleans or strings."""

DAY_S = 86_400

CONNECTION_SCHEMA: "dict[str, PolarsDataType]" = {
    "start_s": pl.Float64,  # seconds since midnight
    "source_host": pl.UInt32,  # IPv4 addresses as integers until the stream is whole
    "source_port": pl.Int64,
    "destination_host": pl.UInt32,
    "destination_port": pl.Int64,
    "duration": pl.Int64,  # whole seconds, as KDD counts them
    "protocol_type": pl.String,
    "service": pl.String,
    "flag": pl.String,
    "src_bytes": pl.Int64,
    "dst_bytes": pl.Int64,
    "wrong_fragment": pl.Int64,
    "urgent": pl.Int64,
    "hot": pl.Int64,
    "num_failed_logins": pl.Int64,
    "logged_in": pl.Int64,
    "num_compromised": pl.Int64,
    "root_shell": pl.Int64,
    "su_attempted": pl.Int64,
    "num_root": pl.Int64,
    "num_file_creations": pl.Int64,
    "num_shells": pl.Int64,
    "num_access_files": pl.Int64,
    "num_outbound_cmds": pl.Int64,
    "is_host_login": pl.Int64,
    "is_guest_login": pl.Int64,
    "attack": pl.String,
}
"""The columns of the frame, under KDD's names where KDD has one. Grain: one connection."""

DEFAULTS = {"attack": "normal", "protocol_type": "tcp", "flag": "SF"}
"""The values of a connection where the caller gives none; numbers are 0."""

UNANSWERED = ("S0", "REJ", "SH", "OTH", "RSTOS0")
"""States without bytes and without a login. This holds for all but 18 of the 46,504 published rows
with these states."""


def make_connections(rows: int, **columns: Array | float | str) -> pl.DataFrame:
    """Return a frame of connections; columns that are not given get their defaults.

    Each column is an array of ``rows`` values, or one value for all rows.
    """
    unknown = sorted(columns.keys() - CONNECTION_SCHEMA.keys())
    assert not unknown, f"not columns of a connection: {unknown}"  # noqa: S101  our mistake
    series = []
    for name, dtype in CONNECTION_SCHEMA.items():
        values = columns.get(name, DEFAULTS.get(name, 0))
        if isinstance(values, np.ndarray):
            series.append(pl.Series(name, values, dtype=dtype))
        else:
            series.append(pl.Series(name, [values], dtype=dtype).new_from_index(0, rows))
    return pl.DataFrame(series)


@dataclass(frozen=True)
class Amount:
    """Bytes or seconds, log-normally distributed."""

    median: float
    spread: float = 0.0
    """Standard deviation of the natural logarithm; 0 gives the median always."""

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Draw whole numbers."""
        return np.rint(self.median * np.exp(self.spread * rng.standard_normal(size))).astype(int)


def happens(rng: np.random.Generator, probability: float, size: int | None = None) -> Array:
    """Return True with a probability, once or for each of ``size`` connections."""
    return np.asarray(rng.random(size) < probability)


def draw_ports(rng: np.random.Generator, size: int) -> Array:
    """Draw ports from the range that Linux uses for clients (32768 to 60999)."""
    return rng.integers(32_768, 61_000, size)


def choose(rng: np.random.Generator, weights: Mapping[str, float], size: int) -> Array:
    """Draw names in proportion to their weights."""
    shares = np.array(list(weights.values()))
    return np.array(list(weights))[rng.choice(shares.size, size, p=shares / shares.sum())]


def spread_evenly(rng: np.random.Generator, rows: int, gap_s: float) -> Array:
    """Draw start times one after another, from a random time of day that leaves room for all.

    Args:
        rng: the night's random generator.
        rows: the number of connections, at least one.
        gap_s: the mean time between two; it is reduced if they would not fit in a day.

    Returns:
        Seconds since midnight, ascending.
    """
    after_s = np.cumsum(rng.exponential(gap_s, rows))
    after_s *= min(1.0, 0.9 * DAY_S / after_s[-1])
    return np.asarray(rng.uniform(0, DAY_S - after_s[-1]) + after_s)
