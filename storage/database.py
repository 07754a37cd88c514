"""The database: connecting to it, and opening transactions.

Belongs here: addresses, connections, transactions. Does not belong here: the requirements for a
PostgreSQL session (``sessions``), the messages about refusals (``refusals``), the revision of the
schema (``revisions``) or the tables (``schema``).

The default is a SQLite file in the home folder; a PostgreSQL address replaces it. All code above
this module is the same for both.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential

from expectations.errors import NoctuleError, UsageError
from storage.refusals import refused_by_database, unavailable, withhold_rows
from storage.sessions import libpq_user, open_sessions
from storage.text import dump_json

DATABASE_FILE: Final = "noctule.db"

BUSY_TIMEOUT_S: Final = 120.0
"""How long a SQLite writer waits for another. It is six times the longest commit measured: 20 s,
for a million predictions and 450,000 flagged records on a busy machine."""

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 8.0
"""The pause between two attempts to reach a server doubles from the first to the longest.
Guesses."""

PASSING_STATES: Final = (
    "starting up", "shutting down", "in recovery", "not yet accepting", "too many clients",
)  # fmt: skip
"""Words in the answer of a server that will soon be ready."""

FINAL_ANSWERS: Final = (
    "FATAL", "no password supplied", "does not support SSL", "invalid ", "definition of service",
)  # fmt: skip
"""Words in other answers of a server or its driver; waiting does not change these."""

SQLITE_CACHE_KIB: Final = 16_384
"""Page cache of a SQLite connection. Measured on 450,000 flagged records: 3.8 CPU s with the
default of 2 MiB, 3.1 with this, no less with 64 MiB."""

SQLITE_PAGE_BYTES: Final = 16_384
"""Page size of a SQLite file. Measured on a million predictions and 474,000 flagged records of 820
bytes: 6.0 CPU s with the default of 4 KiB, 4.9 with this."""

SQLITE_LOG_LIMIT_BYTES: Final = 67_108_864
"""The size to which SQLite truncates its write-ahead log after a large commit. A guess."""

POSTGRESQL_NAMES: Final = frozenset({"postgresql", "postgres", "postgresql+psycopg"})

INITIAL_BEGIN: Final = "BEGIN"
WRITE_BEGIN: Final = "BEGIN IMMEDIATE"


def connect(url: str | None, home: Path, wait_s: float = 0) -> Engine:
    """Connect to the database, and run one query to see that it answers.

    This does not look at the schema: see ``revisions``.

    Args:
        url: ``postgresql://...`` or ``postgres://...``, or ``sqlite:///file``; None for the
            embedded database in the home.
        home: the folder of the embedded database; created if it does not exist.
        wait_s: how long to wait for a PostgreSQL server that does not answer, or is starting or
            shutting down, in seconds.

    Returns:
        An engine whose messages show neither the password nor any row.

    Raises:
        UsageError: the address is not valid or has an unknown scheme; the database does not store
            text as UTF-8; a pooler that shares its sessions is in front of it; or the options of
            the user have no effect there.
        ServiceUnavailableError: nothing answers. The message has the address without its password.
    """
    address = _parse_address(url, home)
    engine = _sqlite_engine(address) if _is_sqlite(address) else _postgresql_engine(address)
    try:
        if address.database and _is_sqlite(address):
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        _await_answer(engine, 0 if _is_sqlite(address) else wait_s)
    except OSError as error:
        engine.dispose()
        raise unavailable(show_address(address), str(error)) from None
    except DBAPIError as error:
        engine.dispose()
        raise _refused(engine, error) or unavailable(show_address(address), str(error)) from None
    except BaseException:
        engine.dispose()
        raise
    return engine


def _await_answer(engine: Engine, wait_s: float) -> None:
    """Run one query, and repeat it at growing intervals while the server may still become ready.

    Raises:
        DBAPIError: the server did not answer in time, or gave an answer that will not change.
    """
    pause = wait_exponential(multiplier=FIRST_PAUSE_S, max=LONGEST_PAUSE_S)
    attempts = Retrying(
        retry=retry_if_exception(_may_pass),
        wait=lambda state: min(pause(state), wait_s - (state.seconds_since_start or 0)),
        stop=stop_after_delay(wait_s),
        reraise=True,
    )
    for attempt in attempts:
        with attempt, engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))


def _may_pass(error: BaseException) -> bool:
    """Return whether a server that answers with this error may be ready a moment later."""
    said = str(error.orig) if isinstance(error, DBAPIError) else ""
    if any(words in said for words in PASSING_STATES):
        return True
    is_final = any(words in said for words in FINAL_ANSWERS)
    return isinstance(error, OperationalError) and not is_final


def _parse_address(url: str | None, home: Path) -> URL:
    """Return the user's address with the driver that we use."""
    if url is None:
        return URL.create("sqlite", database=str(home / DATABASE_FILE))
    try:
        address = make_url(url)
        if "@" in (address.host or ""):
            raise ValueError  # noqa: TRY301 - an @ in the password makes its rest part of the host
    except (ArgumentError, ValueError):
        # The message shows neither address nor error: both may contain part of the password.
        message = (
            "Cannot read the database address: expected postgresql://user:password@host:port/name,"
            " with special characters of the password percent-encoded. Correct"
            " NOCTULE_DATABASE_URL and run it again."
        )
        raise UsageError(message) from None
    if address.drivername in POSTGRESQL_NAMES:
        return address.set(drivername="postgresql+psycopg")
    if address.drivername == "sqlite" and address.database not in {None, "", ":memory:"}:
        return address
    message = (
        f"Cannot use a database address that starts with {address.drivername}://: expected"
        " postgresql://user:password@host:port/name, or sqlite:///path/to/file. Correct"
        " NOCTULE_DATABASE_URL, or unset it to use the embedded database."
    )
    raise UsageError(message)


