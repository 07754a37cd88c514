"""One night of files that are bad in every way, and what a run leaves of it.

Belongs here: the files, the run, and reading its database. Does not belong here: what must become
of each file, which the tests assert.
"""

import contextlib
import gzip
import io
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Engine

from storage.database import connect
from storage.queries import batch_rows
from tests.support.trained_homes import use_home

SETTLE_S: Final = 86_400
"""The files are years old but for one, which is new and so left for the next run."""


@dataclass(frozen=True)
class NightRun:
    """One ``noctule run`` over files that are bad in every way, and what it left behind."""

    home: Path
    inbox: Path
    named: tuple[Path, ...]
    """Files given by name, after the inbox."""
    started_at: datetime
    exit_code: int
    printed: str
    """Standard output."""

    def batch(self, file: Path | str) -> dict[str, Any]:
        """Return the summary of the one batch that was first delivered as a file."""
        name = Path(file).name
        with self.database() as engine:
            found = [row for row in batch_rows(engine) if row["file_name"] == name]
        assert len(found) == 1, f"{len(found)} batches were delivered as {name}"
        return found[0]

    @contextlib.contextmanager
    def database(self) -> Iterator[Engine]:
        """Open its database."""
        engine = connect(None, self.home)
        yield engine
        engine.dispose()


def run_bad_night(trained_home: Path, folder: Path) -> NightRun:
    """Run the night in a copy of a trained home, against the Prefect server of the environment.

    Args:
        trained_home: is copied.
        folder: an empty folder.
    """
    from flows.cli import main

    home, inbox = folder / "home", folder / "inbox"
    shutil.copytree(trained_home, home)
    inbox.mkdir()
    named = _write_files(inbox, folder / "again")
    started_at = datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch, io.StringIO() as output:
        use_home(patch, home, chunk_rows=1_000, settle_s=SETTLE_S)
        patch.setattr(sys, "argv", ["noctule", "run", str(inbox), *map(str, named)])
        with contextlib.redirect_stdout(output), pytest.raises(SystemExit) as ended:
            main()
        return NightRun(
            home, inbox, named, started_at, int(ended.value.code or 0), output.getvalue()
        )


def _write_files(inbox: Path, elsewhere: Path) -> tuple[Path, ...]:
    """Write the night's files into the inbox, each a minute younger than the one before it.

    Returns:
        The files that lie elsewhere.
    """
    from tasks.simulation.simulate import simulate_night

    good = inbox / "night-2026-11-02.csv"
    simulate_night(good, rows=2_600, seed=7, night=date(2026, 11, 2))
    header, *rows = good.read_text().splitlines()
    few = rows[:60]

    def put(name: str, lines: Sequence[str]) -> Path:
        path = inbox / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def change(line: str, column: str, value: str) -> str:
        cells = line.split(",")
        cells[header.split(",").index(column)] = value
        return ",".join(cells)

    arrived = [
        good,
        put("empty-2026-11-03.csv", []),
        put("header-2026-11-03.csv", [header]),
        put("missing-2026-11-03.csv", [line.rsplit(",", 1)[0] for line in (header, *few)]),
        put("extra-2026-11-04.csv", [f"{header},site", *(f"{line},north" for line in few)]),
        put("labelled-2026-11-04.csv", [f"{header},class", *(f"{line},normal" for line in few)]),
        put(
            "cells-2026-11-05.csv",
            [
                header,
                few[0],
                few[1].rsplit(",", 1)[0],  # line 3
                change(few[2], "duration", "soon"),
                change(few[3], "serror_rate", "NaN"),
                change(few[4], "rerror_rate", "inf"),
                change(few[5], "count", "-1"),
                change(few[6], "same_srv_rate", "1.5"),
                change(few[7], "protocol_type", "gre"),
                change(few[8], "service", "quic"),  # line 10
                *few[9:],
            ],
        ),
        put("foreign-2026-11-05.csv", [header, *(change(r, "protocol_type", "gre") for r in few)]),
        put("noise-2026-11-06.csv", ["\0\1\2", "\x7f" * 90]),
        inbox / "cut-2026-11-06.csv.gz",
        inbox / "same-2026-11-07.csv",
        put("copying-2026-11-08.csv.part", [header, *few]),
    ]
    arrived[-3].write_bytes(gzip.compress(good.read_bytes())[:-100])
    shutil.copy(good, arrived[-2])
    first = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    for minute, path in enumerate(arrived):
        os.utime(path, (first + 60 * minute,) * 2)
    put("growing-2026-11-08.csv", [header, *few])
    elsewhere.mkdir()
    renewed = elsewhere / good.name
    renewed.write_text("\n".join([header, *rows[100:160]]))
    return renewed, _unreadable(elsewhere)


def _unreadable(folder: Path) -> Path:
    """Return a file that this user cannot read; root can read all but its own memory."""
    if os.geteuid() == 0:
        return Path("/proc/self/mem")
    locked = folder / "locked.csv"
    locked.touch(mode=0o000)
    return locked
