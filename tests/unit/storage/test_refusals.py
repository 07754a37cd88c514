"""A refusal becomes a message that says what to do; a bug stays a bug."""

import errno
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from expectations.errors import NoctuleError, UsageError
from storage import schema
from storage.bulk import insert_frame
from storage.database import connect, read, write
from storage.refusals import refused_by_system
from storage.revisions import status, upgrade
from tests.support.postgresql import execute

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ROW = {"kind": "nightly", "state": "running", "started_at": "2026-11-20"}

Work = Callable[[Connection], object]


@pytest.fixture
def role(postgres_url: str) -> Iterator[Callable[..., str]]:
    """Make a user that has been granted just so much; the database's address as that user."""
    engine = connect(postgres_url, Path())
    upgrade(engine)
    engine.dispose()
    name = f"noc_{uuid4().hex[:8]}"
    execute(postgres_url, f"CREATE ROLE {name} LOGIN")

    def grant(*statements: str) -> str:
        for statement in statements:
            execute(postgres_url, statement.format(name=name))
        return make_url(postgres_url).set(username=name).render_as_string(hide_password=False)

    yield grant
    execute(postgres_url, f"DROP OWNED BY {name}")
    execute(postgres_url, f"DROP ROLE {name}")


READ = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}"


def insert(connection: Connection) -> None:
    connection.execute(
        sa.text("INSERT INTO run (kind, state, started_at) VALUES ('batch', 'running', now())")
    )


def copy(connection: Connection) -> None:
    insert_frame(connection, schema.run, pl.DataFrame([ROW]))


def count(connection: Connection) -> None:
    connection.execute(sa.select(sa.func.count()).select_from(schema.run))


def lock(connection: Connection) -> None:
    connection.execute(sa.select(schema.batch.c.status).with_for_update())


def make(connection: Connection) -> None:
    connection.execute(sa.text("CREATE TABLE more (a INTEGER)"))


def alter(connection: Connection) -> None:
    connection.execute(sa.text("ALTER TABLE run ADD COLUMN more INTEGER"))


def refused(url: str, work: Work) -> NoctuleError:
    engine = connect(url, Path())
    try:
        with pytest.raises(NoctuleError) as caught, write(engine) as connection:
            work(connection)
    finally:
        engine.dispose()
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__
    return caught.value


@pytest.mark.parametrize(
    ("granted", "work", "said"),
    [
        ((), count, "may not read table run: grant it SELECT on"),
        ((READ,), insert, "may not write table run: grant it SELECT, INSERT, UPDATE and DELETE"),
        ((READ,), copy, "may not write table run: grant it SELECT, INSERT, UPDATE and DELETE"),
        ((READ,), lock, "may not write table batch: grant it SELECT, INSERT, UPDATE and DELETE"),
        (("GRANT INSERT ON run TO {name}",), insert, "may not write sequence run_run_id_seq: gr"),
        ((READ,), make, "may not create or use tables in schema public: grant it USAGE and CREATE"),
        ((READ,), alter, "may not change table run, which another user owns: run `noctule db upg"),
    ],
)
def test_what_a_user_may_not_do_is_told_with_the_grant(
    role: Callable[..., str], granted: tuple[str, ...], work: Work, said: str
) -> None:
    url = role(*granted)
    error = refused(url, work)
    assert error.exit_code == 2
    assert str(error).startswith(f"The user {make_url(url).username} {said}")


def test_a_user_without_any_grant_is_told_so_by_whatever_looks_at_the_schema(
    role: Callable[..., str],
) -> None:
    engine = connect(role(), Path())
    for look in (status, upgrade):
        with pytest.raises(UsageError, match="may not read table alembic_version: grant it SELECT"):
            look(engine)
    engine.dispose()


def test_a_user_who_may_only_read_reads(role: Callable[..., str]) -> None:
    engine = connect(role(READ), Path())
    assert upgrade(engine).is_current
    with read(engine) as connection:
        count(connection)
    engine.dispose()


@pytest.mark.parametrize("work", [insert, copy, lock, make])
def test_a_server_that_takes_no_writes_ends_with_4(role: Callable[..., str], work: Work) -> None:
    url = role(
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}",
        "ALTER ROLE {name} SET default_transaction_read_only = on",
    )
    error = refused(url, work)
    assert error.exit_code == 4
    assert "is a read-only copy" in str(error)
    assert "Name the server that takes writes in NOCTULE_DATABASE_URL" in str(error)


