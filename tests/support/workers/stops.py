"""Stops: the calls on files and in the database before which a worker stops.

Belongs here: the patches of the standard library, of SQLAlchemy and of psycopg that make a worker
stop. Does not belong here: what a stop is (see ``worker``).

Calls on files are patched in Python's own modules, not in ``storage``, so that no path through our
code avoids a stop. Calls from outside a worker go through unchanged.
"""

import fcntl
import io
import os
import select
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar
from unittest import mock

import psycopg
import sqlalchemy as sa
from psycopg.rows import TupleRow
from sqlalchemy import Connection, Engine

from tests.support.workers.worker import Step, Worker, current_worker

R = TypeVar("R")

PATH_CALLS: Final = ("mkdir", "rename", "unlink", "rmdir")
"""The functions of ``os`` that change the entries of a folder."""

READING: Final = frozenset({"select", "begin", "pragma"})
"""First words of statements that take no lock on which another worker would wait."""

LOOK_MS: Final = 5
"""How long a worker waits for PostgreSQL's answer before it asks whether a lock delays it. A guess:
it decides when the question is asked, never the answer."""


@contextmanager
def stops_at_files(root: Path, random: Random) -> Iterator[None]:
    """Make workers stop before every effect on files below a folder, within the block.

    Args:
        root: the folder; calls on other files do not stop.
        random: source of the random part of a worker's temporary file names.
    """
    scan, urandom = os.scandir, os.urandom

    def scan_in_order(path: Any = ".") -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        return _Listing(scan(path)) if current_worker() is not None else scan(path)

    def draw(size: int) -> bytes:
        return random.randbytes(size) if current_worker() is not None else urandom(size)

    with ExitStack() as guards:
        for name in PATH_CALLS:
            call = _before_path_call(name, getattr(os, name), f"{root}/")
            guards.enter_context(mock.patch.object(os, name, call))
        guards.enter_context(mock.patch.object(os, "fsync", _before_sync(os.fsync)))
        guards.enter_context(mock.patch.object(os, "close", _at_close(os.close)))
        guards.enter_context(mock.patch.object(fcntl, "flock", _before_lock(fcntl.flock)))
        guards.enter_context(mock.patch.object(io, "open", _at_open(io.open, f"{root}/")))
        guards.enter_context(mock.patch.object(os, "scandir", scan_in_order))
        guards.enter_context(mock.patch.object(os, "urandom", draw))
        yield


class _Listing:
    """The entries of a folder, sorted by name so that the order is the same each time."""

    def __init__(self, scanned: Any) -> None:
        with scanned:
            self._entries = iter(sorted(scanned, key=lambda entry: str(entry.name)))

    def __enter__(self) -> Iterator["os.DirEntry[str]"]:
        return self._entries

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator["os.DirEntry[str]"]:
        return self._entries


def _before_path_call(name: str, call: Callable[..., R], root: str) -> Callable[..., R]:
    def stepped(path: Any, *args: Any, **options: Any) -> R:
        worker = current_worker()
        if worker is not None:
            shown = os.fspath(path)
            if shown.startswith(root) or options.get("dir_fd") is not None:
                worker.step(name, shown.removeprefix(root))
        return call(path, *args, **options)

    return stepped


def _before_sync(sync: Callable[[int], None]) -> Callable[[int], None]:
    def stepped(descriptor: int) -> None:
        worker = current_worker()
        if worker is None:
            sync(descriptor)
        else:  # skipped: written bytes outlive their process without it
            worker.step("fsync", "")

    return stepped


def _before_lock(lock: Callable[[int, int], None]) -> Callable[[int, int], None]:
    def stepped(descriptor: int, operation: int) -> None:
        worker = current_worker()
        if worker is not None:
            worker.step("flock", "")
        lock(descriptor, operation)
        if worker is not None:
            worker.holdings.locked.add(descriptor)

    return stepped


def _at_close(close: Callable[[int], None]) -> Callable[[int], None]:
    def noted(descriptor: int) -> None:
        worker = current_worker()
        if worker is not None:
            worker.holdings.locked.discard(descriptor)
        close(descriptor)

    return noted


class _TornFile(io.FileIO):
    """A file that stops in the middle of every write."""

    def __init__(self, path: str, mode: str, worker: Worker, shown: str) -> None:
        super().__init__(path, mode)
        self._worker, self._shown = worker, shown

    def write(self, content: Any) -> int:
        """Write one half, stop, and write the other."""
        half = len(content) // 2
        super().write(content[:half])
        self._worker.step("write", self._shown)
        super().write(content[half:])
        return len(content)


