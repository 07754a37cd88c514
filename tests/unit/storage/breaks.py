"""Ways to break each invariant of the tables. ``test_invariants`` tries them all.

Each is applied to a database that ``test_invariants`` fills with a batch of every kind.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from storage import schema
from tests.unit.storage.conftest import LATER, NOW

SCORED, REJECTED, LIMITED = "a" * 64, "b" * 64, "c" * 64
SHORTER, LONGER = "d" * 64, "e" * 64
"""Files of which the scored one is a prefix; the shorter was processed later."""
REPLAY, REPLAY_WHOLE = "1" * 64, "2" * 64
"""Replays: of the quarantined rows of SCORED, and of a corrected file for REJECTED."""
CORRECTED = "3" * 64
"""The corrected file, delivered itself after it was replayed."""
DISMISSED = "4" * 64
"""Rejected, and dismissed by a person."""
NOBODY = "0" * 64
MODEL = "nsl_kdd-aaaaaaaaaaaa"


@dataclass(frozen=True, kw_only=True)
class Break:
    """One way to break one invariant, and every problem that it causes."""

    invariant: str
    statements: tuple[sa.Executable, ...]
    subject: str = f"batch {LIMITED}"
    problem: str
    also: tuple[tuple[str, str], ...] = ()
    """Subject and problem of other invariants that this necessarily breaks."""


def of_batch(batch_id: str, purpose: str = "live") -> sa.ScalarSelect[int]:
    """Select the key of a batch's scoring."""
    return (
        sa.select(schema.scoring.c.scoring_id)
        .where(schema.scoring.c.batch_id == batch_id, schema.scoring.c.purpose == purpose)
        .scalar_subquery()
    )


def delivery_of(batch_id: str) -> sa.ScalarSelect[int]:
    """Select the key of a batch's delivery."""
    return (
        sa.select(schema.delivery.c.delivery_id)
        .where(schema.delivery.c.batch_id == batch_id)
        .scalar_subquery()
    )


def change(table: sa.Table, where: dict[str, Any], **values: object) -> sa.Executable:
    return sa.update(table).where(*_conditions(table, where)).values(values)


def remove(table: sa.Table, **where: Any) -> sa.Executable:  # noqa: ANN401 - of any column
    return sa.delete(table).where(*_conditions(table, where))


def add(table: sa.Table, **values: object) -> sa.Executable:
    return sa.insert(table).values(values)


def no_json(text: str) -> sa.ColumnElement[Any]:
    """Return a text that is stored unchanged in a JSON column."""
    return sa.literal_column(f"'{text}'")


def _conditions(table: sa.Table, where: dict[str, Any]) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in where.items()]


IN_LIMITED = {"scoring_id": of_batch(LIMITED)}
THIRD_ROW = {**IN_LIMITED, "row_number": 3}
"""A row that is scored and not flagged."""

PREDICTION = {
    "batch_date": NOW.date(),
    "classifier_score": 1.0,
    "one_class_score": 1.0,
    "anomaly_score": 1.0,
    "is_flagged": False,
}
QUARANTINED = {
    "row_number": 1,
    "line_number": 2,
    "stage": "ingest",
    "reasons": ["noise"],
    "raw": b"noise",
    "raw_text": "noise",
}
DECISION = {
    "promotion_decision_id": 99,
    "contract": "nsl_kdd",
    "recipe": "lightgbm + autoencoder",
    "decision": "failed",
    "reason": "the fit failed",
    "evidence": {},
    "decided_at": NOW,
}
DISMISSAL = {"reason": "a test file", "dismissed_by": "ada", "dismissed_at": NOW}
COMPARED = {
    "rows_compared": 2,
    "rows_flagged_by_both": 1,
    "rows_flagged_by_live": 0,
    "rows_flagged_by_shadow": 0,
}
SCORING = {
    "purpose": "shadow",
    "operating_point": "default",
    "threshold": 4.0,
    "rows_scored": 0,
    "rows_flagged": 0,
    "started_at": NOW,
    "finished_at": LATER,
}
OTHER_MODEL = {
    "model_version_id": "other",
    "contract": "nsl_kdd",
    "content_hash": "f" * 64,
    "manifest_hash": "f" * 64,
    "registered_at": NOW,
    "rows_trained": 1,
    "training": {},
    "metrics": {},
}
