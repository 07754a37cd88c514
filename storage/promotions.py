"""The history of champions: promotions and rollbacks.

Belongs here: reading and extending that history. Does not belong here: whether a version may be
promoted, or its files (``model_store``).
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from expectations.errors import UsageError
from storage.database import read
from storage.schema import promotion


def require_reason(change: str, what: str, reason: str) -> None:
    """Refuse an empty reason.

    Raises:
        UsageError: the reason is empty.
    """
    if not reason.strip():
        message = f"Cannot {change} {what}: --reason is empty. Give a reason; the history shows it."
        raise UsageError(message)


def list_champions(connection: Connection, contract: str) -> list[str]:
    """Return the promotions that were not undone, oldest first; the last one is the champion."""
    return _replay_history(connection, contract)[0]


def list_rolled_back(engine: Engine, contract: str) -> dict[str, str]:
    """Return the versions whose last promotion was undone, each with the reason."""
    with read(engine) as connection:
        return _replay_history(connection, contract)[1]


def _replay_history(connection: Connection, contract: str) -> tuple[list[str], dict[str, str]]:
    """Return the promotions in force, and the undone versions with their reasons."""
    rows = connection.execute(
        sa.select(promotion.c.kind, promotion.c.model_version_id, promotion.c.reason)
        .where(promotion.c.contract == contract)
        .order_by(promotion.c.promotion_id)
    )
    line: list[str] = []
    undone: dict[str, str] = {}
    for kind, version, reason in rows:
        if kind == "rollback":
            undone[line.pop()] = reason
        else:
            line.append(version)
            undone.pop(version, None)
    return line, undone


def append_change(
    connection: Connection,
    contract: str,
    version: str,
    kind: str,
    who: str,
    reason: str,
    now: datetime,
) -> None:
    """Add a promotion or a rollback, in the caller's transaction."""
    connection.execute(
        sa.insert(promotion).values(
            contract=contract,
            model_version_id=version,
            kind=kind,
            promoted_by=who,
            reason=reason,
            promoted_at=now,
        )
    )
