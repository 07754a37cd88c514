"""The connection event that every part of the simulation makes, and the site's address plan.

Belongs here: the columns of an event frame, the pools that hosts are drawn from, and draws that
several parts share. Does not belong here: what any host does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

Array: TypeAlias = np.ndarray
"""(n_connections,) of integers, floats, booleans or strings."""

DAY_S = 86_400
ROWS_OF_A_FULL_SITE = 100_000
"""Connections a day of the site as its pools describe it. A longer or shorter file comes from a
site with proportionally more or fewer hosts, so that each host stays as busy as it was."""

EVENT_SCHEMA: "dict[str, PolarsDataType]" = {
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
"""The columns of an event frame (grain: one connection), under KDD's names where it has one."""

DEFAULTS = {"attack": "normal", "protocol_type": "tcp", "flag": "SF"}
"""What an event is unless its maker says otherwise; numbers are 0."""

UNANSWERED = ("S0", "REJ", "SH", "OTH", "RSTOS0")
"""States in which no bytes were exchanged and nobody logged in: so in all but 18 of the 46,504
published rows with these states."""


def make_events(rows: int, **columns: Array | float | str) -> pl.DataFrame:
    """Make an event frame from the columns that matter; the others get their defaults.

    Args:
        rows: connections.
        columns: an array of ``rows`` values, or one value for all of them.
    """
    unknown = sorted(columns.keys() - EVENT_SCHEMA.keys())
    assert not unknown, f"not columns of an event: {unknown}"  # noqa: S101  our mistake
    series = []
    for name, dtype in EVENT_SCHEMA.items():
        values = columns.get(name, DEFAULTS.get(name, 0))
        if isinstance(values, np.ndarray):
            series.append(pl.Series(name, values, dtype=dtype))
        else:
            series.append(pl.Series(name, [values], dtype=dtype).new_from_index(0, rows))
    return pl.DataFrame(series)


@dataclass(frozen=True)
class Pool:
    """A kind of host: where its addresses begin and how many there are."""

    first_address: str
    hosts: int
    """In a full site (see ``ROWS_OF_A_FULL_SITE``)."""
    skew: float = 0.0
    """Exponent of the popularity law: host k is drawn in proportion to k ** -skew."""
    is_fixed: bool = False
    """Whether there are as many however large the site is."""


# Sizes are guesses at an office of 250 people with a small server room. Outside hosts have
# addresses of the network reserved for benchmarks (RFC 2544), which reach nobody.
POOLS = {
    "office": Pool("10.20.0.1", 250, skew=0.4),
    "web": Pool("10.10.1.1", 4, skew=0.7),
    "mail": Pool("10.10.2.1", 2),
    "dns": Pool("10.10.3.1", 2),
    "files": Pool("10.10.4.1", 3, skew=0.5),
    "database": Pool("10.10.5.1", 3, skew=0.3),
    "printers": Pool("10.10.6.1", 8),
    "backup": Pool("10.10.7.1", 1, is_fixed=True),
    "monitor": Pool("10.10.8.1", 1, is_fixed=True),
    "world": Pool("198.18.0.1", 1_500, skew=0.9),
    "strangers": Pool("198.19.0.1", 20_000),
}
SERVERS = ("web", "mail", "dns", "files", "database")


class Site:
    """The hosts of a site of a given size, to draw from."""

    def __init__(self, rows: int) -> None:
        """Size the pools for a day of ``rows`` connections."""
        scale = rows / ROWS_OF_A_FULL_SITE
        self._addresses: dict[str, Array] = {}
        self._chances: dict[str, Array] = {}
        for name, pool in POOLS.items():
            hosts = pool.hosts if pool.is_fixed else max(2, round(pool.hosts * scale))
            weights = np.arange(1, hosts + 1, dtype=np.float64) ** -pool.skew
            self._addresses[name] = int(IPv4Address(pool.first_address)) + np.arange(hosts)
            self._chances[name] = np.cumsum(weights / weights.sum())

    def draw(self, rng: np.random.Generator, pool: str, size: int) -> Array:
        """Draw hosts of a pool, the popular ones more often."""
        addresses = self._addresses[pool]
        places = np.searchsorted(self._chances[pool], rng.random(size))
        return addresses[np.minimum(places, addresses.size - 1)]

    def hosts(self, *pools: str) -> Array:
        """List every host of the pools."""
        return np.concatenate([self._addresses[pool] for pool in pools])


@dataclass(frozen=True)
class Amount:
    """Bytes or seconds, log-normally distributed."""

    median: float
    spread: float = 0.0
    """Standard deviation of the natural logarithm; 0 for the median always."""

    def draw(self, rng: np.random.Generator, size: int) -> Array:
        """Draw whole amounts."""
        return np.rint(self.median * np.exp(self.spread * rng.standard_normal(size))).astype(int)


def happens(rng: np.random.Generator, chance: float, size: int | None = None) -> Array:
    """Decide by chance, once or for each of ``size`` connections."""
    return np.asarray(rng.random(size) < chance)


def draw_ports(rng: np.random.Generator, size: int) -> Array:
    """Draw ports from the range that Linux gives to clients (32768 to 60999)."""
    return rng.integers(32_768, 61_000, size)


def choose(rng: np.random.Generator, weights: Mapping[str, float], size: int) -> Array:
    """Draw names in proportion to their weights."""
    shares = np.array(list(weights.values()))
    return np.array(list(weights))[rng.choice(shares.size, size, p=shares / shares.sum())]


def spread_evenly(rng: np.random.Generator, rows: int, gap_s: float) -> Array:
    """Place connections one after another, beginning at any time of day that leaves room for all.

    Args:
        rng: the night's source of chance.
        rows: connections, at least one.
        gap_s: the mean time between two; less where they would not fit in a day.

    Returns:
        Seconds since midnight, ascending.
    """
    after_s = np.cumsum(rng.exponential(gap_s, rows))
    after_s *= min(1.0, 0.9 * DAY_S / after_s[-1])
    return np.asarray(rng.uniform(0, DAY_S - after_s[-1]) + after_s)


def format_addresses(addresses: pl.Series) -> pl.Series:
    """Write addresses as text."""
    distinct = addresses.unique()
    text = pl.Series([str(IPv4Address(address)) for address in distinct])
    return addresses.replace_strict(distinct, text)
