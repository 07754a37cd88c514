"""Rename the autoencoder's score: any one-class detector may give it."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Rename the column; no stored row changes."""
    op.execute("ALTER TABLE prediction RENAME COLUMN autoencoder_score TO one_class_score")