def _at_open(plain_open: Callable[..., Any], root: str) -> Callable[..., Any]:
    def stepped(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        worker = current_worker()
        if worker is None or not set(mode) & set("wxa+"):
            return plain_open(file, mode, *args, **options)
        path = os.fspath(file)
        if not path.startswith(root):
            return plain_open(file, mode, *args, **options)
        shown = path.removeprefix(root)
        worker.step("open", shown)
        if "b" in mode and "+" not in mode:
            return _TornFile(path, mode.replace("b", ""), worker, shown)
        return plain_open(file, mode, *args, **options)

    return stepped


def stop_at_statements(engine: Engine) -> None:
    """Make workers stop before every statement and every commit.

    Args:
        engine: shared by all workers; each takes its own connections from it.
    """

    @sa.event.listens_for(engine, "engine_connect")
    def _opened(connection: Connection) -> None:
        worker = current_worker()
        if worker is not None:
            worker.holdings.connections.append(connection)

    @sa.event.listens_for(engine, "before_cursor_execute")
    def _before_statement(
        connection: Connection, _cursor: object, statement: str, *_: object
    ) -> None:
        worker = current_worker()
        if worker is None:
            return
        words = statement.split(None, 4)
        kind = words[0].lower()
        is_locking = kind not in READING or words[1:2] == ["IMMEDIATE"] or "FOR UPDATE" in statement
        worker.pause(Step(kind, " ".join(words[1:4]), is_locking))
        if is_locking:
            worker.holdings.writing.add(id(connection))

    @sa.event.listens_for(engine, "commit")
    def _before_commit(connection: Connection) -> None:
        worker = current_worker()
        if worker is not None:
            worker.step("commit", "")
            worker.holdings.writing.discard(id(connection))

    @sa.event.listens_for(engine, "rollback")
    def _at_rollback(connection: Connection) -> None:
        worker = current_worker()
        if worker is not None:
            worker.holdings.writing.discard(id(connection))


def stop_at_driver_calls(engine: Engine, is_waiting: Callable[[int], bool]) -> None:
    """Make new PostgreSQL sessions hand the thread over while they wait for another's lock.

    Args:
        engine: opens the sessions; sessions that are open already do not change.
        is_waiting: tells whether a session, by its process id, waits for a lock of another.
    """

    class Cursor(psycopg.Cursor[TupleRow]):
        """Stops before a COPY, for which SQLAlchemy sends no event."""

        def copy(self, *args: Any, **options: Any) -> Any:
            worker = current_worker()
            if worker is not None:
                worker.step("copy", str(args[0].as_string(self))[5:40])
            return super().copy(*args, **options)

    class Session(psycopg.Connection[TupleRow]):
        """Waits as psycopg does, but gives way while another worker holds the lock."""

        def wait(
            self, gen: Generator[Any, Any, R], interval: float = 0.1, timeout: float | None = None
        ) -> R:
            worker = current_worker()
            if worker is None:
                return super().wait(gen, interval, timeout)
            process_id, ready = self.pgconn.backend_pid, select.poll()
            try:
                wanted = next(gen)
                while True:
                    ready.register(self.pgconn.socket, _poll_events(wanted))
                    while not (found := ready.poll(LOOK_MS)):
                        if is_waiting(process_id):
                            _give_way(worker)
                    wanted = gen.send(_ready(found[0][1]))
            except StopIteration as done:
                result: R = done.value
                return result

    def connect(*args: Any, **options: Any) -> Session:
        return Session.connect(*args, cursor_factory=Cursor, **options)

    dialect: Any = engine.dialect
    dialect.connect = connect  # our code opens and sets up sessions through it


def _give_way(worker: Worker) -> None:
    """Let other workers run until the lock is free."""
    worker.is_waiting = True
    worker.pause(Step("wait", worker.next.what))
    worker.is_waiting = False


def _poll_events(wanted: int) -> int:
    """Translate psycopg's wait state (1 read, 2 write, 3 either) to the events of ``poll``."""
    return (select.POLLIN if wanted & 1 else 0) | (select.POLLOUT if wanted & 2 else 0)


def _ready(events: int) -> int:
    """Translate the events of ``poll`` back; an error counts as readable, so reading finds it."""
    found = (2 if events & select.POLLOUT else 0) | (1 if events & ~select.POLLOUT else 0)
    return psycopg.waiting.Ready(found)
