"""Shadow scorings: a challenger's predictions of a batch, and how they differ from the live ones.

Belongs here: storing both. Does not belong here: the comparison itself (``tasks.shadow``), or live
scorings (see ``scorings``). A shadow has no flagged connections: its flags are in its predictions,
and do not count.
"""

from dataclasses import asdict, dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy import Connection

from storage.database import insert_or_update, refresh_statistics
from storage.schema import prediction, scoring, scoring_comparison
from storage.scorings import SHADOW, ScoringResult, insert_predictions, replace_row


@dataclass(frozen=True, kw_only=True)
class ScoringComparison:
    """How a shadow's flags and scores differ from the live ones of the same rows."""

    rows_compared: int
    rows_flagged_by_both: int
    rows_flagged_by_live: int
    """And not by the shadow."""
    rows_flagged_by_shadow: int
    """And not live."""
    rank_correlation: float | None


@dataclass(frozen=True, kw_only=True)
class ShadowResult:
    """What a challenger made of a batch, beside the champion."""

    scoring: ScoringResult
    """Without flagged connections, reasons or drift."""
    comparison: ScoringComparison


def replace_shadow_scoring(
    connection: Connection,
    batch_id: str,
    batch_date: date,
    live_scoring_id: int,
    result: ShadowResult,
) -> None:
    """Make the stored shadow scoring of a batch what the result says.

    Args:
        connection: with a transaction begun.
        batch_id: the batch.
        batch_date: its date.
        live_scoring_id: the scoring it was compared with.
        result: files are read in slices, never whole.

    Raises:
        NoctuleError: the files do not hold as many rows as the result says.
    """
    scoring_id = replace_row(connection, batch_id, batch_date, result.scoring, SHADOW)
    insert_predictions(connection, scoring_id, batch_date, result.scoring)
    facts = {"live_scoring_id": live_scoring_id, **asdict(result.comparison)}
    connection.execute(
        insert_or_update(connection, scoring_comparison)
        .values(scoring_id=scoring_id, **facts)
        .on_conflict_do_update(index_elements=[scoring_comparison.c.scoring_id], set_=facts)
    )
    refresh_statistics(connection, scoring)


def remove_shadow_scoring(connection: Connection, batch_id: str, batch_date: date) -> None:
    """Remove the shadow scoring of a batch that is stored anew without one."""
    found = connection.scalar(
        sa.select(scoring.c.scoring_id).where(
            scoring.c.batch_id == batch_id, scoring.c.purpose == SHADOW
        )
    )
    if found is None:
        return
    below = (prediction.c.batch_date == batch_date, prediction.c.scoring_id == found)
    connection.execute(sa.delete(prediction).where(*below))
    connection.execute(
        sa.delete(scoring_comparison).where(scoring_comparison.c.scoring_id == found)
    )
    connection.execute(sa.delete(scoring).where(scoring.c.scoring_id == found))
