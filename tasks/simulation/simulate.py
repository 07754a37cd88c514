"""A simulated night of traffic, written as the file a sensor would have left.

Belongs here: putting a night together from its parts, and the file. Does not belong here: what
hosts do (see ``tasks.simulation``) and what the features mean (see ``tasks.simulation.traffic``).

A site's hosts and habits are the same every night; the seed decides what happens on this one. So a
model trained on one night meets the same site on the next, unless the scenario changes it.
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
from pydantic import BaseModel, ConfigDict

from expectations.errors import UsageError
from expectations.nsl_kdd import NSL_KDD
from storage.lake import write_atomically
from tasks.simulation.attacks import draw_sizes, simulate_attacks
from tasks.simulation.damage import WAYS, spoil_lines
from tasks.simulation.events import Site, format_addresses
from tasks.simulation.habits import ORDINARY, change_habits
from tasks.simulation.incidents import simulate_incidents, suffer_outages
from tasks.simulation.ordinary import simulate_ordinary
from tasks.simulation.traffic import compute_traffic_features

Scenario = Literal["ordinary", "drift", "bad_rows"]
"""What kind of night: as any other; with the site's own traffic changed; with malformed lines."""

Ending = Literal[".csv", ".csv.gz", ".csv.zst", ".parquet"]
"""How a file's name says what is in it."""

FEWEST_ROWS = 1_000
"""Below this, the attacks of a night are single connections and the site has no hosts."""
BAD_RATIO = 0.003
"""Of the lines of a night with bad rows, those that are malformed. A guess: enough to see, far too
few to reject the night."""


class SimulationSummary(BaseModel):
    """What a simulated night holds."""

    model_config = ConfigDict(frozen=True)

    file: str
    """The file's name."""
    night: date
    seed: int
    scenario: Scenario
    rows: int
    """Data lines, malformed ones included."""
    bad_rows: int
    """Malformed lines; all of them were ordinary connections."""
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
        out: the file, written whole or not at all. Its name says how: ``.csv``, ``.csv.gz``,
            ``.csv.zst`` (with a header) or ``.parquet``.
        rows: connections, at least ``FEWEST_ROWS``. The site's size follows, so hosts are as busy
            on a short night as on a long one.
        seed: the same arguments give the same bytes.
        night: the day the connections belong to; weekends are less bound to office hours.
        scenario: ``drift`` changes what is ordinary at the site (a new database service, backups
            through the day, heavier pages), the attacks stay; ``bad_rows`` spoils
            ``BAD_RATIO`` of the lines.
        labelled: append ``class`` (normal or anomaly) and ``attack``.

    Returns:
        What was written.

    Raises:
        UsageError: too few rows, a negative seed, an unknown ending or scenario, malformed lines in
            Parquet, or a file that cannot be written.
    """
    ending = _check_request(out, rows, seed, scenario)
    connections = simulate_connections(rows=rows, seed=seed, night=night, scenario=scenario)
    frame = describe_connections(connections)
    if not labelled:
        frame = frame.select(NSL_KDD.feature_names)
    is_normal = connections["attack"] == "normal"
    attack_rows = connections.filter(~is_normal)["attack"].value_counts().sort("attack")
    rng = np.random.default_rng([seed, night.toordinal(), 1])
    bad_rows = max(len(WAYS), round(BAD_RATIO * rows)) if scenario == "bad_rows" else 0
    bad = rng.choice(is_normal.arg_true().to_numpy(), bad_rows, replace=False)
    if ending == ".parquet":
        content = _to_parquet(frame)
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
    """Simulate a night as a stream of connection events.

    Returns:
        Grain: one connection, in the order of ``start`` (Datetime in microseconds). Addresses as
        text, the basic and content features under KDD's names, and ``attack``.
    """
    rng = np.random.default_rng([seed, night.toordinal()])
    site = Site(rows)
    habits = change_habits(ORDINARY) if scenario == "drift" else ORDINARY
    sizes = draw_sizes(rng, rows)
    normal_rows = rows - sum(sizes.values())
    incidents = simulate_incidents(rng, site, normal_rows)
    ordinary = simulate_ordinary(rng, site, normal_rows - incidents.height, night, habits)
    normal = suffer_outages(rng, site, pl.concat([ordinary, incidents]))
    events = pl.concat([normal, simulate_attacks(rng, site, sizes)])
    midnight = datetime(night.year, night.month, night.day)  # noqa: DTZ001  batch dates are UTC
    start = pl.lit(midnight) + pl.duration(
        microseconds=(pl.col("start_s") * 1e6).cast(pl.Int64), time_unit="us"
    )
    return (
        events.sort("start_s", maintain_order=True)
        .select(start.alias("start"), pl.all().exclude("start_s"))
        .with_columns(
            pl.col("source_host", "destination_host").map_batches(
                format_addresses, return_dtype=pl.String
            )
        )
    )


def describe_connections(connections: pl.DataFrame) -> pl.DataFrame:
    """Bring a stream of connection events into the shape of the ``nsl_kdd`` contract.

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
        .select(*NSL_KDD.feature_names, "class", "attack")
    )


def _check_request(out: Path, rows: int, seed: int, scenario: str) -> Ending:
    """Refuse a night that cannot be simulated; name the file's ending."""
    if rows < FEWEST_ROWS:
        message = (
            f"Cannot simulate a night of {rows:,} connections: expected at least {FEWEST_ROWS:,}, "
            "or the attacks on it are too small to be any."
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
            f"Cannot write simulated traffic to {out.name}: the ending says how to write it. "
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
    """Write a frame as NSL-KDD's files are written, with the lines at ``bad`` spoilt."""
    header, *lines = frame.write_csv(float_precision=2).encode().splitlines()
    return b"\n".join([header, *spoil_lines(rng, lines, header, bad), b""])


def _compress(content: bytes, ending: Ending) -> bytes:
    """Compress by the file's ending, the same bytes to the same bytes."""
    if ending == ".csv.gz":
        return gzip.compress(content, compresslevel=6, mtime=0)
    if ending == ".csv.zst":
        return zstandard.compress(content)
    return content


def _to_parquet(frame: pl.DataFrame) -> bytes:
    """Write a frame as Parquet, to memory."""
    buffer = BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
