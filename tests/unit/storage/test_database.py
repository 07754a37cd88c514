"""Addresses of databases, messages if one cannot be reached, and schema upgrades."""

import re
import socket
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, StatementError

from expectations.errors import ServiceUnavailableError, UsageError
from storage import schema
from storage.column_types import UtcTime
from storage.database import connect, read, show_address, write
from storage.revisions import require_schema, status, upgrade
from storage.views import views
from tests.support.postgresql import fresh_database

DATABASES = ("sqlite", "postgresql", "postgresql15")
SECRET = "s3cr3t"  # noqa: S105 - the password that must not be shown


@pytest.fixture(params=DATABASES)
def empty(
    request: pytest.FixtureRequest, server_named: Callable[[str], str], tmp_path: Path
) -> Engine:
    with ExitStack() as stack:
        url = None
        if request.param != "sqlite":
            url = stack.enter_context(fresh_database(server_named(request.param)))
        engine = connect(url, tmp_path)
        yield engine
        engine.dispose()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def run(engine: Engine, *statements: str) -> None:
    """Do what another program did to the database."""
    with write(engine) as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def everything(engine: Engine) -> set[str]:
    """Name the tables, views and indexes there are."""
    inspector = sa.inspect(engine)
    tables = inspector.get_table_names()
    indexes = {index["name"] for table in tables for index in inspector.get_indexes(table)}
    return {*tables, *inspector.get_view_names(), *indexes}


class TestAddress:
    def test_without_an_address_the_database_is_a_file_in_the_home(self, tmp_path: Path) -> None:
        engine = connect(None, tmp_path / "new" / "home")
        assert Path(engine.url.database) == tmp_path / "new" / "home" / "noctule.db"
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 120_000

    def test_a_sqlite_file_can_be_named(self, tmp_path: Path) -> None:
        engine = connect(f"sqlite:///{tmp_path}/other.db", tmp_path / "home")
        assert (tmp_path / "other.db").exists()
        assert show_address(engine.url) == f"{tmp_path}/other.db"

    @pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
    def test_postgresql_is_reached_under_each_of_its_names(
        self, postgres_url: str, scheme: str, tmp_path: Path
    ) -> None:
        engine = connect(postgres_url.replace("postgresql", scheme, 1), tmp_path)
        assert engine.driver == "psycopg"
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SHOW timezone")) == "UTC"
        engine.dispose()

    @pytest.mark.parametrize(
        "url",
        [f"mysql://user:{SECRET}@host/db", f"postgresql+asyncpg://user:{SECRET}@h/db", "sqlite://"],
    )
    def test_an_unknown_scheme_is_a_usage_error_that_names_those_known(self, url: str) -> None:
        with pytest.raises(UsageError, match=r"expected postgresql://.* or sqlite:///") as caught:
            connect(url, Path("unused"))
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            f"postgresql://user:{SECRET}/x@host:port/db",
            f"postgresql://user:a@{SECRET}@host/db",
            f"://{SECRET}",
            "postgresql",
        ],
    )
    def test_what_is_no_address_is_a_usage_error_that_shows_none_of_it(self, url: str) -> None:
        with pytest.raises(UsageError, match="Cannot read the database address") as caught:
            connect(url, Path("unused"))
        assert SECRET not in str(caught.value)
        assert caught.value.__suppress_context__

    @pytest.mark.parametrize(
        "place", ["user:{secret}@127.0.0.1:{port}/db", "u@127.0.0.1:{port}/db?password={secret}"]
    )
    def test_a_server_that_is_away_is_named_without_its_password(
        self, place: str, closed_port: int
    ) -> None:
        url = "postgresql://" + place.format(secret=SECRET, port=closed_port)
        with pytest.raises(ServiceUnavailableError, match=f"127.0.0.1:{closed_port}/db") as caught:
            connect(url, Path("unused"))
        assert SECRET not in str(caught.value)
        assert caught.value.exit_code == 4

    def test_a_database_that_does_not_exist_is_unavailable(self, postgres_url: str) -> None:
        missing = make_url(postgres_url).set(database="missing")
        with pytest.raises(ServiceUnavailableError, match='"missing" does not exist'):
            connect(missing.render_as_string(hide_password=False), Path("unused"))

    @pytest.mark.parametrize("obstacle", ["folder", "text"])
    def test_a_home_without_a_usable_file_is_unavailable(
        self, obstacle: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "noctule.db"
        if obstacle == "folder":
            path.mkdir()
        else:
            path.write_text("this is not a database, whatever its name says\n" * 100)
        with pytest.raises(ServiceUnavailableError, match=re.escape(str(path))):
            connect(None, tmp_path)

    def test_a_home_that_is_a_file_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "home").write_text("")
        with pytest.raises(ServiceUnavailableError, match="home"):
            connect(None, tmp_path / "home")


