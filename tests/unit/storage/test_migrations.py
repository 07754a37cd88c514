"""A database of any earlier revision, with data, is upgraded completely or not at all."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from expectations.errors import UsageError
from expectations.registry import own_contracts
from storage.batches import find_batch
from storage.check.tables import check_tables
from storage.check.work import check_work
from storage.claims import claim
from storage.database import connect, write
from storage.growth import KnownRows
from storage.replays import find_target, read_open_rows
from storage.revisions import _alembic_config, require_schema, status, upgrade
from storage.views import views
from tests.unit.storage.conftest import commit, deliver
from tests.unit.storage.old_rows import (
    ADDED,
    PLAIN,
    RECEIVED,
    REJECTED,
    REJECTED_DELIVERY,
    RENAMED,
    Row,
)

OLD_VIEW = "SELECT batch_id, status FROM batch"

REVISIONS = tuple(
    script.revision
    for script in reversed(list(ScriptDirectory.from_config(_alembic_config()).walk_revisions()))
)
HEAD = REVISIONS[-1]


def rows_at(revision: str) -> dict[str, list[Row]]:
    """Return all rows of a database of a revision, by table."""
    made: dict[str, list[Row]] = {}
    for one in REVISIONS[: REVISIONS.index(revision) + 1]:
        made = rename(made, [one])
        for table, rows in ADDED.get(one, {}).items():
            made.setdefault(table, []).extend(rows)
    return made


def rename(rows: dict[str, list[Row]], revisions: Sequence[str]) -> dict[str, list[Row]]:
    """Call the columns of rows what some revisions call them."""
    for revision in revisions:
        for table, names in RENAMED.get(revision, {}).items():
            rows[table] = [
                {names.get(name, name): value for name, value in row.items()} for row in rows[table]
            ]
    return rows


# A database as an earlier version left it


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str | None, Path]:
    """Name an empty database: the arguments of ``connect``."""
    is_sqlite = request.param == "sqlite"
    return None if is_sqlite else request.getfixturevalue("postgres_url"), tmp_path


@pytest.fixture
def old(place: tuple[str | None, Path]) -> Iterator[Engine]:
    """Reach that database."""
    engine = connect(*place)
    yield engine
    engine.dispose()


def make(engine: Engine, revision: str) -> None:
    """Make a database of an earlier revision, with its data and its views."""
    with write(engine) as connection:
        command.upgrade(_alembic_config(connection), revision)
        rows = rows_at(revision)
        for table in reflect(connection).sorted_tables:
            for row in rows.get(table.name, ()):
                values = {name: _stored(table.c[name], value) for name, value in row.items()}
                connection.execute(sa.insert(table).values(values))
        if engine.dialect.name == "postgresql":
            _set_sequences(connection)
        for view in views(engine.dialect.name):  # in the words of another time
            connection.exec_driver_sql(f"CREATE VIEW {view.name} AS {OLD_VIEW}")


def reflect(connection: sa.Connection) -> sa.MetaData:
    found = sa.MetaData()
    found.reflect(connection)
    return found


def _stored(column: sa.Column[Any], value: object) -> object:
    """Return a value as its database keeps it: SQLite has no time zones."""
    if isinstance(value, datetime) and not getattr(column.type, "timezone", False):
        return value.replace(tzinfo=None)
    return value


def _set_sequences(connection: sa.Connection) -> None:
    """Let the next key follow those that were inserted, as if they had been drawn."""
    for table in reflect(connection).sorted_tables:
        for column in table.primary_key:
            if column.autoincrement is True or str(column.server_default or "").strip():
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'),"  # noqa: S608 - names of the schema
                    f" (SELECT max({column.name}) FROM {table.name}))"
                )


def read_all(engine: Engine) -> dict[str, list[Row]]:
    """Read every row of every table, by the names of the columns it has."""
    with engine.connect() as connection:
        return {
            table.name: sorted(
                (dict(row) for row in connection.execute(sa.select(table)).mappings()), key=repr
            )
            for table in reflect(connection).sorted_tables
            if table.name != "alembic_version"
        }


def assert_upgraded(engine: Engine, before: dict[str, list[Row]], folder: Path) -> None:
    """Nothing is lost, what is new is empty, and the first new night is like any other."""
    require_schema(status(engine))
    after = read_all(engine)
    before = rename(before, REVISIONS)
    for name, rows in before.items():
        old_names = list(rows[0])
        kept = sorted(({key: row[key] for key in old_names} for row in after[name]), key=repr)
        assert kept == rows, name
        new_names = set(after[name][0]) - set(old_names)
        assert all(row[key] is None for row in after[name] for key in new_names), name
    assert all(not after[name] for name in set(after) - set(before) - {"dismissal"})
    (dismissed,) = after["dismissal"]
    assert dismissed["delivery_id"] == REJECTED_DELIVERY
    assert dismissed["reason"] == "rejected before Noctule kept which rejections are open"
    assert_views_answer(engine, after)
    assert list(check_tables(engine)) == []
    assert {finding.subject for finding in check_work(engine, folder)} == {
        f"batch {RECEIVED}", "run 3", "outbox"
    }  # fmt: skip
    assert_goes_on(engine, folder)


def assert_views_answer(engine: Engine, rows: dict[str, list[Row]]) -> None:
    """Every view has a row of what lies below it."""
    expected = {
        "batch_summary": len(rows["batch"]),
        "open_rejections": 0,
        "flagged_connections": len(rows["flagged_connection"]),
        **dict.fromkeys((f"flagged_{name}" for name in own_contracts()), 0),
        "flagged_nsl_kdd": len(rows["flagged_connection"]),
        "quarantined_rows": len(rows["quarantined_row"]),
        "drift_summary": 1,
        "model_history": 3,
        "promotion_decisions": len(rows["promotion_decision"]),
        "shadow_comparison": len(rows["scoring_comparison"]),
    }
    with engine.connect() as connection:
        found = {
            view.name: len(connection.execute(sa.text(f"SELECT * FROM {view.name}")).all())  # noqa: S608 - our own name
            for view in views(engine.dialect.name)
        }
    assert found == expected


def assert_goes_on(engine: Engine, folder: Path) -> None:
    """Batches of before are finished, known, grown and replayed as if they had come today."""
    commit(engine, folder, RECEIVED, events=())
    grown = "9" * 64
    deliver(engine, grown, prefixes=(PLAIN,), content_bytes=900)
    with claim(engine, folder / grown, grown) as held:
        assert held is not None
        assert held.known == KnownRows(batch_id=PLAIN, size_bytes=400)
    target = find_target(engine, REJECTED)
    assert target is not None
    assert (target.rows_open, target.field_names) == (7, None)
    assert find_batch(engine, RECEIVED).status == "scored"
    assert [row for row, _, _ in read_open_rows(engine, RECEIVED)] == [2, 4]
    assert list(check_tables(engine)) == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_of_every_revision_is_upgraded_and_loses_nothing(
    old: Engine, revision: str, tmp_path: Path
) -> None:
    make(old, revision)
    before = read_all(old)
    empty = [
        name
        for name, rows in before.items()
        if not rows or any(all(row[key] is None for row in rows) for key in rows[0])
    ]
    assert not empty, f"ADDED has no row, or a column without a value, of {empty} at {revision}"
    assert upgrade(old).revision == HEAD
    assert_upgraded(old, before, tmp_path)


# What others made in it


@pytest.fixture
def old_sqlite(tmp_path: Path) -> Iterator[Engine]:
    """Reach an embedded database of revision 0003, with data in it."""
    engine = connect(None, tmp_path)
    make(engine, "0003")
    yield engine
    engine.dispose()


def execute(engine: Engine, *statements: str) -> None:
    with write(engine) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def ask(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def test_a_view_of_the_users_own_on_predictions_still_answers(old_sqlite: Engine) -> None:
    execute(
        old_sqlite,
        "CREATE VIEW mine AS SELECT row_number, anomaly_score FROM prediction",
        "CREATE VIEW mine_of_mine AS SELECT p.row_number FROM mine AS m, prediction AS p",
    )
    rows = ask(old_sqlite, "SELECT * FROM mine")
    texts = ask(old_sqlite, "SELECT sql FROM sqlite_master WHERE name LIKE 'mine%'")
    assert rows
    assert upgrade(old_sqlite).is_current
    assert ask(old_sqlite, "SELECT * FROM mine") == rows
    assert len(ask(old_sqlite, "SELECT * FROM mine_of_mine")) == len(rows) ** 2
    assert ask(old_sqlite, "SELECT sql FROM sqlite_master WHERE name LIKE 'mine%'") == texts
    assert ask(old_sqlite, "PRAGMA legacy_alter_table") == [(0,)]
    assert ask(old_sqlite, "PRAGMA foreign_key_check") == []
    assert ask(old_sqlite, "PRAGMA integrity_check") == [("ok",)]


def test_an_index_and_a_trigger_of_the_users_own_on_predictions_stay(old_sqlite: Engine) -> None:
    execute(
        old_sqlite,
        "CREATE TABLE seen (row_number BIGINT)",
        "CREATE INDEX mine_by_score ON prediction (anomaly_score)",
        "CREATE TRIGGER mine_notes AFTER INSERT ON prediction"
        " BEGIN INSERT INTO seen VALUES (new.row_number); END",
    )
    mine = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name LIKE 'mine%'"
    before = ask(old_sqlite, mine)
    upgrade(old_sqlite)
    assert ask(old_sqlite, mine) == before
    assert ask(old_sqlite, "SELECT * FROM seen") == [], "no prediction is new"
    execute(old_sqlite, "INSERT INTO prediction VALUES ('2026-11-20', 1, 99, NULL, 0, 0, 0)")
    assert ask(old_sqlite, "SELECT * FROM seen") == [(99,)]


def test_rows_of_the_users_own_that_refer_to_predictions_are_not_lost(old_sqlite: Engine) -> None:
    execute(
        old_sqlite,
        "CREATE TABLE mine (night DATE, scoring BIGINT, number BIGINT, FOREIGN KEY"
        " (night, scoring, number) REFERENCES prediction (batch_date, scoring_id, row_number)"
        " ON DELETE CASCADE)",
        "INSERT INTO mine SELECT batch_date, scoring_id, row_number FROM prediction",
    )
    before, seen = read_all(old_sqlite), see(old_sqlite)
    with pytest.raises(UsageError, match=r"by a foreign key \(mine\)\. .* Nothing was changed\."):
        upgrade(old_sqlite)
    assert (read_all(old_sqlite), see(old_sqlite)) == (before, seen)


# An upgrade that breaks off


class BreaksOffError(Exception):
    """What a test raises in the middle of an upgrade."""


def upgrade_up_to(engine: Engine, last: int) -> list[str]:
    """Upgrade, and break off after so many statements; return those that were executed."""
    statements: list[str] = []

    def executed(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)
        if len(statements) == last:
            raise BreaksOffError

    sa.event.listen(engine, "after_cursor_execute", executed)
    try:
        with suppress(BreaksOffError):
            upgrade(engine)
    finally:
        sa.event.remove(engine, "after_cursor_execute", executed)
    return statements


CATALOGUES = {
    "sqlite": ("SELECT type, name, sql FROM sqlite_master",),
    "postgresql": (
        "SELECT table_name, column_name, data_type FROM information_schema.columns",
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()",
        "SELECT conname FROM pg_constraint WHERE connamespace = current_schema()::regnamespace",
        "SELECT viewname, definition FROM pg_views WHERE schemaname = current_schema()",
    ),
}


def see(engine: Engine) -> list[str]:
    """See what there is: tables, columns, constraints, indexes, views, and the revision."""
    queries = (*CATALOGUES[engine.dialect.name], "SELECT version_num FROM alembic_version")
    with engine.connect() as connection:
        return [
            repr(tuple(row))
            for query in queries
            for row in sorted(connection.execute(sa.text(query)), key=repr)
        ]


@pytest.mark.parametrize("revision", [REVISIONS[0], REVISIONS[-2]])  # by way of those between
def test_an_upgrade_that_breaks_off_after_any_statement_has_changed_nothing(
    old: Engine, revision: str, tmp_path: Path
) -> None:
    make(old, revision)
    before, seen = read_all(old), see(old)
    statements: list[str] = []
    for last in count(1):
        statements = upgrade_up_to(old, last)
        if see(old) != seen:
            break
    made = [text for text in statements if text.startswith("CREATE VIEW")]
    assert len(made) == len(views(old.dialect.name)), "until then each upgrade broke off earlier"
    assert any(text.startswith("UPDATE alembic_version") for text in statements)
    assert_upgraded(old, before, tmp_path)


UPGRADE = """
import os, signal, sys
from pathlib import Path
import sqlalchemy as sa
from storage.database import connect
from storage.revisions import upgrade

url, home, last = sys.argv[1:]
engine = connect(url or None, Path(home))

@sa.event.listens_for(engine, "after_cursor_execute")
def die(connection, cursor, statement, *_):
    if statement.lstrip().startswith(last):
        os.kill(os.getpid(), signal.SIGKILL)

upgrade(engine)
"""


@pytest.mark.parametrize("last", ["CREATE TABLE", "UPDATE alembic_version", "CREATE VIEW"])
def test_an_upgrade_that_is_killed_leaves_the_old_schema_which_is_then_upgraded(
    old: Engine, place: tuple[str | None, Path], tmp_path: Path, last: str
) -> None:
    make(old, REVISIONS[0])
    before, seen = read_all(old), see(old)
    url, home = place
    killed = subprocess.run(
        [sys.executable, "-c", UPGRADE, url or "", home, last], check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert see(old) == seen
    assert upgrade(old).is_current
    assert_upgraded(old, before, tmp_path)
