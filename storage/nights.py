"""What earlier nights scored, by a model: what a budget is kept by, and a preview counts.

Belongs here: questions about the scores of whole nights. Does not belong here: which threshold
follows from the answers, or the rows of one batch (see ``scorings``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from storage.database import read
from storage.schema import batch, prediction, scoring
from storage.scorings import LIVE, SHADOW


@dataclass(frozen=True, kw_only=True)
class EarlierNight:
    """One night's live scorings, and a score of it."""

    night: date
    rows: int
    """Connections scored, of all its batches."""
    score: float | None
    """The score that as many connections exceed as were asked for, or the bound where fewer exceed
    that; None where another model scored a batch of that night."""


@dataclass(frozen=True, kw_only=True)
class ScoredBatch:
    """A batch as one model scored it, live or as a shadow."""

    batch_id: str
    scoring_id: int
    night: date
    rows: int
    counts: tuple[int, ...]
    """Connections above each threshold that was asked for."""


@dataclass(frozen=True, kw_only=True)
class LabelledBatch:
    """A scored batch whose rows came with labels."""

    batch_id: str
    night: date
    file_name: str
    rows: int
    """Those that have a label."""


def list_labelled_batches(engine: Engine, contract: str) -> list[LabelledBatch]:
    """List the scored batches that have labels, latest night first."""
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
    """Read the latest nights that have scores, latest first.

    Args:
        engine: the database.
        contract: of the batches.
        version: the model whose scores are asked for.
        before: only nights before this one.
        nights: at most so many.
        exceeded_by: how many connections are to exceed the score.
        above: scores up to here are not looked at.
    """
    scored = (
        sa.select(
            batch.c.batch_date.label("night"),
            sa.func.sum(scoring.c.rows_scored).label("rows"),
            sa.func.sum(sa.case((scoring.c.model_version_id == version, 0), else_=1)).label(
                "others"
            ),
        )
        .join(scoring, scoring.c.batch_id == batch.c.batch_id)
        .where(
            batch.c.contract == contract,
            batch.c.batch_date < before,
            scoring.c.purpose == LIVE,
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


def _score_exceeded(
    connection: Connection, night: date, version: str, exceeded_by: int, above: float
) -> float:
    """Return the score of a night that so many connections exceed; the bound where fewer do."""
    of_night = (
        sa.select(scoring.c.scoring_id)
        .join(batch, batch.c.batch_id == scoring.c.batch_id)
        .where(
            batch.c.batch_date == night,
            scoring.c.purpose == LIVE,
            scoring.c.model_version_id == version,
        )
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
    """Count the connections above some thresholds, in every batch of a model's latest nights.

    Args:
        engine: the database.
        version: the model; of a batch that it scored live and as a shadow, the live scores count.
        thresholds: of ``anomaly_score``.
        nights: the latest ones that it scored; at most so many.

    Returns:
        The batches, latest night first.
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
                counts=tuple(
                    int(count)
                    for count in connection.execute(
                        sa.select(*counts).where(
                            prediction.c.batch_date == row.night,
                            prediction.c.scoring_id == row.scoring_id,
                        )
                    ).one()
                ),
            )
            for row in rows
            if row.night in latest
        ]
