"""The long run of kills: a real ``noctule run``, killed at each point and run again.

Belongs here: the rounds over all points and both databases, and the comparison with an undisturbed
run. Does not belong here: one kill (see ``tests.support.killed_runs``), or crashes within a
transaction or a file operation (see ``schedules``).
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
    """Kill a run at every point, on both databases; repeat until the time is over."""
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
        train_home(trained, Path(scratch) / "work_folder")
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
    """Copy the trained home; with a server, register its model in a new database there."""
    with TemporaryDirectory(prefix="noctule-kill-") as folder, ExitStack() as stack:
        home = Path(folder) / "home"
        shutil.copytree(trained, home)
        url = None
        if server is not None:
            url = stack.enter_context(fresh_database(server))
            move_to_postgres(home, url).dispose()
        yield Place(home, url, prefect_api)


def _finish(place: Place, source: Path) -> dict[str, list[str]]:
    """Run ``noctule run`` to its end, and return the stored rows.

    Raises:
        CalledProcessError: the command failed.
    """
    process = place.start(source)
    code = process.wait(LATEST_S)
    if code:
        raise subprocess.CalledProcessError(code, "noctule run")
    with place.database() as engine:
        return read_rows(engine)
