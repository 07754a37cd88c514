"""Batches: finding one, and committing or rejecting it in one transaction.

Belongs here: both, and the rows of a batch outside any scoring. Does not belong here: deliveries
(``deliveries``), the right to commit (``claims``) and the rows of a scoring (``scorings``).

A commit replaces everything that is stored about a batch. Repeating it changes nothing; if it
fails, the database stays as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from expectations.errors import UsageError
from expectations.suites import ExpectationResult
from storage.claims import Claim, check_fence
from storage.database import read, refresh_statistics, write
from storage.outbox import OutboxEvent, announce
from storage.replays import insert_corrections
from storage.row_counts import RowCounts
from storage.schema import batch, quarantined_row, validation_result
from storage.scorings import ScoringResult, insert_files, replace_live_scoring, require_equal
from storage.shadows import remove_shadow_scoring
from storage.text import dump_json, readable

RECEIVED: Final = "received"
SCORED: Final = "scored"
REJECTED: Final = "rejected"


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """A batch as the database has it."""

    batch_id: str
    contract: str
    batch_date: date
    file_name: str
    """The name under which it first arrived."""
    status: str
    """``received``, ``scored`` or ``rejected``."""
    rejection: str | None
    rows_read: int | None
    """None until the batch is finished, as are the other counts."""
    rows_scored: int | None
    rows_quarantined: int | None
    rows_rejected: int | None
    rows_known: int | None
    replayed_batch_id: str | None
    """The batch that it replays; None if it is not a replay."""
    field_names: list[str] | None
    """The names of the fields of a line, in order; None if they are not known."""
    contract_fingerprint: str | None
    """Of the contract's declaration when the batch was finished; of all that were tried, if none
    was recognised. None until then, and if an earlier version of Noctule finished it."""

    @property
    def is_finished(self) -> bool:
        """Whether the batch is scored or rejected."""
        return self.status != RECEIVED


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """A scored batch: its row counts and the files that hold its rows."""

    rows: RowCounts
    """The batch that the claim's ``known`` names accounts for the known rows."""
    scoring: ScoringResult | None
    """None if all rows are known, so that none had to be scored."""
    quarantine: tuple[Path, ...]
    """Grain: one quarantined row. ``row_number``, ``line_number``, ``stage``, ``reasons`` (list of
    texts), ``raw`` (bytes)."""
    quarantine_limit: int | None = None
    """How many of them the database keeps at most; None for all."""
    field_names: tuple[str, ...] = ()
    """The names of the fields of a line, in order."""
    contract_fingerprint: str | None = None
    """Of the contract's declaration."""
    corrections: Path | None = None
    """Only for a replay of quarantined rows. Grain: one row. ``row_number``, and
    ``corrected_row_number``, which is its number in the replayed batch."""
    validation: tuple[ExpectationResult, ...]
    events: tuple[OutboxEvent, ...] = ()
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, kw_only=True)
class BatchRejection:
    """A batch that was rejected."""

    reason: str
    """One sentence for the operator."""
    rows: RowCounts
    """No row if the file could not be read. The batch in the claim's ``known`` accounts for the
    known rows."""
    field_names: tuple[str, ...] = ()
    """The names of the fields of a line, as far as the file could be read."""
    contract_fingerprint: str | None = None
    """Of the contract's declaration; of all that were tried, if none was recognised."""
    validation: tuple[ExpectationResult, ...] = ()
    events: tuple[OutboxEvent, ...] = ()
    started_at: datetime
    finished_at: datetime


RECORD_COLUMNS: Final = tuple(batch.c[name] for name in BatchRecord.__dataclass_fields__)


def find_batch(engine: Engine, batch_id: str) -> BatchRecord:
    """Return a batch as it is now.

    Raises:
        LookupError: no delivery of it is recorded.
    """
    with read(engine) as connection:
        found = find_record(connection, batch_id)
    if found is None:
        message = f"There is no batch {batch_id}: record its delivery first."
        raise LookupError(message)
    return found


def find_record(connection: Connection, batch_id: str) -> BatchRecord | None:
    """Return a batch as the caller's transaction sees it; None if there is no such batch."""
    row = connection.execute(
        sa.select(*RECORD_COLUMNS).where(batch.c.batch_id == batch_id)
    ).one_or_none()
    return None if row is None else BatchRecord(**row._mapping)  # noqa: SLF001 - its public name


