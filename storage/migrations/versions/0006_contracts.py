"""Several contracts in one database: the declaration with which a batch was finished."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add a column that is null in every stored row."""
    if op.get_bind().dialect.name == "sqlite":  # others refer to the table; see revision 0002
        op.execute("ALTER TABLE batch ADD COLUMN contract_fingerprint TEXT")
        return
    op.add_column("batch", sa.Column("contract_fingerprint", sa.Text(), nullable=True))
