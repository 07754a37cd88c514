"""The rows of a scoring: predictions, flagged connections, reasons and drift, from Parquet to SQL.

Belongs here: storing, replacing and reading one scoring. Does not belong here: its batch and the
transaction (``batches``).
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Table

from expectations.errors import NoctuleError
from storage.bulk import insert_frame, read_slices
from storage.database import read, refresh_statistics
from storage.schema import batch, drift_statistic, flagged_connection, prediction, reason, scoring

LIVE: Final = "live"
"""The purpose of the scoring that the views show."""

SHADOW: Final = "shadow"
"""The purpose of a scoring by a challenger, whose flags do not count."""


@dataclass(frozen=True, kw_only=True)
class LabelledRows:
    """Counts of labelled rows, and of the flagged ones among them."""

    rows_labelled_normal: int
    rows_labelled_attack: int
    rows_flagged_normal: int
    rows_flagged_attack: int


@dataclass(frozen=True, kw_only=True)
class ScoringResult:
    """The scoring of one batch by one model version: its counts, and the files of its rows."""

    model_version: str
    operating_point: str
    threshold: float
    """The threshold of ``anomaly_score``, in decades of surprise."""
    target_flag_rate: float | None
    """The share of rows that the operating point aims to flag; None if it has no target rate."""
    rows_scored: int
    rows_flagged: int
    labelled: LabelledRows | None = None
    """Counts of labelled rows; None if no row has a label."""
    scores: tuple[Path, ...]
    """Grain: one scored row. ``row_number``, ``classifier_score``, ``one_class_score``,
    ``anomaly_score``, ``is_flagged``; further columns stay in the lake."""
    flagged: tuple[Path, ...]
    """Grain: one flagged row. ``row_number``, ``line_number``, ``anomaly_score``, ``record`` (JSON
    text), ``is_explained``."""
    reasons: Path | None
    """Grain: one reason of one flagged row. ``row_number``, ``rank``, ``model``, ``feature``,
    ``observed``, ``expected``, ``contribution``. None if nothing is explained."""
    drift: Path | None
    """Grain: one column and method. ``column``, ``method``, ``statistic``, ``threshold``,
    ``is_drifted``, ``rows_reference``, ``rows_current``. None if drift was not measured."""
    started_at: datetime
    finished_at: datetime


def replace_live_scoring(
    connection: Connection, batch_id: str, batch_date: date, result: ScoringResult
) -> None:
    """Replace the stored live scoring of a batch, but keep its key.

    All rows are deleted and inserted again, which also removes rows that a second run no longer
    has.

    The connection is in a transaction. The night ``batch_date`` is part of the key of each
    prediction. The files of ``result`` are read in slices.

    Raises:
        NoctuleError: the files do not hold as many rows as the result says.
    """
    scoring_id = replace_row(connection, batch_id, batch_date, result, LIVE)
    insert_predictions(connection, scoring_id, batch_date, result)
    key = pl.lit(scoring_id, pl.Int64).alias("scoring_id")
    stored = insert_files(
        connection,
        flagged_connection,
        result.flagged,
        lambda frame: frame.select(key, pl.lit(batch_id).alias("batch_id"), *FLAGGED_COLUMNS),
    )
    require_equal("flagged connections", said=result.rows_flagged, found=stored)
    insert_files(
        connection,
        reason,
        _present(result.reasons),
        lambda frame: frame.select(key, *REASON_COLUMNS),
    )
    insert_files(
        connection,
        drift_statistic,
        _present(result.drift),
        lambda frame: frame.rename({"column": "column_name"}).select(key, *DRIFT_COLUMNS),
    )
    refresh_statistics(connection, scoring, flagged_connection, reason)


def insert_predictions(
    connection: Connection, scoring_id: int, batch_date: date, result: ScoringResult
) -> None:
    """Insert the predictions of a scoring that has none.

    Raises:
        NoctuleError: the files do not hold as many rows, or flags, as the result says.
    """
    key = pl.lit(scoring_id, pl.Int64).alias("scoring_id")
    day = pl.lit(batch_date, pl.Date).alias("batch_date")
    rows_flagged = 0

    def predictions(frame: pl.DataFrame) -> pl.DataFrame:
        nonlocal rows_flagged
        rows_flagged += int(frame.get_column("is_flagged").sum())
        return frame.select(day, key, *PREDICTION_COLUMNS)

    stored = insert_files(connection, prediction, result.scores, predictions)
    require_equal("scored rows", said=result.rows_scored, found=stored)
    require_equal("flagged rows", said=result.rows_flagged, found=rows_flagged)


@dataclass(frozen=True, kw_only=True)
class StoredScoring:
    """The live scoring of a batch as the database has it."""

    scoring_id: int
    batch_date: date
    contract: str
    model_version: str
    operating_point: str
    threshold: float
    rows_stored: int
    """The number of predictions stored, which may differ from the scoring's own count."""


