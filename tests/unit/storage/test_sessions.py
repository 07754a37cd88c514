"""PostgreSQL sessions: encodings, poolers, schemas, and the options of the user."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import polars as pl
import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from expectations.errors import UsageError
from storage import schema
from storage.bulk import insert_frame
from storage.claims import lock_key
from storage.database import connect, read, write
from storage.revisions import require_schema, status, upgrade
from storage.sessions import option_names
from tests.support.postgresql import database_address, execute

NOWHERE = Path("unused")
TEXT = "prüf-ß 监控 🦇"

Pooled = Callable[..., AbstractContextManager[str]]


def with_query(url: str, **query: str) -> str:
    """Add to the query of an address."""
    return make_url(url).update_query_dict(query).render_as_string(hide_password=False)


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = connect(url, NOWHERE)
    try:
        yield engine
    finally:
        engine.dispose()


def shown(url: str, *names: str) -> list[str]:
    """Ask a session that is opened for what it is set to."""
    with opened(url) as engine, read(engine) as connection:
        return [connection.scalar(sa.text(f"SHOW {name}")) for name in names]


def refusal(url: str) -> str:
    """Try to connect, and return why that is refused."""
    with pytest.raises(UsageError) as refused:
        connect(url, NOWHERE)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)
    return str(refused.value)


# Encoding


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def encoding(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def encoded(postgres_server: str, encoding: str) -> Iterator[str]:
    """Make a database that stores text in another encoding."""
    name = f"in_{encoding.lower()}"
    execute(
        postgres_server,
        f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        " TEMPLATE template0",
    )
    yield database_address(postgres_server, name)
    execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_in_another_encoding_is_refused_with_how_to_make_one(
    encoded: str, encoding: str
) -> None:
    said = refusal(encoded)
    assert f"it stores text as {encoding}, and Noctule needs UTF8" in said
    statement = re.search(r"CREATE DATABASE name .*? TEMPLATE template0", said)
    assert statement is not None
    execute(encoded, statement[0].replace("name", "made_as_told"))
    with opened(database_address(encoded, "made_as_told")) as engine:
        assert status(engine).is_empty
    execute(encoded, "DROP DATABASE made_as_told WITH (FORCE)")


@pytest.mark.parametrize("asked", ["SQL_ASCII", "LATIN1", "EUC_JP"])
@pytest.mark.parametrize("where", ["environment", "address", "options", "role"])
def test_text_is_stored_as_it_came_whatever_encoding_the_client_is_told(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, asked: str, where: str
) -> None:
    url = postgres_url
    if where == "environment":
        monkeypatch.setenv("PGCLIENTENCODING", asked)
    elif where == "address":
        url = with_query(url, client_encoding=asked)
    elif where == "options":
        url = with_query(url, options=f"-c client_encoding={asked}")
    else:
        name = make_url(url).database
        execute(url, f"ALTER DATABASE {name} SET client_encoding = '{asked}'")
    table = sa.Table("t", sa.MetaData(), sa.Column("said", sa.Text))
    with opened(url) as engine:
        with write(engine) as connection:
            table.create(connection)
            connection.execute(table.insert(), {"said": TEXT})
            insert_frame(connection, table, pl.DataFrame({"said": [TEXT]}))
        with read(engine) as connection:
            assert connection.scalars(sa.select(table.c.said)).all() == [TEXT] * 2
    with psycopg.connect(postgres_url, client_encoding="utf8") as other:
        assert other.execute("SELECT DISTINCT said FROM t").fetchall() == [(TEXT,)]


# The user's own options


@pytest.mark.parametrize("where", ["address", "environment"])
def test_options_of_the_user_stay_and_ours_are_added(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    options = "-c work_mem=5MB -cstatement_timeout=7s --lock-timeout=8s"
    url = postgres_url
    if where == "address":
        url = with_query(url, options=options)
        monkeypatch.setenv("PGOPTIONS", "-c work_mem=6MB")  # which libpq has an address replace
    else:
        monkeypatch.setenv("PGOPTIONS", options)
    assert shown(url, "work_mem", "statement_timeout", "lock_timeout", "timezone") == [
        "5MB", "7s", "8s", "UTC",
    ]  # fmt: skip


def test_what_rows_depend_on_is_ours_whatever_the_user_asks(postgres_url: str) -> None:
    asked = {
        "timezone": "Asia/Tokyo",
        "datestyle": "German",
        "extra_float_digits": "-15",
        "default_transaction_isolation": "serializable",
    }
    options = " ".join(f"-c {name}={value}" for name, value in asked.items())
    with opened(with_query(postgres_url, options=options)) as engine, read(engine) as connection:
        assert connection.scalar(sa.text("SELECT 0.1::float8 + 0.2::float8")) == 0.1 + 0.2
        moment = connection.scalar(sa.text("SELECT timestamptz '2026-11-20 04:30+00'"))
        assert moment.isoformat() == "2026-11-20T04:30:00+00:00"
        assert connection.scalar(sa.text("SHOW transaction_isolation")) == "read committed"


def test_name_and_timeout_are_ours_only_where_the_user_gives_none(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(url: str) -> tuple[str, str | None]:
        with opened(url) as engine, read(engine) as connection:
            driver = connection.connection.driver_connection
            told = dict(
                item.decode().split("=", 1)
                for item in (
                    option.keyword + b"=" + (option.val or b"") for option in driver.pgconn.info
                )
            )
            return connection.scalar(sa.text("SHOW application_name")), told["connect_timeout"]

    assert found(postgres_url) == ("noctule", "10")
    given = with_query(postgres_url, application_name="night", connect_timeout="3")
    assert found(given) == ("night", "3")
    monkeypatch.setenv("PGAPPNAME", "cron")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "4")
    assert found(postgres_url) == ("cron", "4")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ("", []),
        ("-c search_path=a,b", ["search_path"]),
        ("-csearch_path=a --work-mem=5MB -e", ["search_path", "work_mem"]),
        (r"-c application_name=a\ --b=c -c TimeZone=UTC", ["application_name", "timezone"]),
    ],
)
def test_the_settings_that_options_are_about_are_named(options: str, names: list[str]) -> None:
    assert option_names(options) == names


@pytest.mark.parametrize(
    "query",
    [
        {"pasword": "s3cr3t"},
        {"connect_timeout": "soon"},
        {"options": "-c nosuch=1"},
        {"options": "-c work_mem=much"},
        {"options": "-c wal_level=minimal"},
        {"options": "nonsense"},
    ],
)
def test_a_wrong_option_of_the_address_is_named_and_no_value_of_a_password(
    postgres_url: str, query: dict[str, str]
) -> None:
    said = refusal(with_query(postgres_url, **query))
    assert next(iter(query)) in said
    assert "s3cr3t" not in said


# Schemas


@pytest.fixture
def two_schemas(postgres_url: str) -> tuple[str, str]:
    """Tell two Noctules in one database apart by their search paths, of which one sees both."""
    execute(postgres_url, "CREATE SCHEMA ids")
    execute(postgres_url, 'CREATE SCHEMA "Ot her"')
    first = with_query(postgres_url, options="-csearch_path=ids")
    return first, with_query(postgres_url, options=r'-c search_path="Ot\ her",ids,public')


def tables_in(url: str) -> dict[str, int]:
    """Count tables and views by schema."""
    with psycopg.connect(url) as connection:
        query = (
            "SELECT table_schema, count(*) FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema') GROUP BY 1"
        )
        return dict(connection.execute(query).fetchall())


def test_two_installations_in_two_schemas_share_nothing(
    two_schemas: tuple[str, str], postgres_url: str
) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(opened(url)) for url in two_schemas)
        require_schema(upgrade(first))
        assert status(second).is_empty, "the other's tables are in its search path"
        require_schema(upgrade(second))
        every = len(tables_of(first))
        assert tables_in(postgres_url) == {"ids": every, "Ot her": every}
        with write(second) as connection:
            connection.execute(sa.text("DROP VIEW batch_summary"))
        assert status(first).is_current
        assert status(second).stale_views == ("batch_summary",)
        assert upgrade(second).is_current
        with opened(postgres_url) as third:
            assert status(third).is_empty


def tables_of(engine: Engine) -> set[str]:
    inspector = sa.inspect(engine)
    return {*inspector.get_table_names(), *inspector.get_view_names()}


def test_rows_and_locks_of_two_schemas_are_apart(two_schemas: tuple[str, str]) -> None:
    frame = pl.DataFrame({"kind": ["nightly"], "state": ["running"], "started_at": ["2026-11-20"]})
    with ExitStack() as stack:
        first, second = (stack.enter_context(opened(url)) for url in two_schemas)
        for engine in (first, second):
            upgrade(engine)
        with write(second) as connection:
            insert_frame(connection, schema.run, frame)
        for engine, rows in ((first, 0), (second, 1)):
            with read(engine) as connection:
                count = sa.select(sa.func.count()).select_from(schema.run)
                assert connection.scalar(count) == rows
        with lock_key(first, "run 1") as ours, lock_key(second, "run 1") as theirs:
            assert ours
            assert theirs
            with lock_key(second, "run 1") as again:
                assert not again


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("absent", "CREATE SCHEMA absent;"),
        ("absent,public", "CREATE SCHEMA absent;"),
        (r'"Ab\ sent",\ public', 'CREATE SCHEMA "Ab sent";'),
        ("", "CREATE SCHEMA postgres;"),
    ],
)
def test_a_search_path_that_begins_with_no_schema_is_refused_and_nothing_goes_elsewhere(
    postgres_url: str, path: str, advice: str
) -> None:
    assert advice in refusal(with_query(postgres_url, options=f"-c search_path={path}"))


@pytest.mark.parametrize("path", ["public", "PUBLIC", '"$user",public', "public,absent"])
def test_a_search_path_with_a_schema_to_work_in_is_used(postgres_url: str, path: str) -> None:
    with opened(with_query(postgres_url, options=f"-c search_path={path}")) as engine:
        assert upgrade(engine).is_current
    assert set(tables_in(postgres_url)) == {"public"}


def test_a_table_that_was_taken_away_is_named(postgres_url: str) -> None:
    with opened(postgres_url) as engine:
        upgrade(engine)
        with write(engine) as connection:
            connection.execute(sa.text("DROP TABLE outbox"))
        for refused in (lambda: require_schema(status(engine)), lambda: upgrade(engine)):
            with pytest.raises(UsageError, match=r"missing \(outbox\)\. Restore it"):
                refused()
        asked = pytest.raises(UsageError, match=r"missing: relation \"outbox\" does not exist")
        with asked, read(engine) as connection:
            connection.execute(sa.select(schema.outbox))


# Poolers

DROPPING = "extra_float_digits, options"


@pytest.mark.parametrize(
    "settings",
    [
        {"pool_mode": "transaction"},
        {"pool_mode": "transaction", "ignore_startup_parameters": DROPPING},
        {"pool_mode": "transaction", "default_pool_size": "1"},
        {"pool_mode": "transaction", "server_round_robin": "1", "min_pool_size": "2"},
        {"pool_mode": "statement"},
    ],
    ids=lambda settings: "-".join(settings.values()),
)
def test_a_pooler_that_shares_its_sessions_is_refused_by_name(
    pooled: Pooled, settings: dict[str, str]
) -> None:
    with pooled(**settings) as url:
        for _ in range(2):  # with a pool that is new, and one that is not
            said = refusal(url)
            assert "a connection pooler, such as PgBouncer, answers there" in said
            assert "Reach PostgreSQL directly, or through session pooling" in said


def test_a_busy_pool_is_told_from_sessions_of_ones_own(pooled: Pooled) -> None:
    with pooled(pool_mode="transaction") as url, ExitStack() as stack:
        for _ in range(3):  # others hold sessions in the middle of their transactions
            other = stack.enter_context(psycopg.connect(url))
            other.execute("SELECT 1")
        assert "PgBouncer" in refusal(url)


@pytest.mark.parametrize("ignored", ["", DROPPING])
def test_session_pooling_works_and_a_lock_is_gone_with_its_owner(
    pooled: Pooled, ignored: str
) -> None:
    given = {"ignore_startup_parameters": ignored} if ignored else {}
    with pooled(pool_mode="session", **given) as url:
        assert shown(url, "timezone", "client_encoding") == ["UTC", "UTF8"]
        with opened(url) as engine:
            with lock_key(engine, "b") as ours, lock_key(engine, "b") as theirs:
                assert (ours, theirs) == (True, False)
            with lock_key(engine, "b") as again:
                assert again


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_options_that_a_pooler_drops_or_refuses_are_told(pooled: Pooled, mode: str) -> None:
    with pooled(pool_mode=mode) as url:
        said = refusal(with_query(url, options="-c search_path=public"))
        assert "A connection pooler, such as PgBouncer, does not accept the options" in said
        assert "ALTER ROLE" in said
    with pooled(pool_mode=mode, ignore_startup_parameters=DROPPING) as url:
        said = refusal(with_query(url, options="-c search_path=public"))
        assert "PgBouncer" in said
        assert mode == "transaction" or "(search_path) have no effect there" in said