def _is_sqlite(address: URL) -> bool:
    return address.get_backend_name() == "sqlite"


def name_database(url: str | None, home: Path) -> str:
    """Return the address that ``connect`` would use, without its password.

    Raises:
        UsageError: the address is not valid or has an unknown scheme.
    """
    return show_address(_parse_address(url, home))


def show_address(address: URL) -> str:
    """Return an address without its password, which may also be in the query."""
    if _is_sqlite(address):
        return str(address.database)
    query = {name: value for name, value in address.query.items() if name in {"host", "port"}}
    shown = address.set(drivername="postgresql", query=query)
    return shown.render_as_string(hide_password=True)


def _refused(engine: Engine, error: Exception) -> NoctuleError | None:
    """Return the error to raise for a refusal of the database; None if the error is a bug."""
    address = engine.url
    password = str(address.password) if address.password else None
    user = address.username or libpq_user()
    return refused_by_database(show_address(address), user, error, password)


def _sqlite_engine(address: URL) -> Engine:
    engine = sa.create_engine(
        address,
        connect_args={"timeout": BUSY_TIMEOUT_S},
        hide_parameters=True,
        json_serializer=dump_json,
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        # We begin transactions ourselves, see below. The driver begins them late, so two readers
        # could both turn into writers, and one of them would fail.
        connection.isolation_level = None
        for pragma in (
            f"page_size = {SQLITE_PAGE_BYTES}",  # for a new file; an existing one keeps its own
            "journal_mode = WAL",
            f"journal_size_limit = {SQLITE_LOG_LIMIT_BYTES}",
            f"cache_size = -{SQLITE_CACHE_KIB}",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(options.get("sqlite_begin", INITIAL_BEGIN))

    return engine


def _postgresql_engine(address: URL) -> Engine:
    engine = sa.create_engine(
        address, hide_parameters=True, json_serializer=dump_json, pool_pre_ping=True
    )
    open_sessions(engine, show_address(address))
    return engine


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that writes. The end of the block commits it, an error rolls it back.

    On SQLite it takes the write lock at once, so that what it reads stays valid until the commit.

    Raises:
        ServiceUnavailableError: the connection broke, or another writer kept the lock too long.
    """
    with (
        available(engine),
        engine.connect().execution_options(sqlite_begin=WRITE_BEGIN) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads.

    Raises:
        ServiceUnavailableError: the connection broke.
    """
    with available(engine), engine.connect() as connection:
        yield connection


@contextmanager
def available(engine: Engine) -> Iterator[None]:
    """Convert errors of a database that refuses, is unreachable, locked or full to our own.

    Any other error passes, but without the row that PostgreSQL quotes below its message: messages
    go to logs, to the run table and to Prefect, which must not contain rows.

    Raises:
        ServiceUnavailableError: the database is out of service, or accepts no writes.
        UsageError: the user lacks a privilege, or the installation lacks something.
    """
    try:
        yield
    except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:  # COPY uses the driver
        refused = _refused(engine, error)
        if refused is not None:
            raise refused from None
        withhold_rows(error)
        raise


def lock_name(name: str) -> sa.ColumnElement[int]:
    """Return the key of a PostgreSQL advisory lock, from its name and the current schema.

    The schemas of a database share one set of keys, and each schema may hold another Noctule. Two
    names share a key only if 64 bits of their hashes are equal.
    """
    return sa.func.hashtextextended(sa.func.concat_ws(":", sa.func.current_schema(), name), 0)


def serialise(connection: Connection, name: str) -> None:
    """Wait until no other transaction that serialised on this name is open.

    On SQLite a transaction of ``write`` excludes all others anyway. On PostgreSQL this takes an
    advisory lock that ends with the transaction.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock_name(name))))


def keep_to_schema(connection: Connection) -> None:
    """Restrict the search path to the schema of our tables, until the transaction ends.

    Another schema of the search path may hold the tables of another Noctule.
    """
    if connection.dialect.name == "postgresql":
        schema = sa.func.quote_ident(sa.func.current_schema())
        connection.execute(sa.select(sa.func.set_config("search_path", schema, True)))  # noqa: FBT003


def refresh_statistics(connection: Connection, *tables: Table) -> None:
    """Update PostgreSQL's statistics of tables just written; SQLite needs none.

    Measured on a batch of 450,000 flagged rows: reading its 100 highest takes 440 ms before and 2
    ms after. Autovacuum would do it a minute later.
    """
    if connection.dialect.name == "postgresql":
        for table in tables:
            connection.exec_driver_sql(f"ANALYZE {table.name}")


def insert_or_update(connection: Connection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """Return an INSERT of the database's dialect, which supports ``ON CONFLICT``."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)
