"""Fixtures every test may ask for: real databases, the real data where it is, a night's results.

What is dear is made once a session: a Prefect server, a trained home, and one night of files that
are bad in every way, which the tests of flows, of bad input and of pages all look at.
"""

import contextlib
import gzip
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings
from sqlalchemy import Engine

from storage.database import DATABASE_FILE, connect
from storage.queries import batch_rows
from storage.revisions import upgrade
from tests.support import trained_homes
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

settings.register_profile("noctule", deadline=None)  # a busy machine is no fault
settings.load_profile("noctule")

SHARING = {
    "night": ("test_ui", "test_bad_input", "test_cli", "test_deployments", "test_nightly",
              "test_postgres_night", "test_scheduled_night"),
    "studied": ("test_study_page", "flows/test_study"),
}  # fmt: skip
"""Files whose tests look at one dear result, by its fixture: one worker makes it and has them."""

TWO_DATABASES = ("sqlite", "postgresql")
"""What a test of a database runs on, unless its module has ``DATABASES``: one that asks it much
that another version may answer otherwise names ``postgresql15`` too."""

TEMPLATE = "noctule_template"
RETRY_S = 0.3
"""Between two requests to a Prefect server whose database is busy."""
SETTLE_S = 86_400
"""The night's files are years old but for one, which is new and so left for next time."""


@pytest.fixture
def nsl_kdd_folder(pytestconfig: pytest.Config) -> Path:
    """Find the NSL-KDD files beside the project, or skip."""
    folder = pytestconfig.rootpath.parent / "shared" / "data" / "nsl-kdd"
    if not folder.is_dir():
        pytest.skip(f"needs the NSL-KDD files, which are not in {folder}")
    return folder


@pytest.hookimpl(optionalhook=True)  # without xdist nobody asks
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401 - as xdist has it
    """Give each worker whole files, and those that share a dear result to one.

    Marks of xdist would say the same, had they not lost their effect with pytest 9.2.
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
def _networks_are_compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what JAX compiles, for this process and its children: half the cost of a small model."""
    told = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("compiled")),
        "JAX_COMPILATION_CACHE_MAX_SIZE": "1000000000",  # with a limit it is locked while written
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test of a database on each one that its module names, or on two."""
    marks = metafunc.definition.iter_markers("parametrize")
    is_chosen = any(mark.args[0] == "database" for mark in marks)
    if "database" in metafunc.fixturenames and not is_chosen:
        names = getattr(metafunc.module, "DATABASES", TWO_DATABASES)
        metafunc.parametrize("database", names, indirect=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start one PostgreSQL for the session; the address of its own database."""
    with embedded_server() as address:
        yield address


@pytest.fixture(scope="session")
def postgres_15_server() -> Iterator[str]:
    """Start Debian's PostgreSQL 15 for the session; the address of its own database."""
    if not has_debian_server():
        _miss("PostgreSQL 15")
    with debian_server() as address:
        yield address


@pytest.fixture
def pooled(postgres_15_server: str) -> Callable[..., AbstractContextManager[str]]:
    """Run PgBouncer in front of PostgreSQL 15, with the settings that are given."""
    if not POOLER.exists():
        _miss("PgBouncer")
    return partial(pooler, postgres_15_server)


def _miss(program: str) -> NoReturn:
    """Skip a test for want of a program of Debian's; in CI that is a failure."""
    missing = f"needs {program}: tests/install-postgresql-15"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Make a fresh, empty PostgreSQL database; its address."""
    with fresh_database(postgres_server) as address:
        yield address


@pytest.fixture(scope="session")
def upgraded_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Upgrade one SQLite database, to be copied."""
    home = tmp_path_factory.mktemp("upgraded")
    engine = connect(None, home)
    upgrade(engine)
    engine.dispose()  # the last connection leaves no write-ahead log behind
    return home / DATABASE_FILE


