"""The tables of models: versions, changes of champion, and decisions about challengers.

Belongs here: their declarations, by the conventions of the package. Does not belong here:
statements (``storage.model_store``, ``storage.promotions``, ``storage.decisions``).
"""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text, UniqueConstraint

from storage.column_types import PlainText, RecordJson, RowCount, SurrogateKey, UtcTime, metadata

# One row per fitted model. Its files are in the model store, in a folder of the same name.
model_version = Table(
    "model_version",
    metadata,
    Column("model_version_id", Text, primary_key=True),
    Column("contract", Text, nullable=False),
    Column("content_hash", Text, nullable=False),  # of the canonical content, which is its identity
    Column("manifest_hash", Text, nullable=False),  # of manifest.json, which lists every file
    Column("registered_at", UtcTime, nullable=False),
    Column("rows_trained", RowCount, nullable=False),
    Column("training", RecordJson, nullable=False),  # options, source files, library versions
    Column("metrics", RecordJson, nullable=False),  # held-out metrics
    UniqueConstraint("contract", "content_hash"),
)

# One row per change of a contract's champion, in the order of promotion_id.
promotion = Table(
    "promotion",
    metadata,
    Column("promotion_id", SurrogateKey, primary_key=True),
    Column("contract", Text, nullable=False),
    Column("model_version_id", ForeignKey("model_version.model_version_id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("promoted_by", PlainText, nullable=False),
    Column("reason", PlainText, nullable=False),
    Column("promoted_at", UtcTime, nullable=False),
    CheckConstraint("kind IN ('promote', 'rollback')", name="kind"),
)

# One row per challenger that a retraining compared with the champion, for any decision.
promotion_decision = Table(
    "promotion_decision",
    metadata,
    Column("promotion_decision_id", SurrogateKey, primary_key=True),
    Column("contract", Text, nullable=False),
    Column("recipe", Text, nullable=False),  # how the challenger was fitted, in a few words
    # The challenger is null if its fit failed; the champion is null if there was none yet.
    Column("challenger_version_id", ForeignKey("model_version.model_version_id")),
    Column("champion_version_id", ForeignKey("model_version.model_version_id")),
    Column("decision", Text, nullable=False),
    Column("reason", PlainText, nullable=False),
    Column("evidence", RecordJson, nullable=False),  # figures, intervals and checks
    Column("decided_at", UtcTime, nullable=False),
    CheckConstraint("decision IN ('promoted', 'refused', 'failed')", name="decision"),
    CheckConstraint("decision = 'failed' OR challenger_version_id IS NOT NULL", name="challenger"),
)
