"""Grounds: a database and a lake where workers meet, as they were before any of them came.

Belongs here: making a database of either kind ready, emptying it, and what only the system or the
server can do to a worker. Does not belong here: which servers there are (see ``databases``), or
what is done on the store.
"""

import fcntl
import os
import select
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from storage.database import connect
from storage.model_store import promote, register_model
from storage.revisions import upgrade
from storage.schema import metadata
from tests.support.postgresql import (
    debian_server,
    embedded_server,
    fresh_database,
    has_debian_server,
)
from tests.support.workers.example_batches import CONTRACT, MODELS
from tests.support.workers.stops import stop_at_driver_calls, stop_at_statements
from tests.support.workers.worker import Holdings, Worker

SERVERS: Final[Mapping[str, Callable[[], AbstractContextManager[str]]]] = {
    "postgresql": embedded_server,
    "postgresql15": debian_server,
}

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - files in it have names of their own
"""Where Linux keeps files in memory, which halves the time of a schedule."""

REGISTERED: Final = datetime(2026, 11, 1, tzinfo=UTC)

WATCH_TIMEOUT: Final = "60s"
"""How long the watching session may wait, so that a fault of ours ends. A guess."""

POOL_SIZE: Final = 16
"""Sessions that are kept: three for each of four workers, and some."""


END_MS: Final = 60_000
"""How long a session may take to end once it was told to. A guess, far above what it takes."""


class SharedStore(ABC):
    """A database with two registered models and nothing else, and an empty lake."""

    def __init__(self, url: str | None, home: Path) -> None:
        """Make it ready.

        Args:
            url: an empty PostgreSQL database; None for SQLite in the home.
            home: an empty folder of its own.
        """
        self.home, self.lake, self.models = home, home / "lake", home / "models"
        self.engine = connect(url, home)
        upgrade(self.engine)
        stop_at_statements(self.engine)
        self._prepare(url)
        self.engine.dispose()  # what it opens from now on is as it was prepared
        self.versions = {content: self._register(content) for content in MODELS}
        last = self.versions[MODELS[-1]]
        promote(self.engine, self.models, last, who="fuzz", reason="none", now=REGISTERED)
        self.template = {name: rows for name, rows in self.read_all().items() if rows}
        self._filled = [
            table.name
            for table in reversed(metadata.sorted_tables)
            if table.name not in self.template
        ]

    def _register(self, content: str) -> str:
        """Register a model that is good for nothing but its name."""
        made = self.home / f"fitted-{content}"
        made.mkdir()
        (made / "model.txt").write_text(content)
        return register_model(
            self.engine,
            self.models,
            made,
            contract=CONTRACT,
            content_hash=content * 64,
            rows_trained=4,
            training={},
            metrics={},
            registered_at=REGISTERED,
            registered_by="fuzz",
        ).version

    def read_all(self) -> dict[str, list[dict[str, Any]]]:
        """Read every table, in the order of its key, as the driver gives it."""
        return {
            table.name: [
                dict(zip(table.columns.keys(), row, strict=True))
                for row in self.ask(_read_whole(table))
            ]
            for table in metadata.sorted_tables
        }

    def reset(self) -> None:
        """Undo whatever workers have left here."""
        shutil.rmtree(self.lake, ignore_errors=True)
        self.change([f"DELETE FROM {name}" for name in self._filled])  # noqa: S608 - the schema's names

    def kill(self, worker: Worker) -> None:
        """Kill a worker: whatever it holds is taken back, then its stack is unwound."""
        connections = worker.holdings.open_connections()
        self._end_sessions(connections)
        for each in connections:
            each.invalidate()  # closes it as it is, and says nothing to the database
        worker.kill()
        worker.holdings = Holdings()

    def close(self) -> None:
        """Give up every connection."""
        self.engine.dispose()

    @abstractmethod
    def _prepare(self, url: str | None) -> None:
        """Open a connection to ask through, and see to those that workers will open."""

    @abstractmethod
    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the database from outside the schedule, without SQLAlchemy's share of the time."""

    @abstractmethod
    def change(self, statements: Sequence[str]) -> None:
        """Change the database from outside the schedule, in one transaction."""

    @abstractmethod
    def take_locks(self, worker: Worker) -> None:
        """Take a worker's locks away without its noticing, as when its host was cut off."""

    @abstractmethod
    def has_to_wait(self, worker: Worker, others: Sequence[Worker]) -> bool:
        """Tell whether a worker that went on now would wait for a lock of the database."""

    @abstractmethod
    def _end_sessions(self, connections: Sequence[Connection]) -> None:
        """End sessions that live on when their client is dead, and all that they have begun."""


@cache
def _read_whole(table: sa.Table) -> str:
    return str(sa.select(table).order_by(*table.primary_key))


