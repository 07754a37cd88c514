"""The outbox: events that a commit announces, sent after it and at least once.

Belongs here: writing events with what they tell of, listing those not yet sent, marking them sent.
Does not belong here: sending (a flow does).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from storage.database import insert_or_update, read, write
from storage.schema import outbox


@dataclass(frozen=True, kw_only=True)
class OutboxEvent:
    """Something that happened, to be told once it is stored."""

    key: str
    """What makes it this event: a second one of the same key is the same event."""
    event: str
    """Its name, such as ``noctule.batch.scored``."""
    payload: Mapping[str, object]
    """JSON-able facts."""


@dataclass(frozen=True, kw_only=True)
class PendingEvent(OutboxEvent):
    """An event that is stored and not yet sent."""

    outbox_id: int
    created_at: datetime


def announce(connection: Connection, events: Sequence[OutboxEvent], now: datetime) -> None:
    """Write events within the transaction that makes them true; those known stay as they are."""
    for told in events:
        connection.execute(
            insert_or_update(connection, outbox)
            .values(
                event_key=told.key, event=told.event, payload=dict(told.payload), created_at=now
            )
            .on_conflict_do_nothing(index_elements=[outbox.c.event_key])
        )


def pending_events(engine: Engine, limit: int = 1_000) -> list[PendingEvent]:
    """List the events not yet sent, oldest first."""
    query = (
        sa.select(outbox)
        .where(outbox.c.published_at.is_(None))
        .order_by(outbox.c.outbox_id)
        .limit(limit)
    )
    with read(engine) as connection:
        return [
            PendingEvent(
                outbox_id=row.outbox_id,
                key=row.event_key,
                event=row.event,
                payload=row.payload,
                created_at=row.created_at,
            )
            for row in connection.execute(query)
        ]


def mark_published(engine: Engine, outbox_ids: Sequence[int], now: datetime) -> None:
    """Note that events were sent, so that they are not sent again."""
    with write(engine) as connection:
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.outbox_id.in_(outbox_ids), outbox.c.published_at.is_(None))
            .values(published_at=now)
        )
