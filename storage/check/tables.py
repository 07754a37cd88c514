"""Checks of the tables: the query of every invariant, the ids of batches, and past champions.

Belongs here: running those queries, and recognising a damaged SQLite file. Does not belong here:
the invariants themselves (``invariants`` and its neighbours) or files (``files``).
"""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from storage.batch_ids import name_batch
from storage.check.batch_invariants import BATCH_INVARIANTS, REPLAY_INVARIANTS
from storage.check.invariants import (
    BY_HAND,
    RESTORE,
    Invariant,
    Problem,
    json_invariants,
    reference_invariants,
)
from storage.check.scoring_invariants import SCORING_INVARIANTS
from storage.database import available
from storage.schema import batch, model_version, promotion

FORBIDDEN_VALUE: Final = "CHECK constraint failed"
"""The start of SQLite's messages about a value, as opposed to the file."""

UNDECODABLE: Final = "Could not decode"
"""The start of the driver's error about bytes that are not text."""

WITH_COUNTED: Final = (
    "WITH counted AS (SELECT batch_date, scoring_id, count(*) AS scored,"
    " sum(CASE WHEN is_flagged THEN 1 ELSE 0 END) AS flagged,"
    " min(row_number) AS first_row, max(row_number) AS last_row"
    " FROM prediction GROUP BY batch_date, scoring_id)"
)
"""Precedes every query. Grain: one scoring and night; a scoring has one night. The predictions are
read once, in the order of their key."""

INVARIANTS: Final = (
    *BATCH_INVARIANTS,
    *SCORING_INVARIANTS,
    *REPLAY_INVARIANTS,
    *reference_invariants(),
    *json_invariants(),
)
"""All invariants, in the order in which they are checked."""

EXAMPLES: Final = 20
"""How many violations of one invariant are listed at most. A guess: many usually have one cause."""


def check_tables(engine: Engine) -> Iterator[Problem]:
    """Yield the problems of the tables, all as of one moment.

    Raises:
        ServiceUnavailableError: the connection to the database was lost.
    """
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with available(engine), engine.connect().execution_options(**options) as connection:
        try:
            yield from check_rows(connection)
        except DBAPIError as error:
            if not _is_damage(error):
                raise
            yield _of_file(str(error.orig))


def check_rows(connection: Connection) -> Iterator[Problem]:
    """Yield the problems of the tables that one transaction sees."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        found = list(_check_file(connection))
        yield from found
        if is_damaged(found):
            return  # reading a table could fail or miss rows
    yield from _check_ids(connection)
    for invariant in INVARIANTS:
        if invariant.dialect in {None, dialect}:
            yield from _find_violations(connection, invariant)
    yield from _check_history(connection)


def is_damaged(found: Iterable[Problem]) -> bool:
    """Return whether the database file is damaged, so that its contents cannot be relied on."""
    return any(problem.advice == RESTORE for problem in found)


def _find_violations(connection: Connection, invariant: Invariant) -> Iterator[Problem]:
    """Yield a problem for each violation of an invariant, up to ``EXAMPLES``."""
    query = sa.text(f"{WITH_COUNTED} {invariant.query} ORDER BY 1, 2")
    with connection.execute(query.execution_options(stream_results=True)) as found:
        rows = found.fetchmany(EXAMPLES + 1)
    for place, (subject, *details) in enumerate(rows[:EXAMPLES], start=1):
        problem = invariant.problem.format(*details)
        if place == EXAMPLES < len(rows):
            problem += "; and more like this"
        yield Problem(
            severity="error", subject=_name(subject), problem=problem, advice=invariant.advice
        )


def _name(subject: object) -> str:
    """Return the subject of a problem; an id of a batch becomes ``batch <id>``."""
    text = str(subject)
    return f"batch {text}" if len(text) == 64 else text  # noqa: PLR2004 - the length of a batch id


def _check_file(connection: Connection) -> Iterator[Problem]:
    """Let SQLite check its file, and every row against its table's constraints."""
    for (said,) in connection.exec_driver_sql(f"PRAGMA integrity_check({EXAMPLES})"):
        if said != "ok":
            is_of_a_value = said.startswith(FORBIDDEN_VALUE)
            yield _of_file(" ".join(said.split()), BY_HAND if is_of_a_value else RESTORE)


def _of_file(said: str, advice: str = RESTORE) -> Problem:
    return Problem(severity="error", subject="database", problem=said, advice=advice)


def _is_damage(error: DBAPIError) -> bool:
    """Return whether an error means that a SQLite file is damaged."""
    # The low byte is the primary error code.
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    return code == sqlite3.SQLITE_CORRUPT or str(error.orig).startswith(UNDECODABLE)


def _check_ids(connection: Connection) -> Iterator[Problem]:
    """Check that the id of every file's batch is that of its content under its contract."""
    columns = (batch.c.batch_id, batch.c.contract, batch.c.content_sha256)
    query = sa.select(*columns).where(batch.c.replayed_batch_id.is_(None))
    for batch_id, contract, content_sha256 in connection.execute(query.order_by(batch.c.batch_id)):
        content = batch_id if content_sha256 is None else content_sha256
        if name_batch(contract, content) != batch_id:
            yield Problem(
                severity="error",
                subject=f"batch {batch_id}",
                problem=f"its id is not that of content {content} under contract {contract}",
                advice=BY_HAND,
            )


def _check_history(connection: Connection) -> Iterator[Problem]:
    """Check that every rollback returns to the champion before, and that every contract has one."""
    champions: dict[str, list[str]] = {
        contract: [] for contract in connection.scalars(sa.select(model_version.c.contract))
    }
    query = sa.select(
        promotion.c.promotion_id,
        promotion.c.contract,
        promotion.c.kind,
        promotion.c.model_version_id,
    )
    for key, contract, kind, version in connection.execute(
        query.order_by(promotion.c.promotion_id)
    ):
        line = champions.setdefault(contract, [])
        if kind == "promote":
            line.append(version)
            continue
        before = line[-2] if len(line) > 1 else "none"
        del line[-1:]
        if version != before:
            yield Problem(
                severity="error",
                subject=f"promotion {key}",
                problem=f"it rolls {contract} back to {version}, but the champion before was"
                f" {before}",
                advice=BY_HAND,
            )
    for contract, line in champions.items():
        if not line:
            yield Problem(
                severity="error",
                subject=f"contract {contract}",
                problem="it has models but no champion",
                advice="choose one: noctule promote VERSION --reason WHY",
            )
