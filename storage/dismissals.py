"""Dismissals: a person declares a rejected file settled, although none of it was scored.

Belongs here: dismissing. Does not belong here: which rejections are open (the view
``open_rejections``, which ``storage.queries`` reads), or rejecting a batch (``batches``).

A dismissal applies to the deliveries until then. If the same content is delivered once more, it is
rejected and open again.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from expectations.errors import UsageError
from storage.database import write
from storage.promotions import require_reason
from storage.queries import open_rejections
from storage.schema import batch, delivery, dismissal


def dismiss(
    engine: Engine, batch_id: str, *, who: str, reason: str, now: datetime
) -> tuple[str, ...]:
    """Dismiss the rejection of a batch, so that no later night reports it.

    For a rejected replay, the batch that it replays is dismissed. ``who`` is the system user;
    ``reason`` says why nothing more needs to be done.

    Returns:
        The names of the files that were open, in the order of their arrival.

    Raises:
        UsageError: the reason is empty, the batch is not rejected, or none of its files is open.
    """
    what = f"batch {batch_id[:16]}"
    require_reason("dismiss", what, reason)
    with write(engine) as connection:
        row = connection.execute(sa.select(batch).where(batch.c.batch_id == batch_id)).one()
        while row.status == "rejected" and row.replayed_batch_id is not None:
            batch_id = row.replayed_batch_id
            row = connection.execute(sa.select(batch).where(batch.c.batch_id == batch_id)).one()
            what = f"batch {batch_id[:16]}"
        if row.status != "rejected":
            is_not = "is not finished" if row.status == "received" else f"is {row.status}"
            message = (
                f"Cannot dismiss {what}: it {is_not}, and only a rejected file can be dismissed."
                " `noctule batches` shows the status of each. Nothing was changed."
            )
            raise UsageError(message)
        names = connection.scalars(
            sa.select(open_rejections.c.file_name)
            .where(open_rejections.c.batch_id == batch_id)
            .order_by(open_rejections.c.arrived_at, open_rejections.c.file_name)
        ).all()
        if not names:
            settled = _settled(connection, batch_id)
            message = f"Cannot dismiss {what}: {settled}. Nothing was changed."
            raise UsageError(message)
        is_dismissed = sa.exists().where(dismissal.c.delivery_id == delivery.c.delivery_id)
        open_deliveries = connection.scalars(
            sa.select(delivery.c.delivery_id).where(delivery.c.batch_id == batch_id, ~is_dismissed)
        )
        rows = [
            {"delivery_id": key, "reason": reason, "dismissed_by": who, "dismissed_at": now}
            for key in open_deliveries
        ]
        connection.execute(sa.insert(dismissal), rows)
    return tuple(names)


def _settled(connection: Connection, batch_id: str) -> str:
    """Return the reason why no file of a rejected batch is open."""
    last = connection.execute(
        sa.select(dismissal)
        .join(delivery, delivery.c.delivery_id == dismissal.c.delivery_id)
        .where(delivery.c.batch_id == batch_id)
        .order_by(dismissal.c.dismissed_at.desc())
        .limit(1)
    ).one_or_none()
    if last is None:
        return "it is not open: a replay or a later delivery has scored its rows since"
    return (
        f"{last.dismissed_by} already dismissed it on {last.dismissed_at:%Y-%m-%d}:"
        f" {last.reason[:200]}"
    )
