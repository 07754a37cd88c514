"""Shadow scorings: a challenger's predictions of a batch, and how they differ from the live ones.

Belongs here: storing both. Does not belong here: the comparison itself (``tasks.scoring.shadow``),
or live scorings (see ``scorings``). A shadow has no flagged connections: its flags are in its
predictions, and do not count.
"""

from dataclasses import asdict, dataclass
from datetime import date

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from storage.claims import Claim, check_fence
from storage.database import refresh_statistics, write
from storage.schema import prediction, scoring, scoring_comparison
from storage.scorings import (
    LIVE,
    SHADOW,
    ScoringResult,
    find_scoring_id,
    insert_predictions,
    replace_row,
)


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


def commit_shadow(engine: Engine, held: Claim, result: ShadowResult) -> None:
    """Store a shadow scoring beside the live one, in a transaction of its own: all, or nothing.

    The batch is stored already, and stays so whatever becomes of this.

    Args:
        engine: the database.
        held: the claim under which the batch was scored and stored.
        result: facts, and Parquet files that are read slice by slice.

    Raises:
        ClaimLostError: another run has claimed the batch since.
        NoctuleError: the files do not hold as many rows as the result says.
        ServiceUnavailableError: the database went away.
    """
    with write(engine) as connection:
        row = check_fence(connection, held)
        live_id = find_scoring_id(connection, held.batch_id, LIVE)
        assert live_id is not None, "commit_batch comes first"  # noqa: S101 - our own mistake
        place = (connection, held.batch_id, row["batch_date"])
        remove_shadow_scoring(*place)
        scoring_id = replace_row(*place, result.scoring, SHADOW)
        insert_predictions(connection, scoring_id, row["batch_date"], result.scoring)
        connection.execute(
            sa.insert(scoring_comparison).values(
                scoring_id=scoring_id, live_scoring_id=live_id, **asdict(result.comparison)
            )
        )
        refresh_statistics(connection, scoring)


def remove_shadow_scoring(connection: Connection, batch_id: str, batch_date: date) -> None:
    """Remove the shadow scoring of a batch, if it has one, with all that lies below it.

    Args:
        connection: with a transaction begun.
        batch_id: the batch.
        batch_date: its date.
    """
    found = find_scoring_id(connection, batch_id, SHADOW)
    if found is None:
        return
    below = (prediction.c.batch_date == batch_date, prediction.c.scoring_id == found)
    connection.execute(sa.delete(prediction).where(*below))
    connection.execute(
        sa.delete(scoring_comparison).where(scoring_comparison.c.scoring_id == found)
    )
    connection.execute(sa.delete(scoring).where(scoring.c.scoring_id == found))
