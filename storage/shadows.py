"""Shadow scorings: a challenger's predictions of a batch, and how they differ from the live ones.

Belongs here: storing both. Does not belong here: comparing them (``tasks.scoring.shadow``), or live
scorings (``scorings``). A shadow has no flagged connections: its flags do not count, and are stored
only in its predictions.
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
    """Rows that only the live scoring flagged."""
    rows_flagged_by_shadow: int
    """Rows that only the shadow flagged."""
    rank_correlation: float | None


@dataclass(frozen=True, kw_only=True)
class ShadowResult:
    """The scoring of a batch by a challenger, and its comparison with the champion's."""

    scoring: ScoringResult
    """The scoring, without flagged connections, reasons or drift."""
    comparison: ScoringComparison


def commit_shadow(engine: Engine, held: Claim, result: ShadowResult) -> None:
    """Store a shadow scoring in addition to the live one, in one transaction.

    The batch is already committed and does not change, even if this fails.

    ``held`` is the claim under which the batch was scored and stored. The Parquet files of
    ``result`` are read slice by slice.

    Raises:
        ClaimLostError: another run has claimed the batch since.
        NoctuleError: the files do not hold as many rows as the result says.
        ServiceUnavailableError: the connection to the database was lost.
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
    """Delete the shadow scoring of a batch and all its rows, if it has one.

    The connection is in a transaction.
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
