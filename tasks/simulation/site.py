"""The site's hosts: its address plan, and how often each host occurs.

Belongs here: pools of hosts and drawing from them. Does not belong here: what any host does.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

import numpy as np
import polars as pl

from tasks.simulation.connections import Array

ROWS_OF_A_FULL_SITE = 100_000
"""Connections per day of the site with the pools below. A longer or shorter file comes from a site
with proportionally more or fewer hosts, so that each host has as many connections."""


@dataclass(frozen=True)
class Pool:
    """Hosts of one kind: their first address and their number."""

    first_address: str
    hosts: int
    """Their number in a full site (see ``ROWS_OF_A_FULL_SITE``)."""
    skew: float = 0.0
    """Exponent of the popularity law: host k is drawn in proportion to k ** -skew."""
    is_fixed: bool = False
    """Whether the number of hosts is the same at any size of the site."""


# Sizes are guesses at an office of 250 people with a small server room. Outside hosts have
# addresses of the network reserved for benchmarks (RFC 2544), which are not routed.
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
        self._cumulative: dict[str, Array] = {}
        for name, pool in POOLS.items():
            hosts = pool.hosts if pool.is_fixed else max(2, round(pool.hosts * scale))
            weights = np.arange(1, hosts + 1, dtype=np.float64) ** -pool.skew
            self._addresses[name] = int(IPv4Address(pool.first_address)) + np.arange(hosts)
            self._cumulative[name] = np.cumsum(weights / weights.sum())

    def draw(self, rng: np.random.Generator, pool: str, size: int) -> Array:
        """Draw hosts of a pool, popular hosts more often."""
        addresses = self._addresses[pool]
        places = np.searchsorted(self._cumulative[pool], rng.random(size))
        return addresses[np.minimum(places, addresses.size - 1)]

    def hosts(self, *pools: str) -> Array:
        """Return every host of the pools."""
        return np.concatenate([self._addresses[pool] for pool in pools])


def format_addresses(addresses: pl.Series) -> pl.Series:
    """Return addresses as text."""
    distinct = addresses.unique()
    text = pl.Series([str(IPv4Address(address)) for address in distinct])
    return addresses.replace_strict(distinct, text)