@pytest.mark.parametrize(
    ("options", "statement", "said"),
    [
        ("-c statement_timeout=20ms", "SELECT pg_sleep(20)", "due to statement timeout"),
        ("-c lock_timeout=20ms", "LOCK TABLE run IN SHARE MODE", "due to lock timeout"),
        ("", "DO $$BEGIN RAISE SQLSTATE '40001'; END$$", "40001"),
        ("", "DO $$BEGIN RAISE SQLSTATE '53100'; END$$", "53100"),
        ("", "DO $$BEGIN RAISE SQLSTATE 'XX001'; END$$", "XX001"),
    ],
)
def test_what_passes_or_an_administrator_mends_ends_with_4(
    role: Callable[..., str], postgres_url: str, options: str, statement: str, said: str
) -> None:
    role()
    url = make_url(postgres_url).update_query_dict({"options": options} if options else {})
    other = connect(postgres_url, Path())
    with write(other) as connection:
        insert(connection)
        error = refused(
            url.render_as_string(hide_password=False), lambda it: it.exec_driver_sql(statement)
        )
    other.dispose()
    assert (error.exit_code, said in str(error)) == (4, True)


TRIGGERS = {
    "sqlite": [
        "CREATE TRIGGER mine BEFORE INSERT ON run BEGIN SELECT RAISE(ABORT, 'not on Sundays'); END"
    ],
    "postgresql": [
        (
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'not on Sundays'; END$$"
        ),
        "CREATE TRIGGER mine BEFORE INSERT ON run FOR EACH ROW EXECUTE FUNCTION refuse()",
    ],
}


def test_a_trigger_of_the_users_own_is_named_as_one(engine: Engine) -> None:
    with write(engine) as connection:
        for statement in TRIGGERS[engine.dialect.name]:
            connection.exec_driver_sql(statement)
    message = (
        "A trigger that you added refuses what Noctule stores: not on Sundays. Nothing was changed"
    )
    with pytest.raises(UsageError, match=message), write(engine) as connection:
        connection.execute(schema.run.insert(), {**ROW, "started_at": NOW})


def test_a_table_that_was_taken_away_meanwhile_is_named(engine: Engine) -> None:
    with write(engine) as connection:
        connection.execute(sa.text("DROP TABLE outbox"))
    gone = "A part of Noctule's schema is missing: .*outbox"
    with pytest.raises(UsageError, match=gone), read(engine) as connection:
        connection.execute(sa.select(schema.outbox))
    assert status(engine).missing == ("outbox",)


@pytest.mark.parametrize(
    "statement",
    ["SELECT nothing FROM run", "SELECT * FROM nowhere", "SELEC 1", "UPDATE run SET state = 'odd'"],
)
def test_a_mistake_of_ours_stays_a_bug(engine: Engine, statement: str) -> None:
    with write(engine) as connection:
        connection.execute(schema.run.insert(), {**ROW, "started_at": NOW})
    with pytest.raises(DBAPIError), write(engine) as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(errno.EACCES, "x", "/out/a.csv"), 2, "Cannot use /out/a.csv: Permission"),
        (OSError(errno.EROFS, "x", "/out"), 2, "Cannot use /out: Read-only file system."),
        (IsADirectoryError(errno.EISDIR, "x", b"/out"), 2, "Cannot use /out: Is a directory."),
        (OSError(errno.ELOOP, "x", "loop"), 2, "Cannot use loop: Too many levels of symbolic li"),
        (OSError(errno.ENAMETOOLONG, "x", "l"), 2, "Cannot use l: File name too long."),
        (OSError(errno.ENOSPC, "x", "/out"), 4, "Cannot use /out: No space left on device."),
        (OSError(errno.EDQUOT, "x"), 4, "Cannot go on: Disk quota exceeded."),
        (OSError(errno.EMFILE, "x", "/out"), 4, "Cannot use /out: Too many open files."),
        (pl.exceptions.ComputeError("No such (os error 28)"), 4, "Cannot go on: No space left"),
        (MemoryError(), 4, "Cannot go on: no memory is left."),
        (
            ModuleNotFoundError("No module named 'x'", name="x"),
            2,
            "Cannot go on: a part of the installation is missing (No module named 'x').",
        ),
        (
            OSError("libx.so.1: cannot open shared object file: No such file or directory"),
            2,
            "Cannot go on: a part of the installation is missing (libx.so.1: cannot open",
        ),
    ],
)
def test_what_the_system_refuses_is_told_from_what_no_path_would_mend(
    error: Exception, code: int, said: str
) -> None:
    found = refused_by_system(error)
    assert found is not None
    assert (found.exit_code, str(found)[: len(said)]) == (code, said)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("a"),
        OSError("of a library"),
        OSError(errno.EBADF, "x", "/out"),
        OSError(errno.EINVAL, "x"),
        ProcessLookupError(errno.ESRCH, "x"),
        ValueError("b"),
        ImportError("cannot import name 'x' from 'tasks.y'", name="tasks.y"),
    ],
)
def test_what_the_system_did_not_say_stays_a_bug(error: Exception) -> None:
    assert refused_by_system(error) is None
