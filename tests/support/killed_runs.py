"""Kills: a real ``noctule run``, ended by SIGKILL at some point of its work, and run again.

Belongs here: the points, the kill, and the comparison with a run that nobody disturbed. Does not
belong here: crashes within a transaction or a file operation, which ``schedules`` has all of.

Nothing of the command is replaced: it is a process of its own, with its libraries, its model and
its database. What it has come to is told from outside, by the folders of the lake and the rows of
the database.
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
"""Between two looks at what the command has come to: a stage of the smallest file takes longer."""

LATEST_S: Final = 180.0
"""A command that has not come to the point by then never will. A guess: ten times a night's time
on a busy machine."""

STORE_MS: Final = 120
"""After the last stage, the kill comes within so many milliseconds: a small batch is stored by
then (measured)."""

NOT_COMPARED: Final = frozenset({"run"})
"""Tables that tell of every attempt; so does a batch's ``claim_token``."""

Look = Callable[[Path, Engine], bool]
"""Tells from a batch's folder and the database whether the point is reached."""


@dataclass(frozen=True)
class Point:
    """Where a run is killed."""

    name: str
    is_reached: Look
    most_delay_ms: int = 0
    """The kill comes so much later at the most, drawn by the seed."""


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
"""Every stage, within it and after it, in the order of a night."""


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
        """What the command is told, and nothing that the developer's shell says."""
        plain = {name: value for name, value in os.environ.items() if "NOCTULE_" not in name}
        told = {"NOCTULE_HOME": str(self.home), "PREFECT_API_URL": self.prefect_api}
        if self.database_url is not None:
            told["NOCTULE_DATABASE_URL"] = self.database_url
        return {**plain, **told}

    def start(self, source: Path) -> "subprocess.Popen[bytes]":
        """Begin ``noctule run`` on a file, in a session of its own."""
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
        Whether it was killed; False where it had ended before.

    Raises:
        TimeoutError: it came neither to the point nor to its end.
    """
    with place.database() as engine:
        process = place.start(source)
        try:
            deadline = time.monotonic() + LATEST_S
            while process.poll() is None and not _is_reached(place, point, engine):
                if time.monotonic() > deadline:
                    message = f"no run came to the point {point.name!r} in {LATEST_S:g} s"
                    raise TimeoutError(message)
                time.sleep(LOOK_S)
            time.sleep(random.randint(0, point.most_delay_ms) / 1000)
            return process.poll() is None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _is_reached(place: Place, point: Point, engine: Engine) -> bool:
    """Look for the one batch there is, and whether it is as far as the point."""
    folders = (place.home / "lake" / "nsl_kdd").glob("*")
    try:
        return any(point.is_reached(folder, engine) for folder in folders)
    except FileNotFoundError:  # a folder was renamed or removed under our eyes: look again
        return False


def read_rows(engine: Engine) -> dict[str, list[str]]:
    """Read all that two right runs have in common: every table but times, tokens and runs.

    The order of an object's keys is not compared: PostgreSQL's JSONB has its own.
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
    """Return a value as JSON has it: a date as its text, bytes as their digits."""
    if isinstance(value, date):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else value


def _compared(table: sa.Table) -> list[sa.Column[Any]]:
    """List a table's columns whose values do not depend on when, or how often, a run was begun."""
    return [
        column
        for column in table.columns
        if not isinstance(column.type, UtcTime) and column.name != "claim_token"
    ]