def commit_batch(engine: Engine, held: Claim, result: BatchResult) -> None:
    """Store a scored batch in one transaction.

    Shadow scorings are stored separately: see ``storage.shadows.commit_shadow``.

    The Parquet files of ``result`` are read slice by slice.

    Raises:
        ClaimLostError: another run has claimed the batch since.
        NoctuleError: the files do not have as many rows as the result says.
        ServiceUnavailableError: the connection to the database was lost.
    """
    with write(engine) as connection:
        row = check_fence(connection, held)
        rows_scored = 0
        if result.scoring is not None:
            place = (connection, held.batch_id, row["batch_date"])
            remove_shadow_scoring(*place)  # its comparison is with the scores that are replaced
            replace_live_scoring(*place, result.scoring)
            rows_scored = result.scoring.rows_scored
        require_equal("scored rows of the batch", said=result.rows.rows_scored, found=rows_scored)
        _clear(connection, held.batch_id)
        _insert_quarantine(connection, held.batch_id, result)
        _insert_validation(connection, held.batch_id, result.validation)
        _finish(
            connection,
            held,
            result,
            status=SCORED,
            rejection=None,
            quarantine_limit=result.quarantine_limit,
        )
        if row["replayed_batch_id"] is not None:
            insert_corrections(
                connection, held.batch_id, row["replayed_batch_id"], result.corrections
            )
        announce(connection, result.events, result.finished_at)
        refresh_statistics(connection, batch)


def reject_batch(engine: Engine, held: Claim, rejection: BatchRejection) -> None:
    """Store in one transaction that a batch was rejected.

    Raises:
        ClaimLostError: another run has claimed the batch since.
        UsageError: the batch is already scored.
        ServiceUnavailableError: the connection to the database was lost.
    """
    with write(engine) as connection:
        row = check_fence(connection, held)
        if row["status"] == SCORED:
            message = (
                f"Cannot reject batch {held.batch_id[:16]}: it is scored, and its rows may have"
                " been acted on. Nothing was changed."
            )
            raise UsageError(message)
        _clear(connection, held.batch_id)
        _insert_validation(connection, held.batch_id, rejection.validation)
        _finish(connection, held, rejection, status=REJECTED, rejection=rejection.reason)
        announce(connection, rejection.events, rejection.finished_at)


def _finish(
    connection: Connection, held: Claim, result: BatchResult | BatchRejection, **values: object
) -> None:
    """Update the batch's own row with its result."""
    known = held.known if result.rows.rows_known else None
    connection.execute(
        sa.update(batch)
        .where(batch.c.batch_id == held.batch_id)
        .values(
            **result.rows.model_dump(),
            known_batch_id=None if known is None else known.batch_id,
            field_names=list(result.field_names) or sa.null(),
            contract_fingerprint=result.contract_fingerprint,
            started_at=result.started_at,
            finished_at=result.finished_at,
            **values,
        )
    )


def _insert_quarantine(connection: Connection, batch_id: str, result: BatchResult) -> None:
    """Insert the quarantined rows up to the limit, and check the count of all of them."""
    found = kept = 0

    def shape(frame: pl.DataFrame) -> pl.DataFrame:
        nonlocal found, kept
        found += frame.height
        if result.quarantine_limit is not None:
            frame = frame.head(max(0, result.quarantine_limit - kept))
        kept += frame.height
        return _quarantined(frame, batch_id)

    insert_files(connection, quarantined_row, result.quarantine, shape)
    require_equal("quarantined rows", said=result.rows.rows_quarantined, found=found)


def _clear(connection: Connection, batch_id: str) -> None:
    """Delete the batch's own rows, which this commit replaces."""
    for table in (quarantined_row, validation_result):
        connection.execute(sa.delete(table).where(table.c.batch_id == batch_id))


def _quarantined(frame: pl.DataFrame, batch_id: str) -> pl.DataFrame:
    """Convert quarantined rows to the columns of their table."""
    return frame.select(
        pl.lit(batch_id).alias("batch_id"),
        "row_number",
        "line_number",
        "stage",
        pl.Series("reasons", [dump_json(texts) for texts in frame["reasons"].to_list()], pl.String),
        "raw",
        pl.Series("raw_text", [readable(raw) for raw in frame["raw"].to_list()], pl.String),
    )


def _insert_validation(
    connection: Connection, batch_id: str, results: Sequence[ExpectationResult]
) -> None:
    """Insert the results of a batch's expectations, in their order."""
    rows = [
        one.model_dump(exclude={"column"})
        | {"batch_id": batch_id, "ordinal": ordinal, "column_name": one.column}
        for ordinal, one in enumerate(results, 1)
    ]
    if rows:
        connection.execute(sa.insert(validation_result), rows)
