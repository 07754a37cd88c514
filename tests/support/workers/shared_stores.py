"""A database and a lake that workers share, emptied before each schedule.

Belongs here: preparing and emptying a database of either kind, and what only the operating system
or the server can do to a worker: end its sessions, take its locks. Does not belong here: the
servers (see ``tests.support.postgresql``), or the work of the workers (see ``batch_work``).
"""

import fcntl
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
from tests.support.memory import memory_folder
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

REGISTERED: Final = datetime(2026, 11, 1, tzinfo=UTC)

WATCH_TIMEOUT: Final = "60s"
"""Longest wait of the session that watches the others, so that a deadlock of ours ends. A guess."""

POOL_SIZE: Final = 16
"""Sessions that the pool keeps: three for each of four workers, and a few more."""


END_MS: Final = 60_000
"""Longest wait for a session to end. A guess, far above the usual time."""


class SharedStore(ABC):
    """A database with two registered models and nothing else, and an empty lake."""

    def __init__(self, url: str | None, home: Path) -> None:
        """Create the schema and register the models.

        Args:
            url: an empty PostgreSQL database; None for SQLite in the home.
            home: an empty folder.
        """
        self.home, self.lake, self.models = home, home / "lake", home / "models"
        self.engine = connect(url, home)
        upgrade(self.engine)
        stop_at_statements(self.engine)
        self._prepare(url)
        self.engine.dispose()  # connections opened from now on are prepared
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
        """Register a model that only has a name."""
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
        """Return the rows of every table, in the order of its key, with the driver's own values."""
        return {
            table.name: [
                dict(zip(table.columns.keys(), row, strict=True))
                for row in self.ask(_read_whole(table))
            ]
            for table in metadata.sorted_tables
        }

    def reset(self) -> None:
        """Remove everything that workers have stored."""
        shutil.rmtree(self.lake, ignore_errors=True)
        self.change([f"DELETE FROM {name}" for name in self._filled])  # noqa: S608 - the schema's names

    def kill(self, worker: Worker) -> None:
        """Kill a worker: end its sessions, then unwind its stack."""
        connections = worker.holdings.open_connections()
        self._end_sessions(connections)
        for each in connections:
            each.invalidate()  # closes it without a word to the database
        worker.kill()
        worker.holdings = Holdings()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @abstractmethod
    def _prepare(self, url: str | None) -> None:
        """Open a connection for ``ask``, and prepare those that workers will open."""

    @abstractmethod
    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a query from outside the schedule, without SQLAlchemy, which would take longer."""

    @abstractmethod
    def change(self, statements: Sequence[str]) -> None:
        """Change the database from outside the schedule, in one transaction."""

    @abstractmethod
    def take_locks(self, worker: Worker) -> None:
        """Take a worker's locks away unnoticed, as when its host loses the network."""

    @abstractmethod
    def has_to_wait(self, worker: Worker, others: Sequence[Worker]) -> bool:
        """Tell whether a worker, if it were resumed now, would wait for a database lock."""

    @abstractmethod
    def _end_sessions(self, connections: Sequence[Connection]) -> None:
        """End the sessions of a dead client, and roll back their transactions."""


@cache
def _read_whole(table: sa.Table) -> str:
    return str(sa.select(table).order_by(*table.primary_key))


