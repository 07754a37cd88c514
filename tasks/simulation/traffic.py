"""KDD's traffic features of connections in time order.

Belongs here: the definition and the computation of the nineteen features that describe a connection
by those before it. The connections may come from a simulation or from a sensor's log. Does not
belong here: reading logs, or translating services and connection states to KDD's names, which the
caller does.

**The definition.** W. Lee and S. Stolfo, "A Framework for Constructing Features and Models for
Intrusion Detection Systems", ACM TISSEC 3(4), 2000, and the task description of the KDD Cup 1999.
Neither defines every detail. We compute:

- *Two seconds.* The window is the connections that started in the two seconds up to and including
  this one, with both ends. ``count`` of them go to this connection's destination host, and
  ``srv_count`` go to its service on any host. Both are at most 511, as published; the rates are
  over the whole window.
- *One hundred connections.* The window is the last hundred connections to this connection's
  destination host, this one included. ``dst_host_count`` is their number, at most 100;
  ``dst_host_srv_count`` of them go to its service.
- A connection is always in its own windows, so no count is 0 and no rate divides by 0. Of
  connections that start at the same time, those earlier in the input came before.
- A *different* rate is the share of connections whose service, or host, differs from this one's.
  All connections to one destination host have the same destination, so
  ``dst_host_srv_diff_host_rate`` compares the *source* hosts: it is low for one password guesser
  and high for a flood from many hosts.
- Rates are rounded half up to two decimals, as published.

**How the published data differs** (measured on the 125,973 rows of KDDTrain+, without exception):

- Its *different* rates are the number of distinct values over the number of connections, or 0 if
  there is only one value: where ``count`` is under 50, so that rounding hides nothing, ``count``
  times ``diff_srv_rate`` is never 1. The task description says "% of connections to different
  services", and we compute that.
- Its long window has 256 connections to any destination host: connections to the host, plus those
  to the service, less those to both, never exceed 256. So its ``dst_host_srv_count`` can exceed its
  ``dst_host_count``, and destinations can differ. The task description says "a window of 100
  connections to the same host", and we compute that.

So a model that was fitted on the published files must be fitted again for the features of this
module.
"""

from typing import TypeAlias

import numpy as np
import polars as pl

Integers: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
"""(n_connections,), int64."""

WINDOW_S = 2
"""Length of the short window, in seconds (KDD Cup 1999 task description)."""
LAST_CONNECTIONS = 100
"""Length of the long window, in connections to one host (KDD Cup 1999 task description)."""
HIGHEST_COUNT = 511
"""Largest two-second count, as in the published data."""

SYN_ERROR_FLAGS = ("S0", "S1", "S2", "S3", "SH")
"""States of an incomplete handshake or close. Measured: exactly these give ``serror_rate`` 1 in the
published rows whose window holds one connection."""
REJECT_FLAGS = ("REJ", "RSTO", "RSTR", "RSTOS0")
"""States of a refused or reset connection. Measured like ``SYN_ERROR_FLAGS``."""

INPUT_COLUMNS = (
    "start",
    "source_host",
    "source_port",
    "destination_host",
    "service",
    "flag",
)
"""The columns that a connection must have; others are ignored."""


