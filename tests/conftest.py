"""Fixtures for all tests: real databases, the real data if it is there, and shared results.

Belongs here: fixtures that tests of several folders use. Does not belong here: code that is not a
fixture (see ``tests.support``), or fixtures of one folder, which are in its own ``conftest.py``.

Slow results are made once in a session: a Prefect server, a trained home, a study, and one night of
files that are bad in every way.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings
from sqlalchemy import Engine

from storage.database import DATABASE_FILE, connect
from storage.revisions import upgrade
from tests.support import trained_homes
from tests.support.bad_files_night import NightRun, run_bad_night
from tests.support.postgresql import (
    POOLER,
    database_address,
    debian_server,
    embedded_server,
    execute,
    fresh_database,
    has_debian_server,
    pooler,
)
from tests.support.prefect_servers import PrefectDatabase, open_prefect_database
from tests.support.small_study import StudyRun, run_small_study, small_networks

settings.register_profile("noctule", deadline=None)  # a busy machine makes no test fail
settings.load_profile("noctule")

SHARING = {
    "night": ("test_ui", "test_bad_input", "test_cli", "test_deployments", "test_nightly",
              "test_postgres_night", "test_scheduled_night"),
    "studied": ("test_study_page", "flows/test_study"),
}  # fmt: skip
"""For each slow session fixture, the test files that use it: one xdist worker gets all of them."""

TWO_DATABASES = ("sqlite", "postgresql")
"""The databases of each test with the fixture ``database``. A module may define ``DATABASES``, and
add ``postgresql15`` if another version could behave differently."""

TEMPLATE = "noctule_template"
RETRY_S = 0.3
"""Between two requests of Prefect's client to a server whose database is busy."""


@pytest.fixture(scope="session")
def data_folder(pytestconfig: pytest.Config) -> Path:
    """Return the folder of real files beside the project, or skip the test."""
    folder = pytestconfig.rootpath.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs real files, which are not in {folder}")
    return folder


@pytest.fixture(scope="session")
def nsl_kdd_folder(data_folder: Path) -> Path:
    """Return the folder of the NSL-KDD files."""
    return data_folder / "nsl-kdd"


@pytest.fixture(scope="session")
def flows_folder(data_folder: Path) -> Path:
    """Return the folder of the flow files of many sources."""
    return data_folder / "flows"


