"""The tables of batches: what arrived, what was quarantined, corrected, validated and dismissed.

Belongs here: their declarations, by the conventions of the package. Does not belong here: what a
model made of a batch (``scorings``) or statements (``storage.batches``, ``storage.deliveries``).
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
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

from storage.column_types import PlainText, RecordJson, RowCount, SurrogateKey, UtcTime, metadata

# One row per content of a file under a contract, for all its names and arrivals; and one row per
# replay, which processes rows of a finished batch again. claim_token is the fencing token: each
# claim of an unfinished batch takes the next number, and only the holder of the newest may commit.
batch = Table(
    "batch",
    metadata,
    # See storage.batch_ids; tasks.intake.replay computes that of a replay.
    Column("batch_id", Text, primary_key=True),
    Column("contract", Text, nullable=False),  # or "unrecognised"
    Column("batch_date", Date, nullable=False),
    Column("file_name", PlainText, nullable=False),  # the name under which it first arrived
    Column("size_bytes", RowCount, nullable=False),  # of the decompressed bytes
    Column("status", Text, nullable=False),
    Column("rejection", PlainText),  # why the whole batch was rejected
    Column("claim_token", RowCount, nullable=False, server_default=text("0")),
    Column("rows_read", RowCount),
    Column("rows_scored", RowCount),
    Column("rows_quarantined", RowCount),
    Column("rows_rejected", RowCount),
    Column("rows_known", RowCount),
    Column("received_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    # The batch that accounts for its known rows: an earlier one whose content is a prefix of this
    # one's, or one that holds all of it.
    Column("known_batch_id", ForeignKey("batch.batch_id")),
    # If this is a replay: the batch whose rows it processes again.
    Column("replayed_batch_id", ForeignKey("batch.batch_id")),
    # The SHA-256 of the file's decompressed bytes, in hexadecimal. Null if it is the batch_id, as
    # for contract nsl_kdd, and for a replay of some rows, which has no file.
    Column("content_sha256", Text),
    # The names of the fields of a line, in order, as a JSON array. A replay needs them to parse
    # quarantined lines. Null if the file could not be read that far.
    Column("field_names", RecordJson),
    # How many quarantined rows are kept in quarantined_row at most; null in batches stored before
    # this limit existed.
    Column("quarantine_limit", RowCount),
    # Hash of the contract's declaration when the batch was finished; if no contract was recognised,
    # of all declarations that were tried. Null in batches stored before there were others.
    Column("contract_fingerprint", Text),
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
    info={"serves": "the batches of one content: replays of a file that is delivered itself"},
)
Index(
    None,
    batch.c.batch_date,
    info={"serves": "batch_summary and flagged_connections of one night, or of the latest night"},
)

# One row per arrival: a file with this path, modification time and content.
delivery = Table(
    "delivery",
    metadata,
    Column("delivery_id", SurrogateKey, primary_key=True),
    Column("batch_id", ForeignKey("batch.batch_id"), nullable=False),
    Column("file_name", PlainText, nullable=False),
    Column("source_path", PlainText, nullable=False),
    Column("size_bytes", RowCount, nullable=False),  # of the file as delivered, perhaps compressed
    Column("modified_at", UtcTime, nullable=False),
    Column("arrived_at", UtcTime, nullable=False),
    # Also serves the query whether an unchanged file was seen before, so as not to hash it again.
    UniqueConstraint("source_path", "modified_at", "batch_id"),
)
Index(
    None, delivery.c.batch_id, info={"serves": "the names and times under which one batch arrived"}
)

# One row per delivery of a rejected batch that a person declared settled although it was not
# scored.
dismissal = Table(
    "dismissal",
    metadata,
    Column("delivery_id", ForeignKey("delivery.delivery_id"), primary_key=True),
    Column("reason", PlainText, nullable=False),
    Column("dismissed_by", PlainText, nullable=False),  # the system user
    Column("dismissed_at", UtcTime, nullable=False),
)

# One row per pair of batches where the content of one is a prefix of the other's, or equal to it: a
# growing file, or one that was replayed. It is written when the second of them arrives and stays
# true.
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

# One row per row of a batch that could not be scored. Its foreign key is checked at commit, as is
# that of flagged_connection.
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
    Column("raw", LargeBinary, nullable=False),  # the line as delivered, without its line end
    Column("raw_text", PlainText, nullable=False),  # the same, with unprintable bytes escaped
    PrimaryKeyConstraint("batch_id", "row_number"),
)

# One row per row of a replay: which quarantined row it processes again. A unique index makes sure
# that no quarantined row is scored twice.
correction = Table(
    "correction",
    metadata,
    Column("batch_id", ForeignKey("batch.batch_id"), nullable=False),  # the replay
    Column("row_number", RowCount, nullable=False),
    Column("corrected_batch_id", Text, nullable=False),
    Column("corrected_row_number", RowCount, nullable=False),
    Column("is_scored", Boolean, nullable=False),  # false: quarantined again, so still open
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
    info={"serves": "quarantined_rows: the one replay that scored a row"},
)

# One row per expectation that was checked on a batch, in the order of the checks.
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
