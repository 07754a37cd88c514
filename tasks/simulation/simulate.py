"""Simulate a night of traffic and write it as the file of a sensor.

Belongs here: combining the parts of a night, and the file. Does not belong here: the traffic of the
hosts (see the other modules here) and the definition of the traffic features
(``tasks.simulation.traffic``).

The hosts and traffic patterns of the site are the same every night; the seed decides what happens
on one night. So a model that was trained on one night scores the same site on the next, unless the
scenario changes it.
"""

import gzip
from collections.abc import Mapping
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl
import zstandard
from pydantic import BaseModel

from expectations.errors import UsageError
from expectations.registry import get_contract
from storage.lake import write_atomically
from tasks.simulation.attacks import draw_sizes, simulate_attacks
from tasks.simulation.benign import apply_outages, simulate_benign_anomalies
from tasks.simulation.corruption import CORRUPTIONS, corrupt_lines
from tasks.simulation.ordinary import simulate_ordinary
from tasks.simulation.patterns import ORDINARY, change_patterns
from tasks.simulation.site import Site, format_addresses
from tasks.simulation.traffic import compute_traffic_features

Scenario = Literal["ordinary", "drift", "bad_rows"]
"""An ordinary night, one with changed ordinary traffic, or one with malformed lines."""

Ending = Literal[".csv", ".csv.gz", ".csv.zst", ".parquet"]
"""The endings of file names that can be written."""

CONTRACT = get_contract("nsl_kdd")
"""The contract of the files that are written."""

FEWEST_ROWS = 1_000
"""With fewer rows, attacks are single connections and the site has hardly any hosts."""
BAD_RATIO = 0.003
"""Share of malformed lines in a night of the scenario ``bad_rows``. A guess: enough to notice, and
far too few to reject the night."""


class SimulationSummary(BaseModel, frozen=True):
    """The contents of a simulated night."""

    file: str
    """The file's name."""
    night: date
    seed: int
    scenario: Scenario
    rows: int
    """Data lines, malformed ones included."""
    bad_rows: int
    """Malformed lines; each replaces a connection that is no attack."""
    attack_rows: Mapping[str, int]
    """Connections of each attack."""
    is_labelled: bool


def simulate_night(
    out: Path,
    *,
    rows: int = 100_000,
    seed: int,
    night: date,
    scenario: Scenario = "ordinary",
    labelled: bool = False,
) -> SimulationSummary:
    """Write a night of simulated connections that satisfies the ``nsl_kdd`` contract.

    Args:
        out: the file, written completely or not at all. The ending of its name decides the format:
            ``.csv``, ``.csv.gz``, ``.csv.zst`` (with a header) or ``.parquet``.
        rows: the number of connections, at least ``FEWEST_ROWS``. The size of the site is
            proportional to it, so a host has as many connections on a short night as on a long one.
        seed: the same arguments give the same bytes.
        night: the day of the connections; weekends follow office hours less.
        scenario: ``drift`` changes the ordinary traffic (a new database service, backups during the
            day, larger pages) and not the attacks. ``bad_rows`` corrupts ``BAD_RATIO`` of the
            lines.
        labelled: append ``class`` (normal or anomaly) and ``attack``.

    Returns:
        The contents of the file.

    Raises:
        UsageError: there are too few rows, the seed is negative, the ending or the scenario is
            unknown, malformed lines are asked for in Parquet, or the file cannot be written.
    """
    ending = _check_request(out, rows, seed, scenario)
    connections = simulate_connections(rows=rows, seed=seed, night=night, scenario=scenario)
    frame = describe_connections(connections)
    if not labelled:
        frame = frame.select(CONTRACT.feature_names)
    is_normal = connections["attack"] == "normal"
    attack_rows = connections.filter(~is_normal)["attack"].value_counts().sort("attack")
    rng = np.random.default_rng([seed, night.toordinal(), 1])
    bad_rows = max(len(CORRUPTIONS), round(BAD_RATIO * rows)) if scenario == "bad_rows" else 0
    bad = rng.choice(is_normal.arg_true().to_numpy(), bad_rows, replace=False)
    if ending == ".parquet":
        buffer = BytesIO()
        frame.write_parquet(buffer)
        content = buffer.getvalue()
    else:
        content = _compress(_to_csv(frame, rng, bad), ending)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, content)
    except OSError as error:
        message = (
            f"Cannot write simulated traffic to {out}: {error.strerror}. "
            "Nothing was written. Name a file in a folder you may write to."
        )
        raise UsageError(message) from error
    return SimulationSummary(
        file=out.name,
        night=night,
        seed=seed,
        scenario=scenario,
        rows=rows,
        bad_rows=bad_rows,
        attack_rows=dict(attack_rows.iter_rows()),
        is_labelled=labelled,
    )