@pytest.fixture(scope="session")
def server_named(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Find the address of a server by the name of its database in tests."""
    fixtures = {"postgresql": "postgres_server", "postgresql15": "postgres_15_server"}
    return lambda name: request.getfixturevalue(fixtures[name])


@pytest.fixture(scope="session")
def upgraded_server(server_named: Callable[[str], str]) -> Callable[[str], str]:
    """Find a server likewise, with one upgraded database, to be copied."""

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
    """Make a database with the schema: the arguments of ``connect`` that reach it."""
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
    """Reach a database with the schema: on SQLite, and on PostgreSQL."""
    engine = connect(*database)
    yield engine
    engine.dispose()


@dataclass(frozen=True)
class Night:
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
        """Return the summary of the batch that first came as a file."""
        name = Path(file).name
        with self.database() as engine:
            found = [row for row in batch_rows(engine) if row["file_name"] == name]
        assert len(found) == 1, f"{len(found)} batches came as {name}"
        return found[0]

    @contextlib.contextmanager
    def database(self) -> Iterator[Engine]:
        """Open its database."""
        engine = connect(None, self.home)
        yield engine
        engine.dispose()


@pytest.fixture(scope="session")
def prefect_database(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Set up a database for a Prefect server: PostgreSQL where there is one that it can use.

    On SQLite, its default, its own writers now and then block each other for a minute.
    """
    if not has_debian_server():
        yield {}
        return
    with fresh_database(request.getfixturevalue("postgres_15_server")) as address:
        url = address.replace("postgresql:", "postgresql+asyncpg:")
        yield {"PREFECT_SERVER_DATABASE_CONNECTION_URL": url}


@pytest.fixture(scope="session")
def prefect_server(
    tmp_path_factory: pytest.TempPathFactory, prefect_database: dict[str, str]
) -> Iterator[str]:
    """Run one Prefect server for the session; its API's address, which is in the environment.

    Flows of this process send it no heartbeats, for which each run would end up to a second
    later, and soon ask again where its database is busy, for which they would wait 2 s and more.
    No variable of Prefect's changes either.
    """
    from flows.prefect_api import quiet_libraries
    from flows.private_server import prefect_told, private_server

    quiet_libraries()
    with ExitStack() as stack:
        with prefect_told(prefect_database):  # this server's alone
            server = private_server(tmp_path_factory.mktemp("prefect"))
            address = stack.enter_context(server)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("prefect.flow_engine.BaseFlowRunEngine.heartbeat_seconds", None)
        patch.setattr("prefect.client.base.clamped_poisson_interval", lambda *_: RETRY_S)
        yield address


@pytest.fixture(scope="session")
def quick_options() -> dict[str, Any]:
    """Give the training options of a model that is fitted in two seconds."""
    return trained_homes.quick_options()


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a small model on ``labelled.csv`` in a home to be copied, which has no lake yet."""
    home = tmp_path_factory.mktemp("trained")
    trained_homes.train_home(home, tmp_path_factory.mktemp("training"))
    return home


@pytest.fixture
def home(trained_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the trained home for one test, and make it Noctule's."""
    home = tmp_path / "home"
    shutil.copytree(trained_home, home)
    _use_home(monkeypatch, home)
    return home


@pytest.fixture(scope="session")
def night(
    prefect_server: str, trained_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Night:
    """Run the night that most tests look at; nobody changes it."""
    from flows.cli import main

    folder = tmp_path_factory.mktemp("night")
    home, inbox = folder / "home", folder / "inbox"
    shutil.copytree(trained_home, home)
    inbox.mkdir()
    named = _deliver(inbox, folder / "again")
    started_at = datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch, io.StringIO() as output:
        _use_home(patch, home, chunk_rows=1_000, settle_s=SETTLE_S)
        patch.setattr(sys, "argv", ["noctule", "run", str(inbox), *map(str, named)])
        with contextlib.redirect_stdout(output), pytest.raises(SystemExit) as ended:
            main()
        return Night(home, inbox, named, started_at, int(ended.value.code or 0), output.getvalue())


def _use_home(patch: pytest.MonkeyPatch, home: Path, **settings: object) -> None:
    """Make a home Noctule's, whatever the environment of the developer holds."""
    for name in [name for name in os.environ if name.startswith("NOCTULE_")]:
        patch.delenv(name)
    for name, value in {"home": home, "database_wait_s": 0, **settings}.items():
        patch.setenv(f"NOCTULE_{name.upper()}", str(value))


def _deliver(inbox: Path, elsewhere: Path) -> tuple[Path, ...]:
    """Put a night's files into the inbox, one minute after another in the order of this text.

    Returns:
        Files that lie elsewhere.
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
    """Name a file whose bytes this user cannot read; root may read all but its own memory."""
    if os.geteuid() == 0:
        return Path("/proc/self/mem")
    locked = folder / "locked.csv"
    locked.touch(mode=0o000)
    return locked


@dataclass(frozen=True)
class Studied:
    """One ``noctule study --json`` of a small labelled night beside one without labels."""

    file: Path
    data: Path
    page: Path
    printed: str
    """Standard output."""


@pytest.fixture(scope="session")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    """Study a night with two classifiers on two selections; nobody changes what came of it."""
    from functools import partial

    from flows.cli import main
    from tasks.simulation.simulate import simulate_night
    from tasks.study.study import study_rows

    folder = tmp_path_factory.mktemp("studied")
    file, beside, out = folder / "night.csv", folder / "other.csv", folder / "reports" / "new"
    for path, is_labelled in ((file, True), (beside, False)):
        simulate_night(path, rows=1_500, seed=3, night=date(2026, 11, 9), labelled=is_labelled)
    few = partial(
        study_rows, selections=("none", "forest"), classifiers=("lightgbm", "random_forest")
    )
    asked = ("study", file, "--out", out, "--beside", beside, "--jobs", 2, "--json")
    with _quick_networks() as patch, io.StringIO() as output:
        _use_home(patch, folder / "home")
        patch.setattr("flows.cli.study.study_rows", few)
        patch.setattr(sys, "argv", ["noctule", *map(str, asked)])
        with contextlib.redirect_stdout(output), pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in {None, 0}, output.getvalue()
        return Studied(file, out / "night-study.json", out / "night-study.html", output.getvalue())


@pytest.fixture(scope="module")
def quick_study() -> Iterator[None]:
    """Lay few rows out, and train small networks: a study of a small file takes seconds."""
    with _quick_networks():
        yield


@contextlib.contextmanager
def _quick_networks() -> Iterator[pytest.MonkeyPatch]:
    from tasks.study import embedding, reconstruction

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding, "SAMPLE_ROWS", 150)
        for name in ("DEFAULT", "AS_DESCRIBED"):
            options = getattr(reconstruction, name)
            patch.setattr(reconstruction, name, options.model_copy(update={"epochs": 8}))
        yield patch
