"""Events wait until they are sent; runs are opened and closed."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from storage import schema
from storage.database import lock_name
from storage.outbox import OutboxEvent, mark_published, pending_events
from storage.runs import close_killed_runs, find_ended, finish_run, open_run


def test_events_wait_in_order_until_they_are_marked(example: SimpleNamespace) -> None:
    events = tuple(OutboxEvent(key=key, event="e", payload={"at": key}) for key in "cab")
    example.commit(events=events)
    now = example.result().finished_at
    first, second, third = pending_events(example.engine)
    assert [event.key for event in (first, second, third)] == ["c", "a", "b"]
    assert first.payload == {"at": "c"}
    mark_published(example.engine, [first.outbox_id, third.outbox_id], now)
    assert [event.key for event in pending_events(example.engine)] == ["a"]


def test_an_event_that_was_sent_is_not_written_again(example: SimpleNamespace) -> None:
    example.commit()
    (sent,) = pending_events(example.engine)
    mark_published(example.engine, [sent.outbox_id], example.result().finished_at)
    example.commit()
    assert pending_events(example.engine) == []


def test_marking_nothing_is_allowed(example: SimpleNamespace) -> None:
    mark_published(example.engine, [], example.result().finished_at)


def test_a_run_is_closed_with_its_message(example: SimpleNamespace) -> None:
    result = example.result()
    with open_run(
        example.engine, "nightly", result.started_at, batch_id="ab" * 32, flow_run_id="f-1"
    ) as run_id:
        (opened,) = example.read(schema.run)
        assert (opened["state"], opened["finished_at"]) == ("running", None)
        finish_run(example.engine, run_id, "failed", "rejected: a\0b", result.finished_at)
    (closed,) = example.read(schema.run)
    assert (closed["state"], closed["message"]) == ("failed", r"rejected: a\x00b")
    assert closed["finished_at"] == result.finished_at


def test_a_state_that_is_not_known_is_refused(example: SimpleNamespace) -> None:
    result = example.result()
    with (
        open_run(example.engine, "nightly", result.started_at) as run_id,
        pytest.raises(IntegrityError, match="ck_run_state"),
    ):
        finish_run(example.engine, run_id, "vanished", "", result.finished_at)


# Opens a run, says so, and waits to be killed.
VICTIM = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from storage.database import connect
from storage.runs import open_run

url, home = sys.argv[1:]
with open_run(connect(url or None, Path(home)), "nightly", datetime.now(UTC)):
    print("running", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_was_killed_is_closed_and_one_that_lives_is_not(
    example: SimpleNamespace, database: tuple[str | None, Path]
) -> None:
    now = example.result().finished_at
    url, home = database
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM, url or "", str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        (row,) = example.read(schema.run)
        close_killed_runs(example.engine, now)
        assert [one["state"] for one in example.read(schema.run)] == ["running"]
        process.kill()
    wait_for_session(example.engine, f"run {row['run_id']}")

    with open_run(example.engine, "train", now):
        close_killed_runs(example.engine, now)
        killed, alive = example.read(schema.run)
        assert (killed["state"], killed["message"]) == ("failed", "ended without a word (killed?)")
        assert killed["finished_at"] == now
        assert alive["state"] == "running"
    if url is None:
        assert list((home / "noctule.db-runs").iterdir()) == []


def test_a_run_that_ended_by_itself_keeps_its_own_words(example: SimpleNamespace) -> None:
    now = example.result().finished_at
    with open_run(example.engine, "nightly", now) as run_id:
        finish_run(example.engine, run_id, "completed", "all well", now)
    close_killed_runs(example.engine, now)
    assert [one["message"] for one in example.read(schema.run)] == ["all well"]


def test_a_run_has_ended_when_its_latest_try_has_and_prefect_had_time_to_hear_of_it(
    example: SimpleNamespace,
) -> None:
    now = example.result().finished_at
    later = now + timedelta(minutes=1)
    for flow_run_id, ended_at in (("long ago", now), ("just now", later), ("again", now)):
        with open_run(example.engine, "nightly", now, flow_run_id=flow_run_id) as run_id:
            finish_run(example.engine, run_id, "completed", "all well", ended_at)
    with open_run(example.engine, "nightly", now, flow_run_id="killed"):
        pass  # ends without a word
    assert close_killed_runs(example.engine, later) == ["killed"]

    with open_run(example.engine, "nightly", now, flow_run_id="again"):
        asked = ["long ago", "just now", "again", "killed", "of another program"]
        assert find_ended(example.engine, dict.fromkeys(asked, now), later) == {
            "long ago": "all well",
            "killed": "ended without a word (killed?)",
        }
        retried = dict.fromkeys(asked, later + timedelta(seconds=1))
        assert find_ended(example.engine, retried, later + timedelta(minutes=5)) == {}


def test_runs_that_begin_at_once_close_the_killed_ones_and_not_the_one_that_lives(
    example: SimpleNamespace,
) -> None:
    now = example.result().finished_at
    for _ in range(60):
        with open_run(example.engine, "batch", now):
            pass  # ends without a word

    with open_run(example.engine, "nightly", now), ThreadPoolExecutor(4) as threads:
        list(threads.map(close_killed_runs, [example.engine] * 4, [now] * 4))
        *killed, alive = example.read(schema.run)
    assert [one["state"] for one in killed] == ["failed"] * 60
    assert alive["state"] == "running"


def wait_for_session(engine: Engine, name: str) -> None:
    """Return once a dead owner's session is gone, which PostgreSQL notices in its own time."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execute(sa.text("SET LOCAL statement_timeout = '20s'"))
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock_name(name))))
