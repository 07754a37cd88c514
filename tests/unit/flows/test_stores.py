"""A database is opened with few questions; what a flow hands back outlives Prefect's memory."""

from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from prefect.client.schemas.objects import State, StateDetails, StateType
from sqlalchemy import Engine

from flows.settings import Settings, load_settings
from flows.stores import RunRecord, open_database, outcome_of


def refetched(flow_run_id: object, message: str = "done") -> State[object]:
    """A state as the server returns it when a request is repeated: without data."""
    return State(
        type=StateType.COMPLETED,
        message=message,
        state_details=StateDetails(flow_run_id=flow_run_id),
    )


def test_an_outcome_outlives_a_state_without_data() -> None:
    flow_run_id = uuid4()
    record = RunRecord(str(flow_run_id))
    record.end(State(type=StateType.COMPLETED, data=["22,544 rows"]))
    assert outcome_of(refetched(flow_run_id)) == ["22,544 rows"]


def test_an_error_outlives_a_state_without_data() -> None:
    flow_run_id = uuid4()
    error = ValueError("boom")
    RunRecord(str(flow_run_id)).keep(error)
    assert outcome_of(refetched(flow_run_id)) is error


def test_a_run_that_kept_nothing_is_told_by_its_message() -> None:
    outcome = outcome_of(refetched(uuid4(), "crashed before it began"))
    assert isinstance(outcome, RuntimeError)
    assert str(outcome) == "crashed before it began"


@pytest.fixture
def settings(database: tuple[str | None, Path], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that name a database with the schema."""
    url, home = database
    monkeypatch.setenv("NOCTULE_HOME", str(home))
    if url is not None:
        monkeypatch.setenv("NOCTULE_DATABASE_URL", url)
    return load_settings()


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
