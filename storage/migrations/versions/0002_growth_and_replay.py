"""Growing files, replays, and the limit of stored quarantined rows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

JSON_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

KNOWN = "rows_known = 0 OR known_batch_id IS NOT NULL"


def upgrade() -> None:
    """Add the tables and columns of growing files and replays; no stored row changes."""
    _extend_batch()
    op.create_index(
        op.f("ix_batch_replayed_batch_id"),
        "batch",
        ["replayed_batch_id"],
        unique=False,
        sqlite_where=sa.text("replayed_batch_id IS NOT NULL"),
        postgresql_where=sa.text("replayed_batch_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_batch_content_sha256"),
        "batch",
        ["content_sha256"],
        unique=False,
        sqlite_where=sa.text("content_sha256 IS NOT NULL"),
        postgresql_where=sa.text("content_sha256 IS NOT NULL"),
    )
    op.create_table(
        "batch_prefix",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("prefix_batch_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batch.batch_id"], name=op.f("fk_batch_prefix_batch_id")
        ),
        sa.ForeignKeyConstraint(
            ["prefix_batch_id"], ["batch.batch_id"], name=op.f("fk_batch_prefix_prefix_batch_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", "prefix_batch_id", name=op.f("pk_batch_prefix")),
    )
    op.create_index(
        op.f("ix_batch_prefix_prefix_batch_id"), "batch_prefix", ["prefix_batch_id"], unique=False
    )
    op.create_table(
        "correction",
        sa.Column("batch_id", sa.Text(), nullable=False),
        sa.Column("row_number", sa.BigInteger(), nullable=False),
        sa.Column("corrected_batch_id", sa.Text(), nullable=False),
        sa.Column("corrected_row_number", sa.BigInteger(), nullable=False),
        sa.Column("is_scored", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batch.batch_id"], name=op.f("fk_correction_batch_id")
        ),
        sa.ForeignKeyConstraint(
            ["corrected_batch_id", "corrected_row_number"],
            ["quarantined_row.batch_id", "quarantined_row.row_number"],
            name=op.f("fk_correction_corrected_batch_id_corrected_row_number"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("batch_id", "row_number", name=op.f("pk_correction")),
    )
    op.create_index(
        "uq_correction_scored",
        "correction",
        ["corrected_batch_id", "corrected_row_number"],
        unique=True,
        sqlite_where=sa.text("is_scored"),
        postgresql_where=sa.text("is_scored"),
    )


def _extend_batch() -> None:
    """Add columns to a table that others refer to.

    SQLite adds a column with its constraints in one statement and rewrites no row. Alembic would
    copy the table and drop the old one, which foreign keys of other tables forbid.
    """
    if op.get_bind().dialect.name == "sqlite":
        reference = "TEXT CONSTRAINT fk_batch_{0} REFERENCES batch (batch_id)"
        known = f"{reference.format('known_batch_id')} CONSTRAINT ck_batch_known CHECK ({KNOWN})"
        for column in (
            f"known_batch_id {known}",
            f"replayed_batch_id {reference.format('replayed_batch_id')}",
            "content_sha256 TEXT",
            "field_names JSON",
            "quarantine_limit BIGINT",
        ):
            op.execute(f"ALTER TABLE batch ADD COLUMN {column}")
        return
    for name in ("known_batch_id", "replayed_batch_id"):
        op.add_column("batch", sa.Column(name, sa.Text(), nullable=True))
        op.create_foreign_key(op.f(f"fk_batch_{name}"), "batch", "batch", [name], ["batch_id"])
    op.add_column("batch", sa.Column("content_sha256", sa.Text(), nullable=True))
    op.add_column("batch", sa.Column("field_names", JSON_DOCUMENT, nullable=True))
    op.add_column("batch", sa.Column("quarantine_limit", sa.BigInteger(), nullable=True))
    op.create_check_constraint(op.f("ck_batch_known"), "batch", KNOWN)
