"""The scores of earlier nights, from which a budget and a preview of thresholds are computed.

Belongs here: queries about the scores of whole nights. Does not belong here: choosing a threshold
from them, or the rows of one batch (``scorings``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Engine

from storage.database import read
from storage.schema import batch, prediction, scoring
from storage.scorings import LIVE, SHADOW


@dataclass(frozen=True, kw_only=True)
class EarlierNight:
    """One night's live scorings, and one score of it."""

    night: date
    rows: int
    """Connections scored in all its batches."""
    score: float | None
    """The score that the requested number of connections exceeds, or the lower bound if fewer
    exceed that. None if the model did not score every batch of the night, live or as a shadow."""


@dataclass(frozen=True, kw_only=True)
class ScoredBatch:
    """The scoring of a batch by one model, live or as a shadow."""

    batch_id: str
    scoring_id: int
    night: date
    rows: int
    counts: tuple[int, ...]
    """The number of connections above each requested threshold."""


@dataclass(frozen=True, kw_only=True)
class LabelledBatch:
    """A scored batch that has labelled rows."""

    batch_id: str
    night: date
    file_name: str
    rows: int
    """The number of labelled rows."""


def list_labelled_batches(engine: Engine, contract: str) -> list[LabelledBatch]:
    """Return the scored batches that have labelled rows, latest night first."""
    rows = scoring.c.rows_labelled_normal + scoring.c.rows_labelled_attack
    query = (
        sa.select(
            batch.c.batch_id,
            batch.c.batch_date.label("night"),
            batch.c.file_name,
            rows.label("rows"),
        )
        .join(scoring, scoring.c.batch_id == batch.c.batch_id)
        .where(batch.c.contract == contract, scoring.c.purpose == LIVE, rows > 0)
        .order_by(batch.c.batch_date.desc(), batch.c.received_at.desc(), batch.c.batch_id)
    )
    with read(engine) as connection:
        return [LabelledBatch(**row) for row in connection.execute(query).mappings()]


def read_earlier_nights(
    engine: Engine,
    contract: str,
    version: str,
    *,
    before: date,
    nights: int,
    exceeded_by: int,
    above: float,
) -> list[EarlierNight]:
    """Return the latest nights that have scores, latest first.

    At most ``nights`` nights are returned, all before ``before``. ``exceeded_by`` connections
    exceed the returned score; ``above`` is its lower bound.
    """
    own = sa.and_(scoring.c.model_version_id == version, scoring.c.purpose.in_((LIVE, SHADOW)))
    live = scoring.c.purpose == LIVE
    batches = sa.func.count(sa.distinct(sa.case((live, batch.c.batch_id))))
    scored = (
        sa.select(
            batch.c.batch_date.label("night"),
            sa.func.sum(sa.case((live, scoring.c.rows_scored), else_=0)).label("rows"),
            (batches - sa.func.count(sa.distinct(sa.case((own, batch.c.batch_id))))).label(
                "others"
            ),
        )
        .join(scoring, scoring.c.batch_id == batch.c.batch_id)
        .where(
            batch.c.contract == contract,
            batch.c.batch_date < before,
            scoring.c.purpose.in_((LIVE, SHADOW)),
            scoring.c.rows_scored > 0,
        )
        .group_by(batch.c.batch_date)
        .order_by(batch.c.batch_date.desc())
        .limit(nights)
    )
    with read(engine) as connection:
        return [
            EarlierNight(
                night=row.night,
                rows=int(row.rows),
                score=(
                    None
                    if row.others
                    else _score_exceeded(connection, row.night, version, exceeded_by, above)
                ),
            )
            for row in connection.execute(scored).all()
        ]


