"""Dismissals: a rejection stays open until somebody dismisses it or its file is scored."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

REASON = "rejected before Noctule kept which rejections are open"
WHO = "noctule db upgrade"


def upgrade() -> None:
    """Add the table, and dismiss all earlier rejections.

    Each of them already failed its own night. If they stayed open, they would all fail the next.
    """
    op.create_table(
        "dismissal",
        sa.Column("delivery_id", KEY, autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("dismissed_by", sa.Text(), nullable=False),
        sa.Column("dismissed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["delivery.delivery_id"], name=op.f("fk_dismissal_delivery_id")
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_dismissal")),
    )
    op.execute(
        "INSERT INTO dismissal (delivery_id, reason, dismissed_by, dismissed_at)"  # noqa: S608 - constants
        f" SELECT d.delivery_id, '{REASON}', '{WHO}', CURRENT_TIMESTAMP FROM delivery AS d"
        " INNER JOIN batch AS b ON d.batch_id = b.batch_id WHERE b.status = 'rejected'"
    )
