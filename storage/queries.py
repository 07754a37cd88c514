"""What is stored, read for the command line: rows of the analyst's views, filtered and limited.

Belongs here: SELECTs over the views. Does not belong here: their layout on a terminal, or any
write.

Every function returns plain dictionaries in the order a reader wants them; times are aware and
JSON columns are decoded on both databases.
"""

from collections.abc import Collection
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy import (
    JSON,
    Boolean,
    Connection,
    Date,
    Double,
    Engine,
    Integer,
    Select,
    TableClause,
    Text,
)

from expectations.errors import UsageError
from storage import schema
from storage.column_types import UtcTime
from storage.database import read
from storage.schema import model_version, validation_result

Row = dict[str, Any]
"""One row, by column name."""

flagged_connections = sa.table(
    "flagged_connections",
    sa.column("connection_id", Text),
    sa.column("batch_id", Text),
    sa.column("batch_date", Date),
    sa.column("contract", Text),
    sa.column("file_name", Text),
    sa.column("row_number", Integer),
    sa.column("line_number", Integer),
    sa.column("anomaly_score", Double),
    sa.column("threshold", Double),
    sa.column("operating_point", Text),
    sa.column("reasons", JSON),
    sa.column("is_explained", Boolean),
    sa.column("attack_category", Text),
    sa.column("category_probability", Double),
    sa.column("attack_technique", Text),
    sa.column("record", JSON),
    sa.column("model_version", Text),
)
batch_summary = sa.table(
    "batch_summary",
    sa.column("batch_id", Text),
    sa.column("batch_date", Date),
    sa.column("file_name", Text),
    sa.column("contract", Text),
    sa.column("status", Text),
    sa.column("rows_read", Integer),
    sa.column("rows_scored", Integer),
    sa.column("rows_quarantined", Integer),
    sa.column("rows_rejected", Integer),
    sa.column("rows_known", Integer),
    sa.column("rows_flagged", Integer),
    sa.column("model_version", Text),
    sa.column("operating_point", Text),
    sa.column("threshold", Double),
    sa.column("target_flag_rate", Double),
    sa.column("flag_rate", Double),
    sa.column("rows_labelled_normal", Integer),
    sa.column("rows_labelled_attack", Integer),
    sa.column("false_positive_rate", Double),
    sa.column("recall", Double),
    sa.column("rejection", Text),
    sa.column("received_at", UtcTime),
    sa.column("started_at", UtcTime),
    sa.column("finished_at", UtcTime),
    sa.column("known_batch_id", Text),
    sa.column("replayed_batch_id", Text),
    sa.column("is_open", Boolean),
    sa.column("dismissed_at", UtcTime),
    sa.column("dismissed_by", Text),
    sa.column("dismissal_reason", Text),
)
open_rejections = sa.table(
    "open_rejections",
    sa.column("batch_id", Text),
    sa.column("batch_date", Date),
    sa.column("file_name", Text),
    sa.column("contract", Text),
    sa.column("rejection", Text),
    sa.column("source_path", Text),
    sa.column("arrived_at", UtcTime),
)
quarantined_rows = sa.table(
    "quarantined_rows",
    sa.column("batch_id", Text),
    sa.column("batch_date", Date),
    sa.column("file_name", Text),
    sa.column("contract", Text),
    sa.column("row_number", Integer),
    sa.column("line_number", Integer),
    sa.column("stage", Text),
    sa.column("reasons", JSON),
    sa.column("raw_text", Text),
    sa.column("corrected_by", Text),
)
drift_summary = sa.table(
    "drift_summary",
    sa.column("batch_id", Text),
    sa.column("batch_date", Date),
    sa.column("file_name", Text),
    sa.column("contract", Text),
    sa.column("model_version", Text),
    sa.column("column_name", Text),
    sa.column("statistic", Double),
    sa.column("method", Text),
    sa.column("threshold", Double),
    sa.column("is_drifted", Boolean),
    sa.column("rows_reference", Integer),
    sa.column("rows_current", Integer),
    sa.column("methods", Integer),
    sa.column("methods_drifted", Integer),
)
model_history = sa.table(
    "model_history",
    sa.column("promotion_id", Integer),
    sa.column("contract", Text),
    sa.column("model_version", Text),
    sa.column("previous_model_version", Text),
    sa.column("live_from", UtcTime),
    sa.column("live_until", UtcTime),
    sa.column("kind", Text),
    sa.column("promoted_by", Text),
    sa.column("reason", Text),
)
promotion_decisions = sa.table(
    "promotion_decisions",
    sa.column("promotion_decision_id", Integer),
    sa.column("contract", Text),
    sa.column("decided_at", UtcTime),
    sa.column("decision", Text),
    sa.column("recipe", Text),
    sa.column("challenger", Text),
    sa.column("champion", Text),
    sa.column("reason", Text),
    sa.column("evidence", JSON),
)
shadow_comparison = sa.table(
    "shadow_comparison",
    sa.column("batch_id", Text),
    sa.column("batch_date", Date),
    sa.column("file_name", Text),
    sa.column("contract", Text),
    sa.column("model_version", Text),
    sa.column("shadow_version", Text),
    sa.column("rows_compared", Integer),
    sa.column("rows_flagged", Integer),
    sa.column("rows_flagged_by_shadow", Integer),
    sa.column("rows_flagged_by_both", Integer),
    sa.column("rows_flagged_live_only", Integer),
    sa.column("rows_flagged_shadow_only", Integer),
    sa.column("rank_correlation", Double),
    sa.column("false_positive_rate", Double),
    sa.column("false_positive_rate_of_shadow", Double),
    sa.column("recall", Double),
    sa.column("recall_of_shadow", Double),
    sa.column("is_model_fitted_on_it", Boolean),
    sa.column("is_shadow_fitted_on_it", Boolean),
    sa.column("shadow_scoring_id", Integer),
)


