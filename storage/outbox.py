"""The outbox: events that a commit announces. They are sent after the commit, at least once.

Belongs here: storing events in the transaction they announce, listing those not sent, marking them
as sent. Does not belong here: sending them (``tasks.reporting.events``).
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
    """An event to be sent once its cause is stored."""

    key: str
    """Identifies the event: an event with a key that is already stored is not stored again."""
    event: str
    """Its name, such as ``noctule.batch.scored``."""
    payload: Mapping[str, object]
    """Values that JSON can hold."""


@dataclass(frozen=True, kw_only=True)
class PendingEvent(OutboxEvent):
    """An event that is stored but not yet sent."""

    outbox_id: int
    created_at: datetime


def announce(connection: Connection, events: Sequence[OutboxEvent], now: datetime) -> None:
    """Store events in the transaction that they announce; those already stored stay unchanged."""
    for told in events:
        connection.execute(
            insert_or_update(connection, outbox)
            .values(
                event_key=told.key, event=told.event, payload=dict(told.payload), created_at=now
            )
            .on_conflict_do_nothing(index_elements=[outbox.c.event_key])
        )


def pending_events(engine: Engine, limit: int = 1_000) -> list[PendingEvent]:
    """Return the events that were not sent, oldest first."""
    query = (
        sa.select(
            outbox.c.outbox_id,
            outbox.c.event_key.label("key"),
            outbox.c.event,
            outbox.c.payload,
            outbox.c.created_at,
        )
        .where(outbox.c.published_at.is_(None))
        .order_by(outbox.c.outbox_id)
        .limit(limit)
    )
    with read(engine) as connection:
        return [PendingEvent(**row) for row in connection.execute(query).mappings()]


def mark_published(engine: Engine, outbox_ids: Sequence[int], now: datetime) -> None:
    """Record that events were sent, so that they are not sent again."""
    with write(engine) as connection:
        connection.execute(
            sa.update(outbox)
            .where(outbox.c.outbox_id.in_(outbox_ids), outbox.c.published_at.is_(None))
            .values(published_at=now)
        )
