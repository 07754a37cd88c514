"""Queries of the command line: rows of the analyst's views, filtered, sorted and limited.

Belongs here: SELECTs from the views. Does not belong here: their layout on a terminal
(``flows.cli``), or any write.

Every function returns dictionaries. Times have a zone and JSON columns are decoded on both
databases.
"""

from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Select, TableClause

from expectations.errors import UsageError
from storage import schema
from storage.database import read
from storage.schema import model_version, validation_result
from storage.text import storable
from storage.views.columns import VIEW_TABLES

Row = dict[str, Any]
"""One row, by column name."""

flagged_connections = VIEW_TABLES["flagged_connections"]
batch_summary = VIEW_TABLES["batch_summary"]
open_rejections = VIEW_TABLES["open_rejections"]
quarantined_rows = VIEW_TABLES["quarantined_rows"]
drift_summary = VIEW_TABLES["drift_summary"]
model_history = VIEW_TABLES["model_history"]
promotion_decisions = VIEW_TABLES["promotion_decisions"]
shadow_comparison = VIEW_TABLES["shadow_comparison"]


def flagged_rows(
    engine: Engine,
    *,
    batch: str | None = None,
    night: date | None = None,
    contract: str | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Return flagged connections, highest score first.

    ``batch`` is an id or a unique prefix of it. Without a batch, the rows are those of ``night``;
    without either, those of the latest night that has a finished batch. ``contract`` limits both to
    batches of a contract. ``limit`` is the most rows to return; None for all.

    Raises:
        UsageError: the prefix fits no batch, or more than one.
    """
    view = flagged_connections
    return _of_night(engine, view, batch, night, contract, limit, view.c.anomaly_score.desc())


def batch_rows(
    engine: Engine,
    *,
    night: date | None = None,
    contract: str | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Return batches, latest night first.

    ``limit`` is the most rows to return. None means all nights, all contracts, or all rows.
    """
    view = batch_summary
    query = sa.select(view)
    if night is not None:
        query = query.where(view.c.batch_date == night)
    if contract is not None:
        query = query.where(view.c.contract == contract)
    query = query.order_by(view.c.batch_date.desc(), view.c.received_at.desc(), view.c.batch_id)
    with read(engine) as connection:
        return _rows(connection, query.limit(limit))


def open_rejection_rows(
    engine: Engine, *, contract: str | None = None, batches: Collection[str] | None = None
) -> list[Row]:
    """Return the rejected files that are open, latest night first.

    ``batches`` are full ids. None means all contracts, or all batches.
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


def is_rejection_open(engine: Engine, batch_id: str, source: Path) -> bool:
    """Return whether the rejection of a file, by its absolute path, is still open."""
    path = storable(str(source))
    return any(
        row["source_path"] == path for row in open_rejection_rows(engine, batches=[batch_id])
    )


def quarantine_rows(
    engine: Engine,
    *,
    batch: str | None = None,
    night: date | None = None,
    contract: str | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Return quarantined rows in file order; the arguments are those of ``flagged_rows``."""
    view = quarantined_rows
    order = (view.c.batch_id, view.c.row_number)
    return _of_night(engine, view, batch, night, contract, limit, *order)


def drift_rows(
    engine: Engine,
    *,
    batch: str | None = None,
    night: date | None = None,
    contract: str | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Return the drift of columns, the largest multiple of the threshold first.

    The arguments are those of ``flagged_rows``.
    """
    view = drift_summary
    distance = sa.func.coalesce(view.c.statistic / sa.func.nullif(view.c.threshold, 0.0), 0.0)
    order = (view.c.batch_id, distance.desc(), view.c.column_name)
    return _of_night(engine, view, batch, night, contract, limit, *order)


def validation_rows(
    engine: Engine, batch: str, *, is_success: bool | None = None, limit: int | None = None
) -> list[Row]:
    """Return the expectations checked on one batch, failed ones first, in the order of checking.

    ``batch`` is an id or a unique prefix of it. ``is_success`` selects those that held, or those
    that failed; None for all. ``limit`` is the most rows to return; None for all.

    Raises:
        UsageError: the prefix fits no batch, or more than one.
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
    """Return model versions, latest first; ``is_champion`` marks the current champions."""
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
    """Return changes of champion, latest first."""
    return _newest(engine, model_history, "promotion_id", contract, limit)


def decision_rows(
    engine: Engine, *, contract: str | None = None, limit: int | None = None
) -> list[Row]:
    """Return decisions about challengers, latest first."""
    return _newest(engine, promotion_decisions, "promotion_decision_id", contract, limit)


def _newest(
    engine: Engine, view: TableClause, key: str, contract: str | None, limit: int | None
) -> list[Row]:
    """Return rows of a view by descending key, of one contract or of all."""
    query = sa.select(view).order_by(view.c[key].desc()).limit(limit)
    if contract is not None:
        query = query.where(view.c.contract == contract)
    with read(engine) as connection:
        return _rows(connection, query)


def shadow_rows(
    engine: Engine,
    *,
    batch: str | None = None,
    night: date | None = None,
    contract: str | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Return comparisons of shadows with live scorings; arguments as for ``flagged_rows``."""
    view = shadow_comparison
    order = (view.c.batch_id, view.c.shadow_version)
    return _of_night(engine, view, batch, night, contract, limit, *order)


def resolve_batch(engine: Engine, prefix: str) -> str:
    """Return the batch id that has a prefix.

    Raises:
        UsageError: the prefix fits no batch, or more than one.
    """
    with read(engine) as connection:
        return _resolve(connection, prefix)


def latest_night(engine: Engine, contract: str | None = None) -> date | None:
    """Return the latest night that has a finished batch, of a contract or of any; None if none."""
    with read(engine) as connection:
        return _latest_night(connection, contract)


def contracts_of_night(engine: Engine, night: date | None = None) -> tuple[str, ...]:
    """Return the contracts of a night's batches, by name; without a night, of the latest one."""
    with read(engine) as connection:
        night = night or _latest_night(connection, None)
        found = sa.select(schema.batch.c.contract).where(schema.batch.c.batch_date == night)
        return tuple(connection.scalars(found.distinct().order_by(schema.batch.c.contract)))


def training_sources(engine: Engine, version: str) -> dict[str, str]:
    """Return the files that a model version was fitted on: SHA-256 of the content -> name."""
    table = model_version
    with read(engine) as connection:
        training = connection.scalar(
            sa.select(table.c.training).where(table.c.model_version_id == version)
        )
    return dict((training or {}).get("sources", {}))


def _latest_night(connection: Connection, contract: str | None) -> date | None:
    query = sa.select(sa.func.max(schema.batch.c.batch_date)).where(
        schema.batch.c.status != "received", *_of_contract(contract)
    )
    night: date | None = connection.scalar(query)
    return night


def _of_contract(contract: str | None) -> list[sa.ColumnElement[bool]]:
    """Return the condition that a batch is of a contract; nothing for any."""
    return [] if contract is None else [schema.batch.c.contract == contract]


def _of_night(
    engine: Engine,
    view: TableClause,
    batch: str | None,
    night: date | None,
    contract: str | None,
    limit: int | None,
    *order: sa.ColumnElement[Any],
) -> list[Row]:
    """Return rows of a batch, or else of a night, or else of the latest finished night.

    The contract limits the nights.
    """
    with read(engine) as connection:
        if batch is not None:
            chosen = [_resolve(connection, batch)]
        else:
            night = night or _latest_night(connection, contract)
            of_night = sa.select(schema.batch.c.batch_id).where(
                schema.batch.c.batch_date == night, *_of_contract(contract)
            )
            chosen = list(connection.scalars(of_night))
        # By batch ids, usually one, because the indexes of the tables start with it.
        query = sa.select(view).where(view.c.batch_id.in_(chosen))
        return _rows(connection, query.order_by(*order).limit(limit))


def _resolve(connection: Connection, prefix: str) -> str:
    """Return the batch id that has a prefix, as ``resolve_batch`` does."""
    query = sa.select(schema.batch.c.batch_id).where(
        schema.batch.c.batch_id.startswith(prefix.lower(), autoescape=True)
    )
    found = connection.scalars(query.limit(2)).all()
    if len(found) == 1:
        return str(found[0])
    what = "More than one batch has" if found else "No batch has"
    message = f"{what} an id that begins with {prefix!r}. `noctule batches --json` lists them."
    raise UsageError(message)


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]
