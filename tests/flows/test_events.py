"""Events leave the outbox once Prefect has taken them; an event sent twice is one event."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa
from prefect.settings import PREFECT_API_URL, temporary_settings
from sqlalchemy import Engine

from flows.nightly import nightly
from storage.database import connect, write
from storage.outbox import OutboxEvent, announce, pending_events
from storage.schema import outbox
from tasks.reporting.events import publish_events

if TYPE_CHECKING:
    from tests.support.prefect_servers import Server

pytestmark = pytest.mark.usefixtures("pandas_validation")

NOW = datetime(2026, 11, 2, 4, 30, tzinfo=UTC)


@pytest.fixture
def engine_of_home(home: Path) -> Iterator[Engine]:
    engine = connect(None, home)
    yield engine
    engine.dispose()


@pytest.fixture
def tell(engine_of_home: Engine) -> Callable[..., None]:
    """Put events into the outbox, which the session's server has not heard of."""

    def write_events(*keys: str, event: str = "noctule.batch.scored") -> None:
        told = [OutboxEvent(key=key, event=event, payload={"batch_id": key}) for key in keys]
        with write(engine_of_home) as connection:
            announce(connection, told, datetime.now(UTC))

    return write_events


@pytest.fixture
def heard(server: "Server", wait_for: Callable[..., Any]) -> Callable[[int], list[str]]:
    """Wait until the server has written so many events of a run of this test; their batches."""
    since = datetime.now(UTC).isoformat()

    def read(least: int) -> list[str]:
        chosen = {"event": {"prefix": ["noctule."]}, "occurred": {"since": since}}

        def look() -> list[str]:
            found = server.read("events", filter=chosen, limit=50)["events"]
            batches = [one["payload"]["batch_id"] for one in found]
            return batches if len(batches) >= least else []

        return sorted(wait_for(look, limit_s=30))

    return read


def waiting(engine: Engine) -> list[str]:
    return [told.key for told in pending_events(engine)]


def test_an_event_waits_while_no_server_takes_it(
    engine_of_home: Engine, tell: Callable[..., None]
) -> None:
    tell("a", "b")
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}),
        pytest.raises(httpx.ConnectError),
    ):
        publish_events(engine_of_home, NOW)
    assert waiting(engine_of_home) == ["a", "b"]


def test_an_event_that_is_sent_twice_is_one_event(
    engine_of_home: Engine, tell: Callable[..., None], heard: Callable[[int], list[str]]
) -> None:
    first, second = sorted(uuid4().hex for _ in range(2))
    tell(first)
    assert publish_events(engine_of_home, NOW) == 1
    assert waiting(engine_of_home) == []
    with write(engine_of_home) as connection:  # as if the run had been killed before it marked
        connection.execute(sa.update(outbox).values(published_at=None))
    tell(second)
    assert publish_events(engine_of_home, NOW) == 2
    assert heard(2) == [first, second]


def test_an_event_that_the_server_refuses_keeps_no_other_waiting(
    engine_of_home: Engine, tell: Callable[..., None], heard: Callable[[int], list[str]]
) -> None:
    bad, good = uuid4().hex, uuid4().hex
    tell(bad, event="noctule." + "x" * 2_000)  # longer than the server's own limit
    tell(good)
    with pytest.raises(httpx.HTTPStatusError):
        publish_events(engine_of_home, NOW)
    assert waiting(engine_of_home) == [bad]
    assert heard(1) == [good]


def test_a_night_without_a_new_file_sends_what_an_earlier_one_left(
    engine_of_home: Engine, tell: Callable[..., None], heard: Callable[[int], list[str]]
) -> None:
    left = uuid4().hex
    tell(left)
    assert nightly(return_state=True).is_completed()
    assert waiting(engine_of_home) == []
    assert heard(1) == [left]
