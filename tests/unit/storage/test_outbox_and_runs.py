"""Events wait until they are sent; runs are opened and closed."""

from types import SimpleNamespace

import pytest
from sqlalchemy.exc import IntegrityError

from storage import schema
from storage.outbox import OutboxEvent, mark_published, pending_events
from storage.runs import finish_run, start_run


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
    run_id = start_run(
        example.engine, "nightly", result.started_at, batch_id="ab" * 32, flow_run_id="f-1"
    )
    (opened,) = example.read(schema.run)
    assert (opened["state"], opened["finished_at"]) == ("running", None)
    finish_run(example.engine, run_id, "failed", "rejected: a\0b", result.finished_at)
    (closed,) = example.read(schema.run)
    assert (closed["state"], closed["message"]) == ("failed", r"rejected: a\x00b")
    assert closed["finished_at"] == result.finished_at


def test_a_state_that_is_not_known_is_refused(example: SimpleNamespace) -> None:
    result = example.result()
    run_id = start_run(example.engine, "nightly", result.started_at)
    with pytest.raises(IntegrityError, match="ck_run_state"):
        finish_run(example.engine, run_id, "vanished", "", result.finished_at)