def simulate_connections(
    *, rows: int, seed: int, night: date, scenario: Scenario = "ordinary"
) -> pl.DataFrame:
    """Simulate the connections of a night.

    Returns:
        Grain: one connection, in the order of ``start`` (Datetime in microseconds). Addresses are
        text; the basic and content features have KDD's names; ``attack`` is the label.
    """
    rng = np.random.default_rng([seed, night.toordinal()])
    site = Site(rows)
    patterns = change_patterns(ORDINARY) if scenario == "drift" else ORDINARY
    sizes = draw_sizes(rng, rows)
    normal_rows = rows - sum(sizes.values())
    benign = simulate_benign_anomalies(rng, site, normal_rows)
    ordinary = simulate_ordinary(rng, site, normal_rows - benign.height, night, patterns)
    normal = apply_outages(rng, site, pl.concat([ordinary, benign]))
    connections = pl.concat([normal, simulate_attacks(rng, site, sizes)])
    midnight = datetime(night.year, night.month, night.day)  # noqa: DTZ001  batch dates are UTC
    start = pl.lit(midnight) + pl.duration(
        microseconds=(pl.col("start_s") * 1e6).cast(pl.Int64), time_unit="us"
    )
    return (
        connections.sort("start_s", maintain_order=True)
        .select(start.alias("start"), pl.all().exclude("start_s"))
        .with_columns(
            pl.col("source_host", "destination_host").map_batches(
                format_addresses, return_dtype=pl.String
            )
        )
    )


def describe_connections(connections: pl.DataFrame) -> pl.DataFrame:
    """Return connections in the form of the ``nsl_kdd`` contract.

    Args:
        connections: as from ``simulate_connections``.

    Returns:
        Grain: one connection, in the same order: the 41 features, ``class`` and ``attack``.
    """
    endpoints_agree = (pl.col("source_host") == pl.col("destination_host")) & (
        pl.col("source_port") == pl.col("destination_port")
    )
    label = (
        pl.when(pl.col("attack") == "normal").then(pl.lit("normal")).otherwise(pl.lit("anomaly"))
    )
    return (
        pl.concat([connections, compute_traffic_features(connections)], how="horizontal")
        .with_columns(
            land=(endpoints_agree & (pl.col("protocol_type") != "icmp")).cast(pl.Int64),
            **{"class": label},
        )
        .select(*CONTRACT.feature_names, "class", "attack")
    )


def _check_request(out: Path, rows: int, seed: int, scenario: str) -> Ending:
    """Return the ending of the file's name; raise ``UsageError`` for a request that is invalid."""
    if rows < FEWEST_ROWS:
        message = (
            f"Cannot simulate a night of {rows:,} connections: expected at least {FEWEST_ROWS:,}, "
            "because with fewer the attacks are single connections."
        )
        raise UsageError(message)
    if seed < 0:
        message = f"Cannot simulate a night from the seed {seed}: expected 0 or a larger number."
        raise UsageError(message)
    if scenario not in get_args(Scenario):
        message = (
            f"Cannot simulate a night of the scenario {scenario!r}: "
            f"expected one of {', '.join(get_args(Scenario))}."
        )
        raise UsageError(message)
    ending: Ending | None = next((e for e in get_args(Ending) if out.name.endswith(e)), None)
    if ending is None:
        message = (
            f"Cannot write simulated traffic to {out.name}: the ending decides the format. "
            f"Expected one of {', '.join(get_args(Ending))}."
        )
        raise UsageError(message)
    if ending == ".parquet" and scenario == "bad_rows":
        message = (
            f"Cannot write malformed lines to {out.name}: Parquet holds typed columns, not lines. "
            "Name the file .csv, .csv.gz or .csv.zst."
        )
        raise UsageError(message)
    return ending


def _to_csv(frame: pl.DataFrame, rng: np.random.Generator, bad: np.ndarray) -> bytes:
    """Return a frame as CSV in the form of NSL-KDD's files, with the lines at ``bad`` corrupted."""
    header, *lines = frame.write_csv(float_precision=2).encode().splitlines()
    return b"\n".join([header, *corrupt_lines(rng, lines, header, bad), b""])


def _compress(content: bytes, ending: Ending) -> bytes:
    """Return the content compressed as the ending says; equal content gives equal bytes."""
    if ending == ".csv.gz":
        return gzip.compress(content, compresslevel=6, mtime=0)
    if ending == ".csv.zst":
        return zstandard.compress(content)
    return content
