"""The tables: what one row of each is, what identifies it, and what must hold.

Belongs here: table declarations and the reasons of their indexes; those of models and of runs are
in ``model_tables`` and ``run_tables``, and are found here too. Does not belong here: the types of
columns (``column_types``), statements (see ``batches``, ``model_store``, ``runs``,
``queries``) or the views, which are what analysts read and lie in ``views/``. A change here needs
a revision in ``migrations/versions``; a test compares the two.

Conventions: singular names, keys named ``<table>_id``, times in UTC, one naming convention for
constraints, every index says in ``info["serves"]`` which query it is there for, and in
``info["dialect"]`` if only one of the databases has it.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from storage.column_types import PlainText, RecordJson, RowCount, SurrogateKey, UtcTime
from storage.metadata import metadata
from storage.model_tables import model_version, promotion, promotion_decision
from storage.run_tables import outbox, run

__all__ = [
    "batch",
    "batch_prefix",
    "correction",
    "delivery",
    "dismissal",
    "drift_statistic",
    "flagged_connection",
    "metadata",
    "model_version",
    "outbox",
    "prediction",
    "promotion",
    "promotion_decision",
    "quarantined_row",
    "reason",
    "run",
    "scoring",
    "scoring_comparison",
    "validation_result",
]

# One row per content: the bytes of a file, whatever it was called and however often it came; and
# one per replay, which puts rows of a finished batch through again. claim_token is the
# fence: each claim of an unfinished batch takes the next number, and only the holder of the newest
# may commit.
batch = Table(
    "batch",
    metadata,
    # SHA-256, hexadecimal: of the decompressed bytes; of a replay see tasks.intake.replay.
    Column("batch_id", Text, primary_key=True),
    Column("contract", Text, nullable=False),
    Column("batch_date", Date, nullable=False),
    Column("file_name", PlainText, nullable=False),  # the name it first came under
    Column("size_bytes", RowCount, nullable=False),  # of the decompressed bytes
    Column("status", Text, nullable=False),
    Column("rejection", PlainText),  # why it was refused whole
    Column("claim_token", RowCount, nullable=False, server_default=text("0")),
    Column("rows_read", RowCount),
    Column("rows_scored", RowCount),
    Column("rows_quarantined", RowCount),
    Column("rows_rejected", RowCount),
    Column("rows_known", RowCount),
    Column("received_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    # The batch that accounts for its known rows: the beginning of it that came before, or one that
    # holds all of it.
    Column("known_batch_id", ForeignKey("batch.batch_id")),
    # Of a replay, the batch whose rows it puts through again.
    Column("replayed_batch_id", ForeignKey("batch.batch_id")),
    # Of a replay of a whole file, SHA-256 of its decompressed bytes; others have it as batch_id, or
    # are no file's.
    Column("content_sha256", Text),
    # What the fields of its lines are called, in order, as a JSON array: quarantined lines can be
    # read again by it. Null where the file could not be read that far.
    Column("field_names", RecordJson),
    # Most quarantined rows that are kept in quarantined_row; null in batches older than the limit.
    Column("quarantine_limit", RowCount),
    CheckConstraint("length(batch_id) = 64", name="batch_id"),
    CheckConstraint("status IN ('received', 'scored', 'rejected')", name="status"),
    CheckConstraint("(status = 'rejected') = (rejection IS NOT NULL)", name="rejection"),
    CheckConstraint(
        "status = 'received' OR coalesce(rows_read"
        " = rows_scored + rows_quarantined + rows_rejected + rows_known, false)",
        name="accounting",
    ),
    CheckConstraint(
        "rows_scored >= 0 AND rows_quarantined >= 0 AND rows_rejected >= 0 AND rows_known >= 0",
        name="rows",
    ),
    CheckConstraint("rows_known = 0 OR known_batch_id IS NOT NULL", name="known"),
)
Index(
    None,
    batch.c.replayed_batch_id,
    sqlite_where=batch.c.replayed_batch_id.is_not(None),
    postgresql_where=batch.c.replayed_batch_id.is_not(None),
    info={"serves": "the replays of one batch"},
)
Index(
    None,
    batch.c.content_sha256,
    sqlite_where=batch.c.content_sha256.is_not(None),
    postgresql_where=batch.c.content_sha256.is_not(None),
    info={"serves": "the replays of a file that now comes by itself"},
)
Index(
    None,
    batch.c.batch_date,
    info={"serves": "batch_summary and flagged_connections of one night, or of the latest"},
)

# One row per arrival: a file of this name, with this time of change, that held this content.
delivery = Table(
    "delivery",
    metadata,
    Column("delivery_id", SurrogateKey, primary_key=True),
    Column("batch_id", ForeignKey("batch.batch_id"), nullable=False),
    Column("file_name", PlainText, nullable=False),
    Column("source_path", PlainText, nullable=False),
    Column("size_bytes", RowCount, nullable=False),  # of the file, compressed as it came
    Column("modified_at", UtcTime, nullable=False),
    Column("arrived_at", UtcTime, nullable=False),
    # Also serves "was this file, unchanged since, seen before?", so that it is not hashed again.
    UniqueConstraint("source_path", "modified_at", "batch_id"),
)
Index(None, delivery.c.batch_id, info={"serves": "the names and times one batch came under"})

# One row per delivery of a rejected batch that a person has settled without its being scored.
dismissal = Table(
    "dismissal",
    metadata,
    Column("delivery_id", ForeignKey("delivery.delivery_id"), primary_key=True),
    Column("reason", PlainText, nullable=False),
    Column("dismissed_by", PlainText, nullable=False),  # the system user
    Column("dismissed_at", UtcTime, nullable=False),
)

# One row per pair of batches of which one is the beginning of the other, byte by byte, or all of
# it: a growing file, or one that was replayed. It is written when the second one comes, and true
# for ever.
batch_prefix = Table(
    "batch_prefix",
    metadata,
    Column("batch_id", ForeignKey("batch.batch_id"), nullable=False),
    Column("prefix_batch_id", ForeignKey("batch.batch_id"), nullable=False),
    PrimaryKeyConstraint("batch_id", "prefix_batch_id"),
)
Index(
    None,
    batch_prefix.c.prefix_batch_id,
    info={"serves": "the longer files that begin with one batch"},
)

# One row per model version applied to a batch for a purpose.
scoring = Table(
    "scoring",
    metadata,
    Column("scoring_id", SurrogateKey, primary_key=True),
    Column("batch_id", ForeignKey("batch.batch_id"), nullable=False),
    Column("model_version_id", ForeignKey("model_version.model_version_id"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("operating_point", Text, nullable=False),
    Column("threshold", Double, nullable=False),  # of anomaly_score, in decades
    Column("target_flag_rate", Double),  # what the operating point was chosen for, if by a rate
    Column("flag_rate", Double),  # what came of it; null where nothing was scored
    Column("rows_scored", RowCount, nullable=False),
    Column("rows_flagged", RowCount, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime, nullable=False),
    # Of the rows that came with a label; null where the file has none.
    Column("rows_labelled_normal", RowCount),
    Column("rows_labelled_attack", RowCount),
    Column("rows_flagged_normal", RowCount),  # the false alarms among the former
    Column("rows_flagged_attack", RowCount),  # the hits among the latter
    # In this order, so that SQLite looks batches up in uq_scoring_live, knows that there is one
    # row, and takes the order of the flagged connections below it from their index.
    UniqueConstraint("model_version_id", "batch_id", "purpose"),
    UniqueConstraint("scoring_id", "batch_id"),  # for the foreign key of flagged_connection
    CheckConstraint("purpose IN ('live', 'shadow', 'backfill', 'replay')", name="purpose"),
    CheckConstraint("rows_flagged BETWEEN 0 AND rows_scored", name="rows_flagged"),
    CheckConstraint(
        "rows_flagged_normal BETWEEN 0 AND rows_labelled_normal"
        " AND rows_flagged_attack BETWEEN 0 AND rows_labelled_attack",
        name="labelled",
    ),
)
Index(
    "uq_scoring_live",
    scoring.c.batch_id,
    unique=True,
    sqlite_where=scoring.c.purpose == "live",
    postgresql_where=scoring.c.purpose == "live",
    info={"serves": "every view: the one live scoring of a batch"},
)

# One row per scoring by a shadow: how it differs from the live scoring of the same rows.
scoring_comparison = Table(
    "scoring_comparison",
    metadata,
    Column("scoring_id", ForeignKey("scoring.scoring_id"), primary_key=True),  # the shadow's
    Column("live_scoring_id", ForeignKey("scoring.scoring_id"), nullable=False),
    Column("rows_compared", RowCount, nullable=False),
    Column("rows_flagged_by_both", RowCount, nullable=False),
    Column("rows_flagged_by_live", RowCount, nullable=False),  # and not by the shadow
    Column("rows_flagged_by_shadow", RowCount, nullable=False),  # and not live
    Column("rank_correlation", Double),  # Spearman's, of the scores; null where one is constant
)

# One row per scored connection of a scoring, narrow: the record itself is in the lake.
# The date leads the key so that PostgreSQL can partition by month. No foreign key: checking it
# row by row makes COPY take 2.2 times as long (measured, 1 M rows), and only
# scorings.insert_predictions writes here, just after the scoring itself.
prediction = Table(
    "prediction",
    metadata,
    Column("batch_date", Date, nullable=False),
    Column("scoring_id", SurrogateKey, nullable=False),
    Column("row_number", RowCount, nullable=False),
    Column("classifier_score", Double),  # log-odds; null from a model fitted without labels
    Column("one_class_score", Double, nullable=False),  # in its own unit
    Column("anomaly_score", Double, nullable=False),  # decades of surprise
    Column("is_flagged", Boolean, nullable=False),
    PrimaryKeyConstraint("batch_date", "scoring_id", "row_number"),
    sqlite_with_rowid=False,
)

# One row per flagged connection of a scoring, with its full record but the labels. batch_id
# repeats the scoring's, and the foreign key sees to it: PostgreSQL takes an order from an index
# only where the filter is on a column of the same table.
# Its foreign key is checked at commit: one checked at once makes SQLite keep a journal of every
# statement of many rows (3.5 CPU s for 470,000 rows instead of 2.6, measured).
flagged_connection = Table(
    "flagged_connection",
    metadata,
    Column("scoring_id", SurrogateKey, nullable=False),
    Column("row_number", RowCount, nullable=False),
    Column("batch_id", Text, nullable=False),
    Column("line_number", RowCount, nullable=False),
    Column("anomaly_score", Double, nullable=False),
    Column("is_explained", Boolean, nullable=False),
    Column("record", RecordJson, nullable=False),
    # What family of attack it looks like, or unknown; null from a model that names none.
    Column("attack_category", PlainText),
    Column("category_probability", Double),  # that it is of that family, if it is an attack
    Column("attack_technique", Text),  # of MITRE ATT&CK, where the family has one
    PrimaryKeyConstraint("scoring_id", "row_number"),
    ForeignKeyConstraint(
        ["scoring_id", "batch_id"],
        ["scoring.scoring_id", "scoring.batch_id"],
        deferrable=True,
        initially="DEFERRED",
    ),
)
# The same query on either database; each would pay for the other's index and not use it (1.5 s of
# a commit of 450,000 flagged rows on SQLite, measured).
Index(
    "ix_flagged_connection_scoring",
    flagged_connection.c.scoring_id,
    flagged_connection.c.anomaly_score.desc(),
    info={"serves": "flagged_connections of one batch, highest first", "dialect": "sqlite"},
)
Index(
    "ix_flagged_connection_batch",
    flagged_connection.c.batch_id,
    flagged_connection.c.anomaly_score.desc(),
    info={"serves": "flagged_connections of one batch, highest first", "dialect": "postgresql"},
)

# One row per reason of an explained connection.
reason = Table(
    "reason",
    metadata,
    Column("scoring_id", SurrogateKey, nullable=False),
    Column("row_number", RowCount, nullable=False),
    Column("rank", Integer, nullable=False),  # 1 weighs most
    Column("model", Text, nullable=False),
    Column("feature", Text, nullable=False),
    Column("observed", PlainText),
    Column("expected", PlainText),
    Column("contribution", Double, nullable=False),
    PrimaryKeyConstraint("scoring_id", "row_number", "rank"),
    ForeignKeyConstraint(
        ["scoring_id", "row_number"],
        ["flagged_connection.scoring_id", "flagged_connection.row_number"],
    ),
    sqlite_with_rowid=False,
)

# One row per row of a batch that could not be scored. Its foreign key is checked at commit too.
quarantined_row = Table(
    "quarantined_row",
    metadata,
    Column(
        "batch_id",
        ForeignKey("batch.batch_id", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    Column("row_number", RowCount, nullable=False),
    Column("line_number", RowCount, nullable=False),
    Column("stage", Text, nullable=False),
    Column("reasons", RecordJson, nullable=False),  # array of texts
    Column("raw", LargeBinary, nullable=False),  # the line as it came, without its end
    Column("raw_text", PlainText, nullable=False),  # the same, escaped to be read
    PrimaryKeyConstraint("batch_id", "row_number"),
)

# One row per row of a replay: which quarantined row it puts through again. Those that were scored
# at last are unique: no row is corrected twice.
correction = Table(
    "correction",
    metadata,
    Column("batch_id", ForeignKey("batch.batch_id"), nullable=False),  # the replay
    Column("row_number", RowCount, nullable=False),
    Column("corrected_batch_id", Text, nullable=False),
    Column("corrected_row_number", RowCount, nullable=False),
    Column("is_scored", Boolean, nullable=False),  # false: quarantined again, and still open
    PrimaryKeyConstraint("batch_id", "row_number"),
    ForeignKeyConstraint(
        ["corrected_batch_id", "corrected_row_number"],
        ["quarantined_row.batch_id", "quarantined_row.row_number"],
        deferrable=True,
        initially="DEFERRED",
    ),
)
Index(
    "uq_correction_scored",
    correction.c.corrected_batch_id,
    correction.c.corrected_row_number,
    unique=True,
    sqlite_where=correction.c.is_scored,
    postgresql_where=correction.c.is_scored,
    info={"serves": "quarantined_rows: the replay that scored a row; there is one at most"},
)

# One row per column and method of a scoring's drift measurement.
drift_statistic = Table(
    "drift_statistic",
    metadata,
    Column("scoring_id", ForeignKey("scoring.scoring_id"), nullable=False),
    Column("column_name", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("statistic", Double),  # null where the method gives none
    Column("threshold", Double, nullable=False),
    Column("is_drifted", Boolean, nullable=False),
    Column("rows_reference", RowCount, nullable=False),
    Column("rows_current", RowCount, nullable=False),
    PrimaryKeyConstraint("scoring_id", "column_name", "method"),
)

# One row per expectation checked on a batch, in the order it was checked.
validation_result = Table(
    "validation_result",
    metadata,
    Column("batch_id", ForeignKey("batch.batch_id"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("suite", Text, nullable=False),
    Column("expectation", Text, nullable=False),
    Column("column_name", Text),
    Column("severity", Text, nullable=False),
    Column("is_success", Boolean, nullable=False),
    Column("rows_checked", RowCount, nullable=False),
    Column("rows_failed", RowCount, nullable=False),
    Column("observed", PlainText),
    Column("expected", PlainText, nullable=False),
    PrimaryKeyConstraint("batch_id", "ordinal"),
)
