"""The tables of flow runs and of the events that a commit announces.

Belongs here: their declarations, by the conventions of the package. Does not belong here:
statements (``storage.runs``, ``storage.outbox``).
"""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text

from storage.column_types import PlainText, RecordJson, SurrogateKey, UtcTime, metadata

# One row per run of a flow, whether it succeeded or failed.
run = Table(
    "run",
    metadata,
    Column("run_id", SurrogateKey, primary_key=True),
    Column("kind", Text, nullable=False),  # the flow's name
    Column("batch_id", ForeignKey("batch.batch_id")),  # null if about none or several
    Column("flow_run_id", Text),  # the id in Prefect
    Column("state", Text, nullable=False),
    Column("message", PlainText),
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime),
    CheckConstraint("state IN ('running', 'completed', 'failed')", name="state"),
    CheckConstraint("(state = 'running') = (finished_at IS NULL)", name="finished_at"),
)

# One row per event that a commit announces. It is sent after the commit, at least once.
outbox = Table(
    "outbox",
    metadata,
    Column("outbox_id", SurrogateKey, primary_key=True),
    Column("event_key", Text, nullable=False, unique=True),  # so the same event is stored once
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