def read_usual_rate(
    engine: Engine,
    contract: str,
    version: str,
    operating_point: str,
    *,
    before: date,
    nights: int,
) -> float | None:
    """Return the usual flag rate of a model: the median of its nights.

    At most the latest ``nights`` nights before ``before`` count.

    Returns:
        The share of connections flagged, in [0, 1]; None if there is no such night.
    """
    flagged = (
        sa.select(
            sa.func.sum(scoring.c.rows_flagged).label("flagged"),
            sa.func.sum(scoring.c.rows_scored).label("rows"),
        )
        .join(batch, batch.c.batch_id == scoring.c.batch_id)
        .where(
            batch.c.contract == contract,
            batch.c.batch_date < before,
            scoring.c.purpose == LIVE,
            scoring.c.model_version_id == version,
            scoring.c.operating_point == operating_point,
            scoring.c.rows_scored > 0,
        )
        .group_by(batch.c.batch_date)
        .order_by(batch.c.batch_date.desc())
        .limit(nights)
    )
    with read(engine) as connection:
        rates = [int(row.flagged) / int(row.rows) for row in connection.execute(flagged)]
    return median(rates) if rates else None


def _score_exceeded(
    connection: Connection, night: date, version: str, exceeded_by: int, above: float
) -> float:
    """Return the score that ``exceeded_by`` connections of a night exceed, or else the bound."""
    of_night = (
        sa.select(sa.func.min(scoring.c.scoring_id))  # the live one, if there is a shadow too
        .join(batch, batch.c.batch_id == scoring.c.batch_id)
        .where(
            batch.c.batch_date == night,
            scoring.c.purpose.in_((LIVE, SHADOW)),
            scoring.c.model_version_id == version,
        )
        .group_by(batch.c.batch_id)
    )
    score: float | None = connection.scalar(
        sa.select(prediction.c.anomaly_score)
        .where(
            prediction.c.batch_date == night,
            prediction.c.scoring_id.in_(of_night),
            prediction.c.anomaly_score > above,
        )
        .order_by(prediction.c.anomaly_score.desc())
        .offset(exceeded_by)
        .limit(1)
    )
    return above if score is None else score


def count_above(
    engine: Engine, version: str, thresholds: Sequence[float], *, nights: int
) -> list[ScoredBatch]:
    """Count the connections above some thresholds, in each batch of a model's latest nights.

    If the model scored a batch live and as a shadow, the live scores count. ``thresholds`` are
    values of ``anomaly_score``. At most the latest ``nights`` nights that the model scored count.
    The batches are returned latest night first.
    """
    scored = (
        sa.select(
            batch.c.batch_id,
            batch.c.batch_date.label("night"),
            sa.func.min(scoring.c.scoring_id).label("scoring_id"),
            sa.func.min(scoring.c.rows_scored).label("rows"),
        )
        .join(scoring, scoring.c.batch_id == batch.c.batch_id)
        .where(
            scoring.c.model_version_id == version,
            scoring.c.purpose.in_((LIVE, SHADOW)),
            scoring.c.rows_scored > 0,
        )
        .group_by(batch.c.batch_id, batch.c.batch_date)
        .order_by(batch.c.batch_date.desc(), batch.c.batch_id)
    )
    counts = [
        sa.func.coalesce(sa.func.sum(sa.case((prediction.c.anomaly_score > one, 1), else_=0)), 0)
        for one in thresholds
    ]
    with read(engine) as connection:
        rows = connection.execute(scored).all()
        latest = sorted({row.night for row in rows}, reverse=True)[:nights]
        return [
            ScoredBatch(
                batch_id=row.batch_id,
                scoring_id=row.scoring_id,
                night=row.night,
                rows=int(row.rows),
                counts=_count(connection, row.night, row.scoring_id, counts),
            )
            for row in rows
            if row.night in latest
        ]


def _count(
    connection: Connection, night: date, scoring_id: int, counts: Sequence[ColumnElement[int]]
) -> tuple[int, ...]:
    """Return counts over a scoring's predictions; an empty tuple if none are requested."""
    if not counts:
        return ()
    of_scoring = (prediction.c.batch_date == night, prediction.c.scoring_id == scoring_id)
    return tuple(
        int(one) for one in connection.execute(sa.select(*counts).where(*of_scoring)).one()
    )
