"""The history of champions: every promotion and rollback, and what follows from it.

Belongs here: reading and adding to that history. Does not belong here: whether a version may be
promoted, or its files (``model_store``).
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from expectations.errors import UsageError
from storage.database import read
from storage.schema import promotion


def require_reason(change: str, what: str, reason: str) -> None:
    """Refuse a decision that does not say why: somebody will ask."""
    if not reason.strip():
        message = f"Cannot {change} {what}: --reason is empty. Say why, for those who ask later."
        raise UsageError(message)


def list_champions(connection: Connection, contract: str) -> list[str]:
    """Return the promotions of a contract that stand, oldest first; the last one is champion."""
    rows = connection.execute(
        sa.select(promotion.c.kind, promotion.c.model_version_id)
        .where(promotion.c.contract == contract)
        .order_by(promotion.c.promotion_id)
    )
    line: list[str] = []
    for kind, version in rows:
        if kind == "rollback":
            line.pop()
        else:
            line.append(version)
    return line


def list_rolled_back(engine: Engine, contract: str) -> dict[str, str]:
    """List the versions whose last promotion was undone, each with the reason."""
    with read(engine) as connection:
        rows = connection.execute(
            sa.select(promotion.c.kind, promotion.c.model_version_id, promotion.c.reason)
            .where(promotion.c.contract == contract)
            .order_by(promotion.c.promotion_id)
        ).all()
    line: list[str] = []
    undone: dict[str, str] = {}
    for kind, version, reason in rows:
        if kind == "rollback":
            undone[line.pop()] = reason
        else:
            line.append(version)
            undone.pop(version, None)
    return undone


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