def find_scoring(engine: Engine, batch_id: str) -> StoredScoring | None:
    """Return the live scoring of a batch; None if it has none."""
    query = (
        sa.select(
            scoring.c.scoring_id,
            batch.c.batch_date,
            batch.c.contract,
            scoring.c.model_version_id.label("model_version"),
            scoring.c.operating_point,
            scoring.c.threshold,
            sa.select(sa.func.count())
            .where(
                prediction.c.batch_date == batch.c.batch_date,
                prediction.c.scoring_id == scoring.c.scoring_id,
            )
            .scalar_subquery()
            .label("rows_stored"),
        )
        .join(batch, batch.c.batch_id == scoring.c.batch_id)
        .where(scoring.c.batch_id == batch_id, scoring.c.purpose == LIVE)
    )
    with read(engine) as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else StoredScoring(**row._mapping)  # noqa: SLF001 - its public name


def read_predictions(engine: Engine, stored: StoredScoring, first: int, last: int) -> pl.DataFrame:
    """Return the predictions of a range of rows of a scoring.

    ``first`` and ``last`` are the lowest and the highest row number.

    Returns:
        Grain: one row, sorted by ``row_number``; ``classifier_score``, ``one_class_score``,
        ``anomaly_score``, ``is_flagged``.
    """
    columns = [prediction.c[name] for name in PREDICTION_COLUMNS]
    query = (
        sa.select(*columns)
        .where(
            prediction.c.batch_date == stored.batch_date,
            prediction.c.scoring_id == stored.scoring_id,
            prediction.c.row_number.between(first, last),
        )
        .order_by(prediction.c.row_number)
    )
    kinds = {"row_number": pl.Int64, "is_flagged": pl.Boolean}
    schema = {name: kinds.get(name, pl.Float64) for name in PREDICTION_COLUMNS}
    with read(engine) as connection:
        rows = connection.execute(query).all()
    return pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")


def _columns(table: Table, *filled: str) -> tuple[str, ...]:
    """Return the columns that come from a file: all except those filled in here."""
    return tuple(column.name for column in table.columns if column.name not in filled)


PREDICTION_COLUMNS: Final = _columns(prediction, "scoring_id", "batch_date")
FLAGGED_COLUMNS: Final = _columns(flagged_connection, "scoring_id", "batch_id")
REASON_COLUMNS: Final = _columns(reason, "scoring_id")
LABELLED_COLUMNS: Final = tuple(one.name for one in fields(LabelledRows))
DRIFT_COLUMNS: Final = _columns(drift_statistic, "scoring_id")


def _present(path: Path | None) -> tuple[Path, ...]:
    return () if path is None else (path,)


def replace_row(
    connection: Connection, batch_id: str, batch_date: date, result: ScoringResult, purpose: str
) -> int:
    """Write the row of a scoring, and delete all rows that refer to it.

    A batch has at most one scoring for each purpose, whichever model made it.
    """
    facts = {
        "batch_id": batch_id,
        "model_version_id": result.model_version,
        "purpose": purpose,
        "operating_point": result.operating_point,
        "threshold": result.threshold,
        "target_flag_rate": result.target_flag_rate,
        "flag_rate": result.rows_flagged / result.rows_scored if result.rows_scored else None,
        "rows_scored": result.rows_scored,
        "rows_flagged": result.rows_flagged,
        **dict.fromkeys(LABELLED_COLUMNS),
        **({} if result.labelled is None else asdict(result.labelled)),
        "started_at": result.started_at,
        "finished_at": result.finished_at,
    }
    kept = find_scoring_id(connection, batch_id, purpose)
    if kept is None:
        inserted = sa.insert(scoring).values(facts).returning(scoring.c.scoring_id)
        return int(connection.execute(inserted).scalar_one())
    connection.execute(
        sa.delete(prediction).where(
            prediction.c.batch_date == batch_date, prediction.c.scoring_id == kept
        )
    )
    for table in (reason, flagged_connection, drift_statistic):
        connection.execute(sa.delete(table).where(table.c.scoring_id == kept))
    connection.execute(sa.update(scoring).where(scoring.c.scoring_id == kept).values(facts))
    return kept


def find_scoring_id(connection: Connection, batch_id: str, purpose: str) -> int | None:
    """Return the key of a batch's scoring for a purpose; None if there is none."""
    found: int | None = connection.scalar(
        sa.select(scoring.c.scoring_id).where(
            scoring.c.batch_id == batch_id, scoring.c.purpose == purpose
        )
    )
    return found


def insert_files(
    connection: Connection,
    table: Table,
    paths: Iterable[Path],
    shape: Callable[[pl.DataFrame], pl.DataFrame],
) -> int:
    """Insert Parquet files into a table, slice by slice; return the number of rows.

    The connection is in a transaction. The files are read in the order of ``paths``; ``shape``
    converts a slice to the table's columns.
    """
    return sum(
        insert_frame(connection, table, shape(frame))
        for path in paths
        for frame in read_slices(path)
    )


def require_equal(what: str, *, said: int, found: int) -> None:
    """Compare a count of a summary with the rows found.

    Raises:
        NoctuleError: they differ.
    """
    if said != found:
        message = (
            f"Cannot store the scoring: its summary counts {said:,} {what}, but its files hold"
            f" {found:,}. A file of the batch's folder was changed, or this is a bug. Nothing was"
            " stored. Remove the batch's folder from the lake and score the file again."
        )
        raise NoctuleError(message)
