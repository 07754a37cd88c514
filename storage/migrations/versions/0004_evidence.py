"""Labelled rows, families of attacks, shadow comparisons, and decisions about promotions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from expectations.errors import UsageError

revision = "0004"
down_revision = "0003"

JSON_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

LABELLED = (
    "rows_flagged_normal BETWEEN 0 AND rows_labelled_normal"
    " AND rows_flagged_attack BETWEEN 0 AND rows_labelled_attack"
)


def upgrade() -> None:
    """Add columns that are null in every stored row, and two tables."""
    for name, kind in (
        ("attack_category", sa.Text()),
        ("category_probability", sa.Double()),
        ("attack_technique", sa.Text()),
    ):
        op.add_column("flagged_connection", sa.Column(name, kind, nullable=True))
    _extend_scoring()
    _allow_no_classifier()
    op.create_table(
        "promotion_decision",
        sa.Column("promotion_decision_id", KEY, nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("challenger_version_id", sa.Text(), nullable=True),
        sa.Column("champion_version_id", sa.Text(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", JSON_DOCUMENT, nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "decision IN ('promoted', 'refused', 'failed')",
            name=op.f("ck_promotion_decision_decision"),
        ),
        sa.CheckConstraint(
            "decision = 'failed' OR challenger_version_id IS NOT NULL",
            name=op.f("ck_promotion_decision_challenger"),
        ),
        *(
            sa.ForeignKeyConstraint(
                [name],
                ["model_version.model_version_id"],
                name=op.f(f"fk_promotion_decision_{name}"),
            )
            for name in ("challenger_version_id", "champion_version_id")
        ),
        sa.PrimaryKeyConstraint("promotion_decision_id", name=op.f("pk_promotion_decision")),
    )
    op.create_table(
        "scoring_comparison",
        sa.Column("scoring_id", KEY, nullable=False),
        sa.Column("live_scoring_id", KEY, nullable=False),
        sa.Column("rows_compared", sa.BigInteger(), nullable=False),
        sa.Column("rows_flagged_by_both", sa.BigInteger(), nullable=False),
        sa.Column("rows_flagged_by_live", sa.BigInteger(), nullable=False),
        sa.Column("rows_flagged_by_shadow", sa.BigInteger(), nullable=False),
        sa.Column("rank_correlation", sa.Double(), nullable=True),
        *(
            sa.ForeignKeyConstraint(
                [name], ["scoring.scoring_id"], name=op.f(f"fk_scoring_comparison_{name}")
            )
            for name in ("scoring_id", "live_scoring_id")
        ),
        sa.PrimaryKeyConstraint("scoring_id", name=op.f("pk_scoring_comparison")),
    )


def _extend_scoring() -> None:
    """Add columns to a table that others refer to; see revision 0002."""
    names = (
        "rows_labelled_normal",
        "rows_labelled_attack",
        "rows_flagged_normal",
        "rows_flagged_attack",
    )
    if op.get_bind().dialect.name == "sqlite":
        *first, last = names
        for name in first:
            op.execute(f"ALTER TABLE scoring ADD COLUMN {name} BIGINT")
        check = f"CONSTRAINT ck_scoring_labelled CHECK ({LABELLED})"
        op.execute(f"ALTER TABLE scoring ADD COLUMN {last} BIGINT {check}")
        return
    for name in names:
        op.add_column("scoring", sa.Column(name, sa.BigInteger(), nullable=True))
    op.create_check_constraint(op.f("ck_scoring_labelled"), "scoring", LABELLED)


def _allow_no_classifier() -> None:
    """Allow predictions without a classifier score.

    SQLite cannot change a column in this way, so the table is copied in the order of its key and
    replaced by the copy. Indexes and triggers that others added are created again. Their views use
    the copy: legacy_alter_table keeps SQLite from reading them while no table has the name.
    """
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("prediction", "classifier_score", nullable=True)
        return
    _refuse_references()
    made = op.get_bind().exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE tbl_name = 'prediction'"
        " AND type IN ('index', 'trigger') AND sql IS NOT NULL"
    )
    indexes_and_triggers = made.scalars().all()
    op.execute(
        "CREATE TABLE prediction_0004 (batch_date DATE NOT NULL, scoring_id INTEGER NOT NULL,"
        " row_number BIGINT NOT NULL, classifier_score DOUBLE, one_class_score DOUBLE NOT NULL,"
        " anomaly_score DOUBLE NOT NULL, is_flagged BOOLEAN NOT NULL,"
        " CONSTRAINT pk_prediction PRIMARY KEY (batch_date, scoring_id, row_number))"
        " WITHOUT ROWID"
    )
    op.execute(
        "INSERT INTO prediction_0004 SELECT batch_date, scoring_id, row_number, classifier_score,"
        " one_class_score, anomaly_score, is_flagged FROM prediction"
        " ORDER BY batch_date, scoring_id, row_number"
    )
    op.execute("DROP TABLE prediction")
    op.execute("PRAGMA legacy_alter_table = ON")
    try:
        op.execute("ALTER TABLE prediction_0004 RENAME TO prediction")
    finally:
        op.execute("PRAGMA legacy_alter_table = OFF")
    for statement in indexes_and_triggers:
        op.get_bind().exec_driver_sql(statement)


def _refuse_references() -> None:
    """Refuse to drop a table to which a user's table refers: that table could lose rows.

    Raises:
        UsageError: a table has a foreign key to the predictions.
    """
    found = op.get_bind().exec_driver_sql(
        "SELECT DISTINCT m.name FROM sqlite_master AS m"
        " INNER JOIN pragma_foreign_key_list(m.name) AS f"
        " WHERE m.type = 'table' AND lower(f.\"table\") = 'prediction'"
    )
    names = ", ".join(found.scalars())
    if names:
        message = (
            "Cannot upgrade the database: the table prediction is copied and replaced, and what"
            f" Noctule did not make refers to it by a foreign key ({names}). Save and drop that,"
            " run `noctule db upgrade`, and make it again. Nothing was changed."
        )
        raise UsageError(message)
