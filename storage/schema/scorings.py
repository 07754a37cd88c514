"""The tables of scorings: predictions, flagged connections, their reasons, and drift.

Belongs here: their declarations, by the conventions of the package. Does not belong here: the
batches that were scored (``batches``) or statements (``storage.scorings``, ``storage.shadows``).
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
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from storage.column_types import PlainText, RecordJson, RowCount, SurrogateKey, UtcTime, metadata

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
    Column("target_flag_rate", Double),  # null if it was not chosen by a rate
    Column("flag_rate", Double),  # the actual rate; null if nothing was scored
    Column("rows_scored", RowCount, nullable=False),
    Column("rows_flagged", RowCount, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime, nullable=False),
    # Counts of labelled rows; null if the file has no labels.
    Column("rows_labelled_normal", RowCount),
    Column("rows_labelled_attack", RowCount),
    Column("rows_flagged_normal", RowCount),  # false alarms
    Column("rows_flagged_attack", RowCount),  # hits
    # The order matters: SQLite then looks a batch up in uq_scoring_live, knows that it finds one
    # row, and reads that scoring's flagged connections in the order of their index.
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

# One row per shadow scoring: how it differs from the live scoring of the same rows.
scoring_comparison = Table(
    "scoring_comparison",
    metadata,
    Column("scoring_id", ForeignKey("scoring.scoring_id"), primary_key=True),  # the shadow's
    Column("live_scoring_id", ForeignKey("scoring.scoring_id"), nullable=False),
    Column("rows_compared", RowCount, nullable=False),
    Column("rows_flagged_by_both", RowCount, nullable=False),
    Column("rows_flagged_by_live", RowCount, nullable=False),  # but not by the shadow
    Column("rows_flagged_by_shadow", RowCount, nullable=False),  # but not live
    Column("rank_correlation", Double),  # Spearman's, of the scores; null if one is constant
)

# One row per connection of a scoring. It is narrow: the record itself is in the lake. The date
# comes first in the key so that PostgreSQL can partition by month. There is no foreign key:
# checking it for every row makes COPY take 2.2 times as long (measured, 1 M rows), and only
# scorings.insert_predictions writes here, directly after it wrote the scoring.
prediction = Table(
    "prediction",
    metadata,
    Column("batch_date", Date, nullable=False),
    Column("scoring_id", SurrogateKey, nullable=False),
    Column("row_number", RowCount, nullable=False),
    Column("classifier_score", Double),  # log-odds; null if the model was fitted without labels
    Column("one_class_score", Double, nullable=False),  # in the unit of its detector
    Column("anomaly_score", Double, nullable=False),  # decades of surprise
    Column("is_flagged", Boolean, nullable=False),
    PrimaryKeyConstraint("batch_date", "scoring_id", "row_number"),
    sqlite_with_rowid=False,
)

# One row per flagged connection of a scoring, with its full record but without the labels. batch_id
# repeats that of the scoring, which the foreign key enforces: PostgreSQL reads rows in the order of
# an index only if the filter is on a column of the same table. The foreign key is checked at
# commit. An immediate check makes SQLite keep a journal of every statement of many rows (3.5 CPU s
# for 470,000 rows instead of 2.6, measured).
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
    # The family of attacks that it resembles, or unknown; null if the model names no families.
    Column("attack_category", PlainText),
    Column("category_probability", Double),  # of that family, given that it is an attack
    Column("attack_technique", Text),  # of MITRE ATT&CK; null if the family has none
    PrimaryKeyConstraint("scoring_id", "row_number"),
    ForeignKeyConstraint(
        ["scoring_id", "batch_id"],
        ["scoring.scoring_id", "scoring.batch_id"],
        deferrable=True,
        initially="DEFERRED",
    ),
)
# Both indexes serve the same query, each on one database. Either database would pay for the other's
# index without using it (1.5 s of a commit of 450,000 flagged rows on SQLite, measured).
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

# One row per reason why a connection was flagged; only explained connections have reasons.
reason = Table(
    "reason",
    metadata,
    Column("scoring_id", SurrogateKey, nullable=False),
    Column("row_number", RowCount, nullable=False),
    Column("rank", Integer, nullable=False),  # 1 contributes most
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

# One row per column and method of the drift measurement of a scoring.
drift_statistic = Table(
    "drift_statistic",
    metadata,
    Column("scoring_id", ForeignKey("scoring.scoring_id"), nullable=False),
    Column("column_name", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("statistic", Double),  # null if the method gives none
    Column("threshold", Double, nullable=False),
    Column("is_drifted", Boolean, nullable=False),
    Column("rows_reference", RowCount, nullable=False),
    Column("rows_current", RowCount, nullable=False),
    PrimaryKeyConstraint("scoring_id", "column_name", "method"),
)