class SqliteStore(SharedStore):
    """SQLite in the home."""

    def _prepare(self, url: str | None) -> None:  # noqa: ARG002 - PostgreSQL's
        """Open another connection to the file; skip flushes to the disk."""
        file = str(self.engine.url.database)
        self._runs = Path(f"{file}-runs")
        self._watch = sqlite3.connect(file, isolation_level=None)
        _leave_to_the_system(self._watch)
        sa.event.listen(self.engine, "connect", _leave_to_the_system)

    def reset(self) -> None:
        """Remove everything that workers have stored."""
        shutil.rmtree(self._runs, ignore_errors=True)
        super().reset()

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a query on the connection of this store."""
        return self._watch.execute(statement).fetchall()

    def change(self, statements: Sequence[str]) -> None:
        """Run statements on the same connection, in one transaction."""
        self._watch.executescript("; ".join(["BEGIN", *statements, "COMMIT"]))

    def take_locks(self, worker: Worker) -> None:
        """Unlock the folders that it has locked."""
        for descriptor in worker.holdings.locked:
            fcntl.flock(descriptor, fcntl.LOCK_UN)

    def has_to_wait(self, worker: Worker, others: Sequence[Worker]) -> bool:
        """Tell whether another worker writes; SQLite has one writer at a time."""
        return worker.is_at_first_lock and any(
            other.holdings.writing for other in others if other is not worker
        )

    def close(self) -> None:
        """Close every connection."""
        self._watch.close()
        super().close()

    def _end_sessions(self, connections: Sequence[Connection]) -> None:
        """Do nothing: SQLite has no server."""


def _leave_to_the_system(driver: sqlite3.Connection, *_: object) -> None:
    """Do not wait for the disk: written bytes outlive their process without it."""
    driver.execute("PRAGMA synchronous = OFF")


class PostgresqlStore(SharedStore):
    """A PostgreSQL database that nothing else uses."""

    def _prepare(self, url: str | None) -> None:
        """Open another session."""
        self._watch = psycopg.connect(url or "", autocommit=True)
        self._watch.execute(f"SET statement_timeout = '{WATCH_TIMEOUT}'".encode())
        stop_at_driver_calls(self.engine, self._is_waiting)
        _keep_sessions(self.engine)

    def reset(self) -> None:
        """Remove everything that workers have stored.

        Without the VACUUM the rows of ``run`` would be stored in another order, and so closed in
        another. TRUNCATE would do it too, but takes longer and clears the caches of all sessions.
        """
        super().reset()
        self.ask("VACUUM run")

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a query in the session of this store."""
        answer = self._watch.execute(statement.encode())
        return answer.fetchall() if answer.description else []

    def change(self, statements: Sequence[str]) -> None:
        """Run statements in the same session, in one message and so in one transaction."""
        self.ask("; ".join(statements))

    def take_locks(self, worker: Worker) -> None:
        """End the sessions that hold the locks of its claim and of its run."""
        connections = worker.holdings.open_connections()
        locking = {
            process_id
            for (process_id,) in self.ask("SELECT pid FROM pg_locks WHERE locktype = 'advisory'")
        }
        self._end_sessions([each for each in connections if _session(each).backend_pid in locking])

    def has_to_wait(self, worker: Worker, others: Sequence[Worker]) -> bool:
        """Ask the server whether a worker that gave way still waits.

        Until then no other worker may take its first lock: of two that wait for one transaction
        either may be first, and a schedule would not be the same each time.
        """
        if worker.is_waiting:
            connections = worker.holdings.open_connections()
            return any(self._is_waiting(_session(each).backend_pid) for each in connections)
        return worker.is_at_first_lock and any(other.is_waiting for other in others)

    def close(self) -> None:
        """Close every connection."""
        self._watch.close()
        super().close()

    def _is_waiting(self, process_id: int) -> bool:
        """Tell whether a session waits for a lock of another session."""
        return self.ask(f"SELECT cardinality(pg_blocking_pids({process_id})) > 0") == [(True,)]

    def _end_sessions(self, connections: Sequence[Connection]) -> None:
        """End sessions, and return when all of them are gone."""
        ends = select.poll()
        for each in connections:
            session = _session(each)
            self.ask(f"SELECT pg_terminate_backend({session.backend_pid})")
            ends.register(session.socket, 0)  # reports only that it was closed
        left = len(connections)
        while left:
            ended = ends.poll(END_MS)
            assert ended, f"a session did not end in {END_MS} ms"
            for socket, _ in ended:
                ends.unregister(socket)
            left -= len(ended)


def _keep_sessions(engine: Engine) -> None:
    """Let workers use the sessions of earlier workers, which halves the time of a schedule.

    Nothing else changes: the pool learns of each session that a schedule ends.
    """
    pool: Any = engine.pool
    pool._pre_ping, pool._pool.use_lifo, pool._pool.maxsize = False, True, POOL_SIZE

    @sa.event.listens_for(engine, "handle_error")
    def _keep_others(context: sa.ExceptionContext) -> None:
        context.invalidate_pool_on_disconnect = False


def _session(connection: Connection) -> psycopg.pq.abc.PGconn:
    """Return libpq's session of a connection."""
    driver: Any = connection.connection.driver_connection
    session: psycopg.pq.abc.PGconn = driver.pgconn
    return session


def available_databases() -> tuple[str, ...]:
    """Return the names of the databases that this machine has."""
    return tuple(
        name
        for name in ("sqlite", *SERVERS)
        if SERVERS.get(name) is not debian_server or has_debian_server()
    )


@contextmanager
def open_store(database: str, server: str | None = None) -> Iterator[SharedStore]:
    """Open an empty store, and remove it afterwards.

    Args:
        database: ``sqlite``, or one of ``SERVERS``.
        server: the address of its server, if one runs already.
    """
    with ExitStack() as stack:
        scratch = TemporaryDirectory(prefix="noctule-", dir=memory_folder())
        home = Path(stack.enter_context(scratch))
        store: SharedStore
        if database == "sqlite":
            store = SqliteStore(None, home)
        else:
            server = server or stack.enter_context(SERVERS[database]())
            store = PostgresqlStore(stack.enter_context(fresh_database(server)), home)
        stack.callback(store.close)
        yield store
