"""Telling Prefect what is stored: the outbox's events, each until the server has taken it.

Belongs here: sending. Does not belong here: which events there are (the stages write them with what
they tell of) or how they are kept (``storage.outbox``).

Prefect's ``emit_event`` only queues: a process that is killed, or a server that is away, loses what
was queued without a word. So an event is posted to the API, and marked when the server has said
that it took it. One that was taken but not marked goes out again under the same id, by which the
server drops it.
"""

from datetime import datetime
from uuid import NAMESPACE_OID, uuid5

from sqlalchemy import Engine

from storage.outbox import PendingEvent, mark_published, pending_events
from tasks.task import task


def publish_events(engine: Engine, now: datetime) -> int:
    """Send the events that wait in the outbox to Prefect, oldest first.

    Args:
        engine: the database.
        now: the present.

    Returns:
        How many were sent.

    Raises:
        httpx.HTTPError: the server does not answer, or refuses an event. What it took before is
            marked, what it refused waits, and keeps no later event waiting.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    taken: list[int] = []
    refused: list[PrefectHTTPStatusError] = []
    with get_client(sync_client=True) as client:
        try:
            for told in pending_events(engine):
                try:
                    client.request("POST", "/events", json=[_as_sent(told)])
                except PrefectHTTPStatusError as error:
                    refused.append(error)
                else:
                    taken.append(told.outbox_id)
        finally:
            mark_published(engine, taken, now)
    if refused:
        raise refused[0]
    return len(taken)


def _as_sent(told: PendingEvent) -> dict[str, object]:
    """Return an event in the form of Prefect's API, under an id that is the same each time."""
    return {
        "id": str(uuid5(NAMESPACE_OID, told.key)),
        "event": told.event,
        "occurred": told.created_at.isoformat(),
        "resource": {"prefect.resource.id": f"noctule.{told.key}"},
        "payload": dict(told.payload),
    }


# Whatever was taken is marked: a second try sends the rest.
publish_events_task = task(publish_events, name="publish events", retries=1)