class TestTransactions:
    def test_a_server_that_goes_away_is_unavailable(self, postgres_url: str) -> None:
        engine = connect(postgres_url, Path("unused"))

        def lose_the_server() -> None:
            with write(engine) as broken, engine.connect() as other:
                pid = broken.connection.driver_connection.info.backend_pid
                other.execute(sa.select(sa.func.pg_terminate_backend(pid)))
                broken.execute(sa.text("SELECT 1"))

        with pytest.raises(ServiceUnavailableError, match="Cannot reach"):
            lose_the_server()
        engine.dispose()

    def test_a_locked_file_is_unavailable_after_its_timeout(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("storage.database.BUSY_TIMEOUT_S", 0.05)
        engine = connect(None, tmp_path)
        locked = pytest.raises(ServiceUnavailableError, match="locked")
        with write(engine), locked, write(engine):
            pass

    def test_a_full_disk_is_unavailable(self, tmp_path: Path) -> None:
        engine = connect(None, tmp_path)

        def fill() -> None:
            with write(engine) as connection:
                connection.exec_driver_sql("PRAGMA max_page_count = 2")
                connection.exec_driver_sql("CREATE TABLE t AS SELECT zeroblob(100000) AS a")

        with pytest.raises(ServiceUnavailableError, match="disk is full"):
            fill()

    def test_a_mistake_in_a_statement_is_not_taken_for_an_outage(self, empty: Engine) -> None:
        with pytest.raises(DBAPIError, match="nowhere"), read(empty) as connection:
            connection.execute(sa.text("SELECT * FROM nowhere"))

    def test_the_row_of_a_refused_statement_is_in_no_message(self, empty: Engine) -> None:
        insert, cell = sa.text("INSERT INTO t VALUES (:name, :number)"), f"{7:x>9}"
        with write(empty) as connection:
            connection.exec_driver_sql(
                "CREATE TABLE t (name TEXT PRIMARY KEY, number INTEGER CONSTRAINT ck_t CHECK"
                " (number > 0))"
            )
            connection.execute(insert, {"name": cell, "number": 1})
        for number, said in ((0, "ck_t"), (1, "(?i)unique")):
            with pytest.raises(DBAPIError, match=said) as caught, write(empty) as connection:
                connection.execute(insert, {"name": cell, "number": number})
            assert cell not in "".join(traceback.format_exception(caught.value))
            assert cell not in repr(caught.value)

    def test_readers_see_the_last_commit_while_a_writer_works(self, tmp_path: Path) -> None:
        engine = connect(None, tmp_path)
        with write(engine) as writer:
            writer.execute(sa.text("CREATE TABLE t AS SELECT 1 AS a"))
        with write(engine) as writer:
            writer.execute(sa.text("INSERT INTO t VALUES (2)"))
            with read(engine) as reader:
                assert reader.scalar(sa.text("SELECT count(*) FROM t")) == 1

    def test_an_error_inside_rolls_everything_back(self, empty: Engine) -> None:
        def fail() -> None:
            with write(empty) as connection:
                connection.execute(sa.text("CREATE TABLE t (a INTEGER)"))
                _ = 1 / 0

        with pytest.raises(ZeroDivisionError):
            fail()
        assert sa.inspect(empty).get_table_names() == []


class TestSchema:
    def test_an_empty_database_is_refused_with_the_command_to_run(self, empty: Engine) -> None:
        assert status(empty).is_absent
        with pytest.raises(UsageError, match=r"no Noctule schema yet.*noctule db upgrade"):
            require_schema(status(empty))

    def test_upgrade_makes_an_empty_database_current(self, empty: Engine) -> None:
        upgraded = upgrade(empty)
        assert upgraded.is_current
        assert upgraded.revision == upgraded.head
        require_schema(upgraded)

    def test_upgrade_puts_the_tables_beside_those_of_another(self, empty: Engine) -> None:
        run(empty, "CREATE TABLE invoice (a INTEGER)")
        with pytest.raises(UsageError, match=r"\(invoice\).*NOCTULE_DATABASE_URL.*db upgrade"):
            require_schema(status(empty))
        assert upgrade(empty).is_current
        assert "invoice" in status(empty).tables

    @pytest.mark.parametrize(
        "taken",
        [
            "TABLE run (a INTEGER)",
            "TABLE batch_summary (a INTEGER)",
            "VIEW batch_summary AS SELECT 1 AS a",
            "INDEX ix_batch_batch_date ON invoice (a)",
        ],
    )
    def test_what_has_a_name_of_ours_is_never_touched(self, empty: Engine, taken: str) -> None:
        run(empty, "CREATE TABLE invoice (a INTEGER)", f"CREATE {taken}")
        before = everything(empty)
        name = taken.split()[1]
        with pytest.raises(UsageError, match=rf"it already has something.*\({name}\)") as caught:
            upgrade(empty)
        assert "NOCTULE_DATABASE_URL" in str(caught.value)
        with pytest.raises(UsageError, match="it already has something") as refused:
            require_schema(status(empty))
        assert "db upgrade" not in str(refused.value), "it would be refused as well"
        assert everything(empty) == before

    def test_in_sqlite_a_name_is_taken_whatever_its_case(self, tmp_path: Path) -> None:
        engine = connect(None, tmp_path)
        run(engine, "CREATE TABLE Run (a INTEGER)")
        with pytest.raises(UsageError, match=r"it already has something.*\(run\)"):
            upgrade(engine)

    def test_in_postgresql_a_type_takes_a_name_as_well(self, postgres_url: str) -> None:
        engine = connect(postgres_url, Path("unused"))
        run(engine, "CREATE TYPE prediction AS ENUM ('low', 'high')")
        with pytest.raises(UsageError, match=r"it already has something.*\(prediction\)"):
            upgrade(engine)
        engine.dispose()

    def test_in_postgresql_only_the_schema_we_would_use_counts(self, postgres_url: str) -> None:
        engine = connect(postgres_url, Path("unused"))
        run(engine, "CREATE SCHEMA theirs", "CREATE TABLE theirs.run (a INTEGER)")
        assert status(engine).is_empty
        assert upgrade(engine).is_current
        engine.dispose()

    def test_a_database_that_another_program_migrates_is_left_to_it(self, empty: Engine) -> None:
        run(
            empty,
            "CREATE TABLE flow_run (a INTEGER)",
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
            "INSERT INTO alembic_version VALUES ('3457c6ca2360')",
        )
        with pytest.raises(UsageError, match=r"another program.*flow_run.*NOCTULE_DATABASE_URL"):
            require_schema(status(empty))
        with pytest.raises(UsageError, match="belongs to another program"):
            upgrade(empty)

    def test_of_many_tables_a_message_names_a_few(self, empty: Engine) -> None:
        run(empty, *(f"CREATE TABLE t{number} (a INTEGER)" for number in range(8)))
        with pytest.raises(UsageError, match=r"\(t0, t1, t2, t3, t4 and 3 more\)"):
            require_schema(status(empty))

    def test_upgrading_again_changes_nothing(self, engine: Engine) -> None:
        assert upgrade(engine) == status(engine)

    def test_the_revisions_make_the_tables_that_the_code_declares(self, engine: Engine) -> None:
        dialect = engine.dialect.name

        def is_ours(item: sa.Index | None, _name: str, kind: str, *_: object) -> bool:
            return kind != "index" or item.info.get("dialect", dialect) == dialect

        options = {"compare_type": True, "compare_server_default": True, "include_object": is_ours}
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, schema.metadata) == []

    def test_the_revisions_make_the_checks_that_the_code_declares(self, engine: Engine) -> None:
        declared = {
            table.name: {
                check.name for check in table.constraints if isinstance(check, sa.CheckConstraint)
            }
            for table in schema.metadata.sorted_tables
        }
        inspector = sa.inspect(engine)
        assert {
            name: {check["name"] for check in inspector.get_check_constraints(name)}
            for name in declared
        } == declared

    def test_a_database_of_a_newer_noctule_is_left_alone(self, engine: Engine) -> None:
        with write(engine) as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(UsageError, match="9999, which is newer"):
            require_schema(status(engine))
        with pytest.raises(UsageError, match="9999, which is newer"):
            upgrade(engine)

    def test_a_view_of_another_version_is_noticed_and_made_anew(self, engine: Engine) -> None:
        with write(engine) as connection:
            connection.execute(sa.text("DROP VIEW batch_summary"))
            connection.execute(sa.text("CREATE VIEW batch_summary AS SELECT 1 AS a"))
            connection.execute(sa.text("DROP VIEW model_history"))
        with pytest.raises(UsageError, match=r"\(batch_summary, model_history\).*db upgrade"):
            require_schema(status(engine))
        assert upgrade(engine).is_current

    def test_a_view_of_the_users_own_is_never_dropped(self, engine: Engine) -> None:
        with write(engine) as connection:
            connection.execute(sa.text("CREATE VIEW mine AS SELECT * FROM model_history"))
            connection.execute(sa.text("DROP VIEW batch_summary"))
        if engine.dialect.name == "postgresql":
            with pytest.raises(UsageError, match=r"mine.*Nothing was changed"):
                upgrade(engine)
            assert status(engine).stale_views == ("batch_summary",)
        else:
            assert upgrade(engine).is_current
        assert "mine" in sa.inspect(engine).get_view_names()

    def test_every_index_says_which_query_it_serves(self) -> None:
        indexes = [index for table in schema.metadata.sorted_tables for index in table.indexes]
        assert indexes
        assert all(index.info.get("serves") for index in indexes)

    def test_every_constraint_has_a_name(self, engine: Engine) -> None:
        inspector = sa.inspect(engine)
        for table in schema.metadata.tables:
            assert inspector.get_pk_constraint(table)["name"] == f"pk_{table}"
            named = inspector.get_unique_constraints(table)
            if engine.dialect.name == "sqlite":  # whose names SQLAlchemy misses beside a column
                query = sa.text("SELECT sql FROM sqlite_master WHERE name = :table")
                with engine.connect() as connection:
                    made = str(connection.scalar(query, {"table": table}))
                assert len(re.findall(r"CONSTRAINT fk_", made)) == made.count(" REFERENCES ")
            else:
                named += inspector.get_foreign_keys(table)
            assert all(found["name"].startswith(("fk_", "uq_")) for found in named)

    def test_a_time_without_a_zone_is_refused(self, engine: Engine) -> None:
        naive = datetime(2026, 1, 1)  # noqa: DTZ001 - the mistake that is to be refused
        query = sa.select(sa.literal(naive, UtcTime()))
        with pytest.raises(StatementError, match="needs a time zone"), read(engine) as connection:
            connection.execute(query)

    def test_times_come_back_in_utc_whatever_zone_they_were_given_in(self, engine: Engine) -> None:
        given = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
        values = {"kind": "nightly", "state": "running", "started_at": given}
        with write(engine) as connection:
            connection.execute(sa.insert(schema.run).values(values))
            found = connection.scalar(sa.select(schema.run.c.started_at))
        assert found.isoformat() == "2025-12-31T23:30:00+00:00"

    def test_views_are_made_in_an_order_that_works(self) -> None:
        assert views("sqlite")[0].name == "flagged_connections"