class SqliteStore(SharedStore):
    """SQLite in the home."""

    def _prepare(self, url: str | None) -> None:  # noqa: ARG002 - PostgreSQL's
        """Open another connection to the file."""
        file = str(self.engine.url.database)
        self._runs = Path(f"{file}-runs")
        self._watch = sqlite3.connect(file, isolation_level=None)
        _leave_to_the_system(self._watch)
        sa.event.listen(self.engine, "connect", _leave_to_the_system)

    def reset(self) -> None:
        """Undo whatever workers have left here."""
        shutil.rmtree(self._runs, ignore_errors=True)
        super().reset()

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask through a connection of its own."""
        return self._watch.execute(statement).fetchall()

    def change(self, statements: Sequence[str]) -> None:
        """Change it through that connection."""
        self._watch.executescript("; ".join(["BEGIN", *statements, "COMMIT"]))

    def take_locks(self, worker: Worker) -> None:
        """Unlock the folders it has locked."""
        for descriptor in worker.holdings.locked:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def has_to_wait(self, worker: Worker, others: Sequence[Worker]) -> bool:
        """One writes at a time."""
        return worker.is_at_first_lock and any(
            other.holdings.writing for other in others if other is not worker
        )

    def close(self) -> None:
        """Give up every connection."""
        self._watch.close()
        super().close()

    def _end_sessions(self, connections: Sequence[Connection]) -> None:
        """Do nothing: no server keeps anything for a client."""


def _leave_to_the_system(driver: sqlite3.Connection, *_: object) -> None:
    """Do not wait for the disk: what a process has written outlives it."""
    driver.execute("PRAGMA synchronous = OFF")


class PostgresqlStore(SharedStore):
    """A database of a PostgreSQL server, which nothing else uses."""

    def _prepare(self, url: str | None) -> None:
        """Open another session."""
        self._watch = psycopg.connect(url or "", autocommit=True)
        self._watch.execute(f"SET statement_timeout = '{WATCH_TIMEOUT}'".encode())
        stop_at_driver_calls(self.engine, self._is_waiting)
        _keep_sessions(self.engine)

    def reset(self) -> None:
        """Undo whatever workers have left here.

        Without the vacuum runs would come to lie in another order, and so be closed in another.
        TRUNCATE does it too, takes longer, and lets every session forget what it knows.
        """
        super().reset()
        self.ask("VACUUM run")

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask through a session of its own."""
        answer = self._watch.execute(statement.encode())
        return answer.fetchall() if answer.description else []

    def change(self, statements: Sequence[str]) -> None:
        """Change it through that session, in one message, which is one transaction."""
        self.ask("; ".join(statements))

    def take_locks(self, worker: Worker) -> None:
        """End the sessions that hold its claim and its life."""
        connections = worker.holdings.open_connections()
        locking = {
            process_id
            for (process_id,) in self.ask("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")
        }
        self._end_sessions([each for each in connections if _session(each).backend_pid in locking])

    def has_to_wait(self, worker: Worker, others: Sequence[Worker]) -> bool:
        """Whoever gave way has to wait until the server says otherwise.

        Meanwhile nobody else begins to lock: of two that wait for one transaction to end either
        may be first, and a schedule would not be the same each time.
        """
        if worker.is_waiting:
            connections = worker.holdings.open_connections()
            return any(self._is_waiting(_session(each).backend_pid) for each in connections)
        return worker.is_at_first_lock and any(other.is_waiting for other in others)

    def close(self) -> None:
        """Give up every connection."""
        self._watch.close()
        super().close()

    def _is_waiting(self, process_id: int) -> bool:
        """Tell whether a session waits for a lock that another has."""
        return self.ask(f"SELECT cardinality(pg_blocking_pids({process_id})) > 0") == [(True,)]

    def _end_sessions(self, connections: Sequence[Connection]) -> None:
        """End sessions, and return when nothing is left of them."""
        ends = select.poll()
        for each in connections:
            session = _session(each)
            self.ask(f"SELECT pg_terminate_backend({session.backend_pid})")
            ends.register(session.socket, 0)  # asks for nothing but that it was closed
        left = len(connections)
        while left:
            ended = ends.poll(END_MS)
            assert ended, "a session does not end"
            for socket, _ in ended:
                ends.unregister(socket)
            left -= len(ended)


def _keep_sessions(engine: Engine) -> None:
    """Let workers have sessions that others have used, which are quicker than new ones.

    It changes nothing but the time, by half: a session that a schedule ended is told to the pool.
    """
    pool: Any = engine.pool
    pool._pre_ping, pool._pool.use_lifo, pool._pool.maxsize = False, True, POOL_SIZE

    @sa.event.listens_for(engine, "handle_error")
    def _keep_others(context: sa.ExceptionContext) -> None:
        context.invalidate_pool_on_disconnect = False


def _session(connection: Connection) -> psycopg.pq.abc.PGconn:
    """Return the session of a connection, as the library of PostgreSQL has it."""
    driver: Any = connection.connection.driver_connection
    session: psycopg.pq.abc.PGconn = driver.pgconn
    return session


def available_databases() -> tuple[str, ...]:
    """Name the databases that a store can be made in on this machine."""
    return tuple(
        name
        for name in ("sqlite", *SERVERS)
        if SERVERS.get(name) is not debian_server or has_debian_server()
    )


@contextmanager
def open_store(database: str, server: str | None = None) -> Iterator[SharedStore]:
    """Make a store, and remove all of it afterwards.

    Args:
        database: ``sqlite``, or one of ``SERVERS``.
        server: the address of its server, if one runs already.
    """
    with ExitStack() as stack:
        place = MEMORY if os.access(MEMORY, os.W_OK) else None
        home = Path(stack.enter_context(TemporaryDirectory(prefix="noctule-", dir=place)))
        store: SharedStore
        if database == "sqlite":
            store = SqliteStore(None, home)
        else:
            server = server or stack.enter_context(SERVERS[database]())
            store = PostgresqlStore(stack.enter_context(fresh_database(server)), home)
        stack.callback(store.close)
        yield store
