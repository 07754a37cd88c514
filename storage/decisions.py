"""Decisions of a retraining: one for each challenger, and the promotion that may follow.

Belongs here: storing both in one transaction. Does not belong here: making the decision
(``tasks.retraining.gate``), or promotions by a person (``model_store``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from expectations.errors import ModelRefusedError, UsageError
from storage.database import write
from storage.model_store import promote_within
from storage.schema import promotion_decision


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The decision about one challenger."""

    recipe: str
    challenger: str | None
    """The registered version; None if its fit failed."""
    decision: Literal["promoted", "refused", "failed"]
    reason: str
    evidence: Mapping[str, object]
    """JSON-able: figures, intervals and checks."""


def store_decisions(
    engine: Engine,
    models: Path,
    contract: str,
    champion: str,
    decisions: Sequence[Decision],
    *,
    who: str,
    now: datetime,
) -> tuple[Decision, ...]:
    """Store the decisions of a retraining, and carry out the promotion, in one transaction.

    If the promotion is impossible, because another model became champion meanwhile or the
    challenger's files were altered, the decision is stored as refused, with that reason.

    The challengers were compared with ``champion``. At most one of the decisions is a promotion.
    The history shows the name ``who``. The decisions are returned as they are stored.
    """
    with write(engine) as connection:
        stored = tuple(
            _carry_out(connection, models, champion, one, who=who, now=now) for one in decisions
        )
        for one in stored:
            connection.execute(
                sa.insert(promotion_decision).values(
                    contract=contract,
                    recipe=one.recipe,
                    challenger_version_id=one.challenger,
                    champion_version_id=champion,
                    decision=one.decision,
                    reason=one.reason,
                    evidence=dict(one.evidence),
                    decided_at=now,
                )
            )
    return stored


def _carry_out(
    connection: Connection,
    models: Path,
    champion: str,
    one: Decision,
    *,
    who: str,
    now: datetime,
) -> Decision:
    """Promote the challenger if that is the decision; return the decision that results."""
    if one.decision != "promoted" or one.challenger is None:
        return one
    try:
        promote_within(
            connection,
            models,
            one.challenger,
            who=who,
            reason=one.reason,
            now=now,
            instead_of=champion,
        )
    except (UsageError, ModelRefusedError) as error:
        return replace(one, decision="refused", reason=str(error))
    return one