def compute_traffic_features(connections: pl.DataFrame) -> pl.DataFrame:
    """Compute the nineteen traffic features of every connection.

    Args:
        connections: grain: one connection, ordered by ``start``. Columns: ``start`` (Datetime of
            any unit), ``source_host``, ``source_port``, ``destination_host``, ``service`` (of any
            type: they are only compared) and ``flag`` (KDD's name of the connection's state).

    Returns:
        Grain: one connection, in the given order. The nine two-second features, then the ten of the
        last hundred connections, in KDD's order: counts Int64, rates Float64 in [0, 1].

    Raises:
        ValueError: a column is missing or has nulls, or the connections are out of order.
    """
    _check(connections)
    time = connections["start"].dt.epoch("ns").to_numpy()
    host = _code(connections["destination_host"])
    service = _code(connections["service"])
    source = _code(connections["source_host"])
    port = _code(connections["source_port"])
    host_service = _pair(host, service)
    syn_error = connections["flag"].is_in(SYN_ERROR_FLAGS).to_numpy()
    rejected = connections["flag"].is_in(REJECT_FLAGS).to_numpy()

    since = np.searchsorted(time, time - WINDOW_S * 1_000_000_000, side="left")
    to_host = _Window(host, since)
    to_service = _Window(service, since)
    to_both = _Window(host_service, since)
    features = {
        "count": np.minimum(to_host.size, HIGHEST_COUNT),
        "srv_count": np.minimum(to_service.size, HIGHEST_COUNT),
        "serror_rate": _rate(to_host.total(syn_error), to_host.size),
        "srv_serror_rate": _rate(to_service.total(syn_error), to_service.size),
        "rerror_rate": _rate(to_host.total(rejected), to_host.size),
        "srv_rerror_rate": _rate(to_service.total(rejected), to_service.size),
        "same_srv_rate": _rate(to_both.size, to_host.size),
        "diff_srv_rate": _rate(to_host.size - to_both.size, to_host.size),
        "srv_diff_host_rate": _rate(to_service.size - to_both.size, to_service.size),
    }

    since = _row_of_earlier(host, LAST_CONNECTIONS - 1)
    to_host = _Window(host, since)
    to_both = _Window(host_service, since)
    from_port = _Window(_pair(host, port), since)
    from_source = _Window(_pair(host_service, source), since)
    features |= {
        "dst_host_count": to_host.size,
        "dst_host_srv_count": to_both.size,
        "dst_host_same_srv_rate": _rate(to_both.size, to_host.size),
        "dst_host_diff_srv_rate": _rate(to_host.size - to_both.size, to_host.size),
        "dst_host_same_src_port_rate": _rate(from_port.size, to_host.size),
        "dst_host_srv_diff_host_rate": _rate(to_both.size - from_source.size, to_both.size),
        "dst_host_serror_rate": _rate(to_host.total(syn_error), to_host.size),
        "dst_host_srv_serror_rate": _rate(to_both.total(syn_error), to_both.size),
        "dst_host_rerror_rate": _rate(to_host.total(rejected), to_host.size),
        "dst_host_srv_rerror_rate": _rate(to_both.total(rejected), to_both.size),
    }
    return pl.DataFrame(features)


class _Window:
    """For each row, the rows with the same key from a given row up to this one."""

    def __init__(self, key: Integers, since: Integers) -> None:
        """Find the beginning of each row's window among the rows of its key.

        Args:
            key: dense codes, 0 to at most n_connections - 1.
            since: the row at which each row's window begins.
        """
        rows = key.size
        self._order, self._place = _group(key)
        # Sorted by key, then by row: one search finds "the first row of my key from `since` on".
        ordered = key[self._order] * rows + self._order
        self._first = np.searchsorted(ordered, key * rows + since, side="left")
        self.size: Integers = self._place - self._first + 1

    def total(self, is_marked: np.ndarray) -> Integers:
        """Count the marked rows of each window."""
        running = np.concatenate(([0], np.cumsum(is_marked[self._order], dtype=np.int64)))
        counts: Integers = running[self._place + 1] - running[self._first]
        return counts


def _row_of_earlier(key: Integers, steps: int) -> Integers:
    """Return, for each row, the row ``steps`` places before it in its key, or the key's first."""
    order, place = _group(key)
    first_of_key = np.searchsorted(key[order], key, side="left")
    earlier: Integers = order[np.maximum(place - steps, first_of_key)]
    return earlier


def _group(key: Integers) -> tuple[Integers, Integers]:
    """Return the order that sorts rows by key, then by row, and each row's place in it."""
    order = np.argsort(key, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(key.size)
    return order, place


def _code(values: pl.Series) -> Integers:
    """Return a number for each distinct value, from 0."""
    codes: Integers = values.rank("dense").cast(pl.Int64).to_numpy() - 1
    return codes


def _pair(left: Integers, right: Integers) -> Integers:
    """Return a number for each distinct pair of two codes, from 0."""
    width = right.max(initial=0) + 1
    pairs: Integers = np.unique(left * width + right, return_inverse=True)[1]
    return pairs


def _rate(part: Integers, whole: Integers) -> np.ndarray:
    """Divide and round half up to two decimals, with integers, so that ties are exact."""
    rate: np.ndarray = (200 * part + whole) // (2 * whole) / 100
    return rate


def _check(connections: pl.DataFrame) -> None:
    """Raise ``ValueError`` for connections that would give wrong windows."""
    missing = [name for name in INPUT_COLUMNS if name not in connections.columns]
    if missing:
        message = (
            f"Cannot compute traffic features: the connections lack {', '.join(missing)}. "
            f"Give each connection {', '.join(INPUT_COLUMNS)}."
        )
        raise ValueError(message)
    empty = [name for name in INPUT_COLUMNS if connections[name].null_count()]
    if empty:
        message = (
            f"Cannot compute traffic features: {', '.join(empty)} is null in some connections, "
            "so they belong to no window. Fill or drop them first."
        )
        raise ValueError(message)
    if not connections["start"].is_sorted():
        message = (
            "Cannot compute traffic features: the connections are not in the order of their start, "
            "so the windows would hold later connections. Sort them by start first."
        )
        raise ValueError(message)
