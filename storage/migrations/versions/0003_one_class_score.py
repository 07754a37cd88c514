"""The score of the detector that knows normal traffic: of any kind, not of an autoencoder alone."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Rename its column; no stored row changes."""
    op.execute("ALTER TABLE prediction RENAME COLUMN autoencoder_score TO one_class_score")
