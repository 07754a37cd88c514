"""The tables of what is done: runs of flows, and the events that a commit announces.

Belongs here: their declarations, by the conventions of ``schema``, which declares what they refer
to. Does not belong here: statements (see ``runs``, ``outbox``).
"""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text

from storage.column_types import PlainText, RecordJson, SurrogateKey, UtcTime
from storage.metadata import metadata

# One row per run of a flow, whatever came of it.
run = Table(
    "run",
    metadata,
    Column("run_id", SurrogateKey, primary_key=True),
    Column("kind", Text, nullable=False),  # the flow's name
    Column("batch_id", ForeignKey("batch.batch_id")),  # null where it is about none, or many
    Column("flow_run_id", Text),  # Prefect's
    Column("state", Text, nullable=False),
    Column("message", PlainText),
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    CheckConstraint("state IN ('running', 'completed', 'failed')", name="state"),
    CheckConstraint("(state = 'running') = (finished_at IS NULL)", name="finished_at"),
)

# One row per event that a commit announces; sent after it, at least once.
outbox = Table(
    "outbox",
    metadata,
    Column("outbox_id", SurrogateKey, primary_key=True),
    Column("event_key", Text, nullable=False, unique=True),  # the same event is written once
    Column("event", Text, nullable=False),
    Column("payload", RecordJson, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("published_at", UtcTime),
)
Index(
    "ix_outbox_pending",
    outbox.c.outbox_id,
    sqlite_where=outbox.c.published_at.is_(None),
    postgresql_where=outbox.c.published_at.is_(None),
    info={"serves": "the events not yet sent, oldest first"},
)
