"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

UTC_TIME = sa.DateTime(timezone=True)
JSON_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SURROGATE_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table and index of the first release."""
    op.create_table(
        "batch",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("batch_date", sa.Date(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("rejection", sa.Text(), nullable=True),
        sa.Column("claim_token", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rows_read", sa.BigInteger(), nullable=True),
        sa.Column("rows_scored", sa.BigInteger(), nullable=True),
        sa.Column("rows_quarantined", sa.BigInteger(), nullable=True),
        sa.Column("rows_rejected", sa.BigInteger(), nullable=True),
        sa.Column("rows_known", sa.BigInteger(), nullable=True),
        sa.Column("received_at", UTC_TIME, nullable=False),
        sa.Column("started_at", UTC_TIME, nullable=True),
        sa.Column("finished_at", UTC_TIME, nullable=True),
        sa.CheckConstraint(
            "(status = 'rejected') = (rejection IS NOT NULL)", name=op.f("ck_batch_rejection")
        ),
        sa.CheckConstraint(
            "status = 'received' OR coalesce(rows_read"
            " = rows_scored + rows_quarantined + rows_rejected + rows_known, false)",
            name=op.f("ck_batch_accounting"),
        ),
        sa.CheckConstraint(
            "status IN ('received', 'scored', 'rejected')", name=op.f("ck_batch_status")
        ),
        sa.CheckConstraint("length(batch_id) = 64", name=op.f("ck_batch_batch_id")),
        sa.CheckConstraint(
            "rows_scored >= 0 AND rows_quarantined >= 0 AND rows_rejected >= 0 AND rows_known >= 0",
            name=op.f("ck_batch_rows"),
        ),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batch")),
    )
    op.create_index(op.f("ix_batch_batch_date"), "batch", ["batch_date"], unique=False)
    op.create_table(
        "model_version",
        sa.Column("model_version_id", sa.Text(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("manifest_hash", sa.Text(), nullable=False),
        sa.Column("registered_at", UTC_TIME, nullable=False),
        sa.Column("rows_trained", sa.BigInteger(), nullable=False),
        sa.Column("training", JSON_DOCUMENT, nullable=False),
        sa.Column("metrics", JSON_DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("model_version_id", name=op.f("pk_model_version")),
        sa.UniqueConstraint(
            "contract", "content_hash", name=op.f("uq_model_version_contract_content_hash")
        ),
    )
    op.create_table(
        "outbox",
        sa.Column("outbox_id", SURROGATE_KEY, nullable=False),
        sa.Column("event_key", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("payload", JSON_DOCUMENT, nullable=False),
        sa.Column("created_at", UTC_TIME, nullable=False),
        sa.Column("published_at", UTC_TIME, nullable=True),
        sa.PrimaryKeyConstraint("outbox_id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("event_key", name=op.f("uq_outbox_event_key")),
    )
    op.create_index(
        "ix_outbox_pending",
        "outbox",
        ["outbox_id"],
        unique=False,
        sqlite_where=sa.text("published_at IS NULL"),
        postgresql_where=sa.text("published_at IS NULL"),
    )
    op.create_table(
        "prediction",
        sa.Column("batch_date", sa.Date(), nullable=False),
        sa.Column("scoring_id", SURROGATE_KEY, nullable=False),
        sa.Column("row_number", sa.BigInteger(), nullable=False),
        sa.Column("classifier_score", sa.Double(), nullable=False),
        sa.Column("autoencoder_score", sa.Double(), nullable=False),
        sa.Column("anomaly_score", sa.Double(), nullable=False),
        sa.Column("is_flagged", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(
            "batch_date", "scoring_id", "row_number", name=op.f("pk_prediction")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "delivery",
        sa.Column("delivery_id", SURROGATE_KEY, nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("source_path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", UTC_TIME, nullable=False),
        sa.Column("arrived_at", UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batch.batch_id"], name=op.f("fk_delivery_batch_id")
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_delivery")),
        sa.UniqueConstraint(
            "source_path",
            "modified_at",
            "batch_id",
            name=op.f("uq_delivery_source_path_modified_at_batch_id"),
        ),
    )
    op.create_index(op.f("ix_delivery_batch_id"), "delivery", ["batch_id"], unique=False)
    op.create_table(
        "promotion",
        sa.Column("promotion_id", SURROGATE_KEY, nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("model_version_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("promoted_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("promoted_at", UTC_TIME, nullable=False),
        sa.CheckConstraint("kind IN ('promote', 'rollback')", name=op.f("ck_promotion_kind")),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.model_version_id"],
            name=op.f("fk_promotion_model_version_id"),
        ),
        sa.PrimaryKeyConstraint("promotion_id", name=op.f("pk_promotion")),
    )
    op.create_table(
        "quarantined_row",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("row_number", sa.BigInteger(), nullable=False),
        sa.Column("line_number", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("reasons", JSON_DOCUMENT, nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("raw_text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["batch.batch_id"],
            name=op.f("fk_quarantined_row_batch_id"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("batch_id", "row_number", name=op.f("pk_quarantined_row")),
    )
    op.create_table(
        "run",
        sa.Column("run_id", SURROGATE_KEY, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("flow_run_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("started_at", UTC_TIME, nullable=False),
        sa.Column("finished_at", UTC_TIME, nullable=True),
        sa.CheckConstraint(
            "(state = 'running') = (finished_at IS NULL)", name=op.f("ck_run_finished_at")
        ),
        sa.CheckConstraint(
            "state IN ('running', 'completed', 'failed')", name=op.f("ck_run_state")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.batch_id"], name=op.f("fk_run_batch_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run")),
    )
    op.create_table(
        "scoring",
        sa.Column("scoring_id", SURROGATE_KEY, nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("model_version_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("operating_point", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("target_flag_rate", sa.Double(), nullable=True),
        sa.Column("flag_rate", sa.Double(), nullable=True),
        sa.Column("rows_scored", sa.BigInteger(), nullable=False),
        sa.Column("rows_flagged", sa.BigInteger(), nullable=False),
        sa.Column("started_at", UTC_TIME, nullable=False),
        sa.Column("finished_at", UTC_TIME, nullable=False),
        sa.CheckConstraint(
            "purpose IN ('live', 'shadow', 'backfill', 'replay')", name=op.f("ck_scoring_purpose")
        ),
        sa.CheckConstraint(
            "rows_flagged BETWEEN 0 AND rows_scored", name=op.f("ck_scoring_rows_flagged")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.batch_id"], name=op.f("fk_scoring_batch_id")),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.model_version_id"],
            name=op.f("fk_scoring_model_version_id"),
        ),
        sa.PrimaryKeyConstraint("scoring_id", name=op.f("pk_scoring")),
        sa.UniqueConstraint(
            "model_version_id",
            "batch_id",
            "purpose",
            name=op.f("uq_scoring_model_version_id_batch_id_purpose"),
        ),
        sa.UniqueConstraint("scoring_id", "batch_id", name=op.f("uq_scoring_scoring_id_batch_id")),
    )
    op.create_index(
        "uq_scoring_live",
        "scoring",
        ["batch_id"],
        unique=True,
        sqlite_where=sa.text("purpose = 'live'"),
        postgresql_where=sa.text("purpose = 'live'"),
    )
    op.create_table(
        "validation_result",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("expectation", sa.Text(), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("is_success", sa.Boolean(), nullable=False),
        sa.Column("rows_checked", sa.BigInteger(), nullable=False),
        sa.Column("rows_failed", sa.BigInteger(), nullable=False),
        sa.Column("observed", sa.Text(), nullable=True),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batch.batch_id"], name=op.f("fk_validation_result_batch_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", "ordinal", name=op.f("pk_validation_result")),
    )
    op.create_table(
        "drift_statistic",
        sa.Column("scoring_id", SURROGATE_KEY, nullable=False),
        sa.Column("column_name", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("statistic", sa.Double(), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("is_drifted", sa.Boolean(), nullable=False),
        sa.Column("rows_reference", sa.BigInteger(), nullable=False),
        sa.Column("rows_current", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["scoring_id"], ["scoring.scoring_id"], name=op.f("fk_drift_statistic_scoring_id")
        ),
        sa.PrimaryKeyConstraint(
            "scoring_id", "column_name", "method", name=op.f("pk_drift_statistic")
        ),
    )
    op.create_table(
        "flagged_connection",
        sa.Column("scoring_id", SURROGATE_KEY, nullable=False),
        sa.Column("row_number", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("line_number", sa.BigInteger(), nullable=False),
        sa.Column("anomaly_score", sa.Double(), nullable=False),
        sa.Column("is_explained", sa.Boolean(), nullable=False),
        sa.Column("record", JSON_DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["scoring_id", "batch_id"],
            ["scoring.scoring_id", "scoring.batch_id"],
            name=op.f("fk_flagged_connection_scoring_id_batch_id"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("scoring_id", "row_number", name=op.f("pk_flagged_connection")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(
            "ix_flagged_connection_batch",
            "flagged_connection",
            ["batch_id", sa.text("anomaly_score DESC")],
            unique=False,
        )
    if op.get_bind().dialect.name == "sqlite":
        op.create_index(
            "ix_flagged_connection_scoring",
            "flagged_connection",
            ["scoring_id", sa.text("anomaly_score DESC")],
            unique=False,
        )
    op.create_table(
        "reason",
        sa.Column("scoring_id", SURROGATE_KEY, nullable=False),
        sa.Column("row_number", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("observed", sa.Text(), nullable=True),
        sa.Column("expected", sa.Text(), nullable=True),
        sa.Column("contribution", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["scoring_id", "row_number"],
            ["flagged_connection.scoring_id", "flagged_connection.row_number"],
            name=op.f("fk_reason_scoring_id_row_number"),
        ),
        sa.PrimaryKeyConstraint("scoring_id", "row_number", "rank", name=op.f("pk_reason")),
        sqlite_with_rowid=False,
    )
