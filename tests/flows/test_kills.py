"""A real ``noctule run`` that is killed in the middle, and run again, ends in the same rows."""

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from storage.schema import run
from tasks.simulation.simulate import simulate_night
from tests.support.killed_runs import POINTS, Place, kill_at, read_rows
from tests.support.trained_homes import move_to_postgres

if TYPE_CHECKING:
    from tests.flows.conftest import Ended

SCORING = next(point for point in POINTS if point.name == "in score")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("killed") / "night-2026-11-20.csv"
    simulate_night(path, rows=3_000, seed=2, night=date(2026, 11, 20), scenario="bad_rows")
    return path


@pytest.fixture(scope="module")
def undisturbed(
    source: Path, trained_home: Path, prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What a run that nobody kills stores, in SQLite."""
    from flows.cli.flow_runs import run_night
    from flows.settings import load_settings

    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(trained_home, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOCTULE_HOME", str(home))
        assert run_night(load_settings(), [source], None).exit_code == 0
    with Place(home, None, prefect_server).database() as engine:
        return read_rows(engine)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(
    request: pytest.FixtureRequest, home: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> Place:
    """A trained home on each database, which is also that of this process."""
    if request.param == "sqlite":
        return Place(home, None, prefect_server)
    postgres_url: str = request.getfixturevalue("postgres_url")
    move_to_postgres(home, postgres_url).dispose()
    monkeypatch.setenv("NOCTULE_DATABASE_URL", postgres_url)
    return Place(home, postgres_url, prefect_server)


def test_a_run_killed_while_it_scores_ends_in_the_same_rows_when_it_is_run_again(
    place: Place,
    noctule: "Callable[..., Ended]",
    source: Path,
    undisturbed: dict[str, list[str]],
) -> None:
    draw = Random(0)  # noqa: S311 - no secret
    assert kill_at(place, source, SCORING, draw), "it had ended before it was killed"
    (folder,) = (place.home / "lake" / "nsl_kdd").iterdir()
    assert (folder / "validate" / "receipt.json").exists()
    left = list(folder.glob(".attempt-*"))
    assert left, "a kill leaves what was being written"
    with place.database() as engine:
        rows = read_rows(engine)
    assert not any(rows[table] for table in ("scoring", "prediction", "quarantined_row", "outbox"))

    assert noctule("run", source).code == 0
    assert not any(attempt.exists() for attempt in left)
    with place.database() as engine, engine.connect() as connection:
        assert read_rows(engine) == undisturbed
        states = sorted(connection.scalars(sa.select(run.c.state)))
    assert states == ["completed"] * 2 + ["failed"] * 2, "the killed runs are closed"
    assert noctule("db", "check").code == 0