def flagged_rows(
    engine: Engine, *, batch: str | None = None, night: date | None = None, limit: int | None = None
) -> list[Row]:
    """List flagged connections, highest score first.

    Args:
        engine: the database.
        batch: of this batch only; its id or a unique beginning of it.
        night: without a batch, of this night only; without either, of the latest night that has a
            finished batch.
        limit: at most so many; None for all.

    Raises:
        UsageError: no batch, or more than one, has an id that begins so.
    """
    view = flagged_connections
    with read(engine) as connection:
        query = _choose(connection, sa.select(view), view, batch, night)
        return _rows(connection, query.order_by(view.c.anomaly_score.desc()).limit(limit))


def batch_rows(engine: Engine, *, night: date | None = None, limit: int | None = None) -> list[Row]:
    """List batches, latest night first.

    Args:
        engine: the database.
        night: of this night only.
        limit: at most so many; None for all.
    """
    view = batch_summary
    query = sa.select(view)
    if night is not None:
        query = query.where(view.c.batch_date == night)
    query = query.order_by(view.c.batch_date.desc(), view.c.received_at.desc(), view.c.batch_id)
    with read(engine) as connection:
        return _rows(connection, query.limit(limit))


def open_rejection_rows(
    engine: Engine, *, contract: str | None = None, batches: Collection[str] | None = None
) -> list[Row]:
    """List the files that were rejected and are open, the latest night first.

    Args:
        engine: the database.
        contract: of this contract only.
        batches: of these batches only, by their whole ids.
    """
    view = open_rejections
    query = sa.select(view)
    if contract is not None:
        query = query.where(view.c.contract == contract)
    if batches is not None:
        query = query.where(view.c.batch_id.in_(batches))
    query = query.order_by(view.c.batch_date.desc(), view.c.arrived_at.desc(), view.c.source_path)
    with read(engine) as connection:
        return _rows(connection, query)


def quarantine_rows(
    engine: Engine, *, batch: str | None = None, night: date | None = None, limit: int | None = None
) -> list[Row]:
    """List quarantined rows in the order of their files; arguments as of ``flagged_rows``."""
    view = quarantined_rows
    with read(engine) as connection:
        query = _choose(connection, sa.select(view), view, batch, night)
        return _rows(connection, query.order_by(view.c.batch_id, view.c.row_number).limit(limit))


def drift_rows(
    engine: Engine, *, batch: str | None = None, night: date | None = None, limit: int | None = None
) -> list[Row]:
    """List columns by how far they moved, farthest first in units of their threshold.

    Arguments as of ``flagged_rows``.
    """
    view = drift_summary
    with read(engine) as connection:
        query = _choose(connection, sa.select(view), view, batch, night)
        distance = sa.func.coalesce(view.c.statistic / sa.func.nullif(view.c.threshold, 0.0), 0.0)
        query = query.order_by(view.c.batch_id, distance.desc(), view.c.column_name)
        return _rows(connection, query.limit(limit))


def validation_rows(
    engine: Engine, batch: str, *, is_success: bool | None = None, limit: int | None = None
) -> list[Row]:
    """List the expectations checked on one batch, failed ones first, then as they were checked.

    Args:
        engine: the database.
        batch: its id or a unique beginning of it.
        is_success: only those that held, or only those that did not.
        limit: at most so many; None for all.

    Raises:
        UsageError: no batch, or more than one, has an id that begins so.
    """
    table = validation_result
    with read(engine) as connection:
        query = sa.select(table).where(table.c.batch_id == _resolve(connection, batch))
        if is_success is not None:
            query = query.where(table.c.is_success.is_(is_success))
        return _rows(connection, query.order_by(table.c.is_success, table.c.ordinal).limit(limit))


