"""A database is opened with one query for its revision; another program's database is refused."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from expectations.errors import UsageError
from flows.places import open_database
from flows.settings import Settings, load_settings
from storage.database import connect, show_address, write
from storage.queries import batch_rows


def use_database(patch: pytest.MonkeyPatch, url: str | None, home: Path) -> Settings:
    """Read settings that name a database."""
    patch.setenv("NOCTULE_HOME", str(home))
    if url is not None:
        patch.setenv("NOCTULE_DATABASE_URL", url)
    return load_settings()


@pytest.fixture
def settings(database: tuple[str | None, Path], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Name a database with the schema."""
    return use_database(monkeypatch, *database)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Name a database without the schema."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None
    return use_database(monkeypatch, url, tmp_path)


def test_opening_a_database_asks_for_its_revision_once(settings: Settings) -> None:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM alembic_version" in statement:
            asked.append(statement)

    sa.event.listen(Engine, "before_cursor_execute", note)
    try:
        with open_database(settings):
            pass
    finally:
        sa.event.remove(Engine, "before_cursor_execute", note)
    assert len(asked) == 1


def test_a_database_that_holds_nothing_gets_its_tables_when_it_is_opened(empty: Settings) -> None:
    with open_database(empty) as engine:
        assert batch_rows(engine) == []


@pytest.mark.parametrize(
    ("table", "way_out"), [("invoice", "noctule db upgrade"), ("run", "another database")]
)
def test_a_database_with_tables_of_another_is_refused_and_left_as_it_is(
    empty: Settings, table: str, way_out: str
) -> None:
    engine = connect(empty.database_address, empty.home)
    with write(engine) as connection:
        connection.execute(sa.text(f"CREATE TABLE {table} (a INTEGER)"))
    place = re.escape(show_address(engine.url))
    complaint = rf"{place}.*\({table}\).*{way_out}"
    with pytest.raises(UsageError, match=complaint) as caught, open_database(empty):
        pass
    assert caught.value.exit_code == 2
    assert sa.inspect(engine).get_table_names() == [table]
    engine.dispose()