@pytest.hookimpl(optionalhook=True)  # only xdist calls it
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401 - as xdist has it
    """Give each worker whole files, and all files that share a slow result to one worker.

    The marks of xdist would do the same, but they have no effect since pytest 9.2.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Sharing(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            stem = file.removesuffix(".py")
            return next((name for name, ends in SHARING.items() if stem.endswith(ends)), file)

    return Sharing(config, log)


@pytest.fixture(scope="session", autouse=True)
def _networks_are_compiled_once(shared_folder: Path) -> Iterator[None]:
    """Keep what JAX compiles, for all processes of the suite: half the cost of a small model."""
    told = {
        "JAX_COMPILATION_CACHE_DIR": str(shared_folder / "compiled"),
        "JAX_COMPILATION_CACHE_MAX_SIZE": "1000000000",  # with a limit JAX locks it
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with the fixture ``database`` on the databases of its module, or on two."""
    marks = metafunc.definition.iter_markers("parametrize")
    is_chosen = any(mark.args[0] == "database" for mark in marks)
    if "database" in metafunc.fixturenames and not is_chosen:
        names = getattr(metafunc.module, "DATABASES", TWO_DATABASES)
        metafunc.parametrize("database", names, indirect=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Run one PostgreSQL for the session; return the address of its first database."""
    with embedded_server() as address:
        yield address


@pytest.fixture(scope="session")
def postgres_15_server() -> Iterator[str]:
    """Run Debian's PostgreSQL 15 for the session; return the address of its first database."""
    if not has_debian_server():
        _miss("PostgreSQL 15")
    with debian_server() as address:
        yield address


@pytest.fixture
def pooled(postgres_15_server: str) -> Callable[..., AbstractContextManager[str]]:
    """Return a function that runs PgBouncer, with given settings, in front of PostgreSQL 15."""
    if not POOLER.exists():
        _miss("PgBouncer")
    return partial(pooler, postgres_15_server)


def _miss(program: str) -> NoReturn:
    """Skip a test that needs a program of Debian; in CI the test fails."""
    missing = f"needs {program}: tests/install-postgresql-15"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Make an empty PostgreSQL database; return its address."""
    with fresh_database(postgres_server) as address:
        yield address


@pytest.fixture(scope="session")
def upgraded_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one SQLite database with the schema; tests copy it."""
    home = tmp_path_factory.mktemp("upgraded")
    engine = connect(None, home)
    upgrade(engine)
    engine.dispose()  # the last connection leaves no write-ahead log behind
    return home / DATABASE_FILE


@pytest.fixture(scope="session")
def server_named(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Return a function from the name of a database in tests to the address of its server."""
    fixtures = {"postgresql": "postgres_server", "postgresql15": "postgres_15_server"}
    return lambda name: request.getfixturevalue(fixtures[name])


@pytest.fixture(scope="session")
def upgraded_server(server_named: Callable[[str], str]) -> Callable[[str], str]:
    """Return a similar function; its servers have a template database with the schema."""

    @cache
    def prepare(name: str) -> str:
        server = server_named(name)
        execute(server, f"CREATE DATABASE {TEMPLATE}")
        engine = connect(database_address(server, TEMPLATE), Path())
        upgrade(engine)
        engine.dispose()
        return server

    return prepare


@pytest.fixture
def database(
    request: pytest.FixtureRequest, upgraded_server: Callable[[str], str], tmp_path: Path
) -> Iterator[tuple[str | None, Path]]:
    """Make a database with the schema; return the arguments with which ``connect`` opens it."""
    home = tmp_path / "home"
    home.mkdir()
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("upgraded_sqlite"), home / DATABASE_FILE)
        yield None, home
    else:
        with fresh_database(upgraded_server(request.param), TEMPLATE) as url:
            yield url, home


@pytest.fixture
def engine(database: tuple[str | None, Path]) -> Iterator[Engine]:
    """Open a database with the schema, once on SQLite and once on PostgreSQL."""
    engine = connect(*database)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def prefect_database(
    request: pytest.FixtureRequest,
) -> Callable[[Path], AbstractContextManager[PrefectDatabase]]:
    """Return a function that opens a database for the Prefect server of a folder."""
    find_server = partial(request.getfixturevalue, "postgres_15_server")
    return lambda folder: open_prefect_database(folder, find_server)


@pytest.fixture(scope="session")
def prefect_server(
    tmp_path_factory: pytest.TempPathFactory,
    prefect_database: Callable[[Path], AbstractContextManager[PrefectDatabase]],
) -> Iterator[str]:
    """Run one Prefect server for the session; its API's address, which is in the environment.

    Flows of this process send it no heartbeats: with them each run would end up to a second later.
    They try again soon where its database is busy: they would wait 2 s and more. No environment
    variable of Prefect's changes either.
    """
    from flows.prefect_api import quiet_libraries
    from flows.private_server import prefect_environment, private_server

    quiet_libraries()
    folder = tmp_path_factory.mktemp("prefect")
    with ExitStack() as stack:
        database = stack.enter_context(prefect_database(folder))
        with prefect_environment(database.settings):  # for this server alone
            address = stack.enter_context(private_server(folder))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("prefect.flow_engine.BaseFlowRunEngine.heartbeat_seconds", None)
        patch.setattr("prefect.client.base.clamped_poisson_interval", lambda *_: RETRY_S)
        yield address


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a temporary folder that all processes of the suite share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def trained_home(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small model on ``labelled.csv`` in a home without a lake; tests copy the home.

    The first process of the suite that asks trains it, and the other one waits.
    """
    home, is_made = shared_folder / "trained-home", shared_folder / "trained-home-made"
    with (shared_folder / "trained-home-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_made.exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            trained_homes.train_home(home, tmp_path_factory.mktemp("training"))
            is_made.touch()
    return home


@pytest.fixture
def home(trained_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the trained home for one test, and set it as Noctule's home."""
    home = tmp_path / "home"
    shutil.copytree(trained_home, home)
    trained_homes.use_home(monkeypatch, home)
    return home


@pytest.fixture(scope="session")
def night(
    prefect_server: str, trained_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> NightRun:
    """Run the night that most tests look at; no test changes it."""
    return run_bad_night(trained_home, tmp_path_factory.mktemp("night"))


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory) -> StudyRun:
    """Run one small study; no test changes what it wrote."""
    return run_small_study(tmp_path_factory.mktemp("studied"))


@pytest.fixture(scope="module")
def quick_study() -> Iterator[None]:
    """Shorten the studies of the module's tests."""
    with small_networks():
        yield