def model_rows(
    engine: Engine, *, contract: str | None = None, limit: int | None = None
) -> list[Row]:
    """List model versions, latest first, each with whether it ``is_champion``."""
    table = model_version
    is_champion = sa.exists().where(
        model_history.c.model_version == table.c.model_version_id,
        model_history.c.live_until.is_(None),
    )
    query = sa.select(
        table.c.model_version_id.label("model_version"),
        table.c.contract,
        is_champion.label("is_champion"),
        table.c.registered_at,
        table.c.rows_trained,
        table.c.metrics,
        table.c.training,
    )
    if contract is not None:
        query = query.where(table.c.contract == contract)
    query = query.order_by(table.c.registered_at.desc(), table.c.model_version_id)
    with read(engine) as connection:
        return _rows(connection, query.limit(limit))


def history_rows(
    engine: Engine, *, contract: str | None = None, limit: int | None = None
) -> list[Row]:
    """List changes of champion, latest first."""
    query = sa.select(model_history)
    if contract is not None:
        query = query.where(model_history.c.contract == contract)
    with read(engine) as connection:
        return _rows(connection, query.order_by(model_history.c.promotion_id.desc()).limit(limit))


def decision_rows(
    engine: Engine, *, contract: str | None = None, limit: int | None = None
) -> list[Row]:
    """List the challengers that were weighed against a champion, latest first."""
    view = promotion_decisions
    query = sa.select(view)
    if contract is not None:
        query = query.where(view.c.contract == contract)
    with read(engine) as connection:
        return _rows(connection, query.order_by(view.c.promotion_decision_id.desc()).limit(limit))


def shadow_rows(
    engine: Engine, *, batch: str | None = None, night: date | None = None, limit: int | None = None
) -> list[Row]:
    """List comparisons of shadows with live scorings; arguments as of ``flagged_rows``."""
    view = shadow_comparison
    with read(engine) as connection:
        query = _choose(connection, sa.select(view), view, batch, night)
        query = query.order_by(view.c.batch_id, view.c.shadow_version)
        return _rows(connection, query.limit(limit))


def resolve_batch(engine: Engine, beginning: str) -> str:
    """Complete the beginning of a batch id.

    Raises:
        UsageError: no batch, or more than one, has an id that begins so.
    """
    with read(engine) as connection:
        return _resolve(connection, beginning)


def latest_night(engine: Engine) -> date | None:
    """Return the latest night that has a finished batch; None where no batch is finished."""
    with read(engine) as connection:
        return _latest_night(connection)


def training_sources(engine: Engine, version: str) -> dict[str, str]:
    """Return the files a model version was fitted on: SHA-256 of the content -> name."""
    table = model_version
    with read(engine) as connection:
        training = connection.scalar(
            sa.select(table.c.training).where(table.c.model_version_id == version)
        )
    return dict((training or {}).get("sources", {}))


def _latest_night(connection: Connection) -> date | None:
    night: date | None = connection.scalar(
        sa.select(sa.func.max(schema.batch.c.batch_date)).where(schema.batch.c.status != "received")
    )
    return night


def _choose(
    connection: Connection,
    query: Select[Any],
    view: TableClause,
    batch: str | None,
    night: date | None,
) -> Select[Any]:
    """Narrow a query to a batch, else to a night, else to the latest night with a result."""
    if batch is not None:
        chosen = [_resolve(connection, batch)]
    else:
        night = night or _latest_night(connection)
        chosen = list(
            connection.scalars(
                sa.select(schema.batch.c.batch_id).where(schema.batch.c.batch_date == night)
            )
        )
    # By ids, usually one: the indexes below a batch start with it.
    return query.where(view.c.batch_id.in_(chosen))


def _resolve(connection: Connection, beginning: str) -> str:
    """Complete the beginning of a batch id.

    Raises:
        UsageError: no batch, or more than one, has an id that begins so.
    """
    query = sa.select(schema.batch.c.batch_id).where(
        schema.batch.c.batch_id.startswith(beginning.lower(), autoescape=True)
    )
    found = connection.scalars(query.limit(2)).all()
    if len(found) == 1:
        return str(found[0])
    what = "More than one batch has" if found else "No batch has"
    message = f"{what} an id that begins with {beginning!r}. `noctule batches --json` lists them."
    raise UsageError(message)


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]
