"""Kills: a real ``noctule run``, ended by SIGKILL at some point of its work, and run again.

Belongs here: the points, the kill, and the comparison with a run that nobody disturbed. Does not
belong here: crashes within a transaction or a file operation, which ``schedules`` has all of.

Nothing of the command is replaced: it is a process of its own, with its libraries, its model and
its database. What it has come to is told from outside, by the folders of the lake and the rows of
the database.
"""

import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from itertools import product
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from fuzz.results import PartResult
from tests.support.killed_runs import LATEST_S, POINTS, Place, kill_at, read_rows
from tests.support.postgresql import embedded_server, fresh_database
from tests.support.trained_homes import move_to_postgres, train_home


def run(seconds: float, seed: int) -> PartResult:
    """Kill a run at every point, on both databases, and again for as long as there is time."""
    from flows.private_server import private_server
    from tasks.simulation.simulate import simulate_night

    random = Random(seed)  # noqa: S311 - no secret
    end = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    failures: list[str] = []
    with (
        TemporaryDirectory(prefix="noctule-kills-") as scratch,
        embedded_server() as server,
        private_server(Path(scratch) / "prefect") as api,
    ):
        trained, night = Path(scratch) / "trained", Path(scratch) / "night-2026-11-20.csv"
        trained.mkdir()
        train_home(trained, Path(scratch) / "workshop")
        simulate_night(night, rows=3_000, seed=2, night=date(2026, 11, 20), scenario="bad_rows")
        expected = {}
        for is_postgres in (False, True):
            with _make_place(trained, server if is_postgres else None, api) as place:
                expected[is_postgres] = _finish(place, night)
        rounds = 0
        while not rounds or time.monotonic() < end:
            rounds += 1
            for point, is_postgres in product(POINTS, (False, True)):
                with _make_place(trained, server if is_postgres else None, api) as place:
                    was_killed = kill_at(place, night, point, random)
                    found = _finish(place, night)
                counts["kills" if was_killed else "runs that ended before the kill"] += 1
                if found != expected[is_postgres]:
                    where = "PostgreSQL" if is_postgres else "SQLite"
                    failures.append(f"{where}, killed {point.name}, seed {seed}: other rows")
    return PartResult(counts={"rounds of all points": rounds, **counts}, failures=tuple(failures))


@contextmanager
def _make_place(trained: Path, server: str | None, prefect_api: str) -> Iterator[Place]:
    """Copy the trained home for one trial; with a server, to a fresh database of it."""
    with TemporaryDirectory(prefix="noctule-kill-") as folder, ExitStack() as stack:
        home = Path(folder) / "home"
        shutil.copytree(trained, home)
        url = None
        if server is not None:
            url = stack.enter_context(fresh_database(server))
            move_to_postgres(home, url).dispose()
        yield Place(home, url, prefect_api)


def _finish(place: Place, source: Path) -> dict[str, list[str]]:
    """Run ``noctule run`` to its end, and read what is stored.

    Raises:
        CalledProcessError: it did not end well.
    """
    process = place.start(source)
    code = process.wait(LATEST_S)
    if code:
        raise subprocess.CalledProcessError(code, "noctule run")
    with place.database() as engine:
        return read_rows(engine)
