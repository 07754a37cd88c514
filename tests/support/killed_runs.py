"""A real ``noctule run`` that is killed by SIGKILL at a chosen point.

Belongs here: the points, the kill, and reading the rows that two right runs have in common. Does
not belong here: crashes within a transaction or a file operation (see ``workers.schedule``).

The command is a process with its real libraries, model and database. The folders of the lake and
the rows of the database show from outside how far it is.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Engine

from storage.column_types import UtcTime
from storage.database import connect
from storage.schema import batch, metadata

STAGES: Final = ("ingest", "validate", "score", "explain", "drift")

LOOK_S: Final = 0.001
"""Between two looks at the progress: a stage of the smallest file takes longer."""

LATEST_S: Final = 180.0
"""Longest wait for the point. A guess: ten times the time of a night on a busy machine."""

STORE_MS: Final = 120
"""Longest delay of the kill after the last stage: a small batch is stored by then (measured)."""

NOT_COMPARED: Final = frozenset({"run"})
"""Tables with a row for every attempt. The ``claim_token`` of a batch counts attempts too."""

Look = Callable[[Path, Engine], bool]
"""Tells from the folder of the batch and the database whether the point is reached."""


@dataclass(frozen=True)
class Point:
    """A point at which a run is killed."""

    name: str
    is_reached: Look
    most_delay_ms: int = 0
    """Longest delay of the kill after the point; the delay is drawn."""


def _in_stage(stage: str) -> Look:
    return lambda folder, _: any(folder.glob(f".attempt-*/{stage}*"))


def _after_stage(stage: str) -> Look:
    return lambda folder, _: any(folder.glob(f"{stage}*/receipt.json"))


def _is_scored(_: Path, engine: Engine) -> bool:
    with engine.connect() as connection:
        return connection.scalar(sa.select(batch.c.status)) == "scored"


POINTS: Final = (
    Point("claimed", lambda folder, _: folder.is_dir()),
    *(
        point
        for stage in STAGES
        for point in (
            Point(f"in {stage}", _in_stage(stage)),
            Point(f"after {stage}", _after_stage(stage)),
        )
    ),
    Point("storing", _after_stage(STAGES[-1]), STORE_MS),
    Point("stored", _is_scored),
)
"""Within and after every stage, in the order of a night."""


@dataclass(frozen=True)
class Place:
    """A home with a trained model, its database, and the environment of a command there."""

    home: Path
    database_url: str | None
    prefect_api: str

    @contextmanager
    def database(self) -> Iterator[Engine]:
        """Open the database."""
        engine = connect(self.database_url, self.home)
        yield engine
        engine.dispose()

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of the command, without those of Noctule in the developer's shell."""
        plain = {name: value for name, value in os.environ.items() if "NOCTULE_" not in name}
        told = {"NOCTULE_HOME": str(self.home), "PREFECT_API_URL": self.prefect_api}
        if self.database_url is not None:
            told["NOCTULE_DATABASE_URL"] = self.database_url
        return {**plain, **told}

    def start(self, source: Path) -> "subprocess.Popen[bytes]":
        """Start ``noctule run`` on a file, in its own session."""
        return subprocess.Popen(
            [Path(sys.executable).with_name("noctule"), "run", source],
            env=dict(self.environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def kill_at(place: Place, source: Path, point: Point, random: Random) -> bool:
    """Run ``noctule run`` on a file and kill it at a point.

    Returns:
        Whether it was killed; False if it had ended before.

    Raises:
        TimeoutError: it reached neither the point nor its end.
    """
    with place.database() as engine:
        process = place.start(source)
        try:
            deadline = time.monotonic() + LATEST_S
            while process.poll() is None and not _is_reached(place, point, engine):
                if time.monotonic() > deadline:
                    message = f"the run did not reach the point {point.name!r} in {LATEST_S:g} s"
                    raise TimeoutError(message)
                time.sleep(LOOK_S)
            time.sleep(random.randint(0, point.most_delay_ms) / 1000)
            return process.poll() is None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _is_reached(place: Place, point: Point, engine: Engine) -> bool:
    """Tell whether the one batch has reached the point."""
    folders = (place.home / "lake" / "nsl_kdd").glob("*")
    try:
        return any(point.is_reached(folder, engine) for folder in folders)
    except FileNotFoundError:  # the run renamed or removed a folder meanwhile
        return False


def read_rows(engine: Engine) -> dict[str, list[str]]:
    """Read what two right runs have in common: all tables, without times, tokens and runs.

    The keys of an object are sorted: PostgreSQL's JSONB has its own order.
    """
    with engine.connect() as connection:
        return {
            table.name: sorted(
                json.dumps([_plain(value) for value in row], sort_keys=True)
                for row in connection.execute(sa.select(*_compared(table)))
            )
            for table in metadata.sorted_tables
            if table.name not in NOT_COMPARED
        }


def _plain(value: object) -> object:
    """Return a value in the form of JSON: dates as ISO text, bytes as hexadecimal digits."""
    if isinstance(value, date):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value


def _compared(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns that do not depend on the time or the number of the attempts."""
    return [
        column
        for column in table.columns
        if not isinstance(column.type, UtcTime) and column.name != "claim_token"
    ]
