"""Send the outbox's events to Prefect, each until the server has accepted it.

Belongs here: sending. Does not belong here: which events there are (a stage writes them in the
transaction that they report) or how they are kept (``storage.outbox``).

Prefect's ``emit_event`` only queues: if the process is killed or no server answers, the queued
events are lost without a message. So an event is posted to the API and marked once the server has
accepted it. An event that was accepted but not marked is sent again under the same id, and the
server drops it.
"""

from datetime import datetime
from uuid import NAMESPACE_OID, uuid5

from sqlalchemy import Engine

from storage.outbox import PendingEvent, mark_published, pending_events
from tasks.task import task


def publish_events(engine: Engine, now: datetime) -> int:
    """Send the events that wait in the outbox to Prefect, oldest first.

    Returns:
        How many were sent.

    Raises:
        httpx.HTTPError: the server does not answer, or refuses an event. Accepted events are
            marked. A refused event stays in the outbox; later events are still sent.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    accepted: list[int] = []
    refused: list[PrefectHTTPStatusError] = []
    with get_client(sync_client=True) as client:
        try:
            for event in pending_events(engine):
                try:
                    client.request("POST", "/events", json=[_to_request(event)])
                except PrefectHTTPStatusError as error:
                    refused.append(error)
                else:
                    accepted.append(event.outbox_id)
        finally:
            mark_published(engine, accepted, now)
    if refused:
        raise refused[0]
    return len(accepted)


def _to_request(event: PendingEvent) -> dict[str, object]:
    """Return an event in the form of Prefect's API, with an id that is the same each time."""
    return {
        "id": str(uuid5(NAMESPACE_OID, event.key)),
        "event": event.event,
        "occurred": event.created_at.isoformat(),
        "resource": {"prefect.resource.id": f"noctule.{event.key}"},
        "payload": dict(event.payload),
    }


# Accepted events are marked: a second try sends the rest.
publish_events_task = task(publish_events, name="publish events", retries=1)
