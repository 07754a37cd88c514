"""Deliveries and batches: what arrived, and what became of it, in one transaction each.

Belongs here: recording a delivery, finding a batch, committing or rejecting it. Does not belong
here: who may commit (see ``claims``) and the rows below a scoring (see ``scorings``).

Whatever is stored of a batch is what the last commit said, wholly: a commit that is repeated
changes nothing, one that fails leaves what was there.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from expectations.errors import UsageError
from storage.claims import Claim, check_fence
from storage.database import read, refresh_statistics, write
from storage.outbox import OutboxEvent, announce
from storage.replays import insert_corrections
from storage.schema import batch, quarantined_row, validation_result
from storage.scorings import ScoringResult, insert_files, replace_live_scoring, require_equal
from storage.shadows import remove_shadow_scoring
from storage.text import dump_json, readable

RECEIVED: Final = "received"
SCORED: Final = "scored"
REJECTED: Final = "rejected"


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """What the database knows of a batch."""

    batch_id: str
    contract: str
    batch_date: date
    file_name: str
    """The name it first came under."""
    status: str
    """``received``, ``scored`` or ``rejected``."""
    rejection: str | None
    rows_read: int | None
    """This and the other counts are None until the batch is finished."""
    rows_scored: int | None
    rows_quarantined: int | None
    rows_rejected: int | None
    rows_known: int | None
    replayed_batch_id: str | None
    """The batch whose rows it puts through again; None if it is no replay."""
    field_names: list[str] | None
    """What the fields of its lines are called, in order; None where that was never found out."""

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.status != RECEIVED


@dataclass(frozen=True, kw_only=True)
class ExpectationResult:
    """The outcome of one expectation on one batch."""

    suite: str
    expectation: str
    column: str | None
    severity: str
    is_success: bool
    rows_checked: int
    rows_failed: int
    observed: str | None
    expected: str


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """A scored batch: the accounting, and the files that hold its rows."""

    rows_read: int
    rows_scored: int
    rows_quarantined: int
    rows_known: int = 0
    """Rows that the batch of the claim's ``known`` accounts for."""
    scoring: ScoringResult | None
    """None where no row was left to be scored: all are known."""
    quarantine: tuple[Path, ...]
    """Grain: one quarantined row. ``row_number``, ``line_number``, ``stage``, ``reasons`` (list of
    texts), ``raw`` (bytes)."""
    quarantine_limit: int | None = None
    """Most of them that the database keeps; None for all."""
    field_names: tuple[str, ...] = ()
    """What the fields of the file's lines are called, in order."""
    corrections: Path | None = None
    """Of a replay, grain: one row. ``row_number``, ``corrected_row_number``: which quarantined row
    of the replayed batch it is; None where that batch was rejected whole, or this is no replay."""
    validation: tuple[ExpectationResult, ...]
    events: tuple[OutboxEvent, ...] = ()
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, kw_only=True)
class BatchRejection:
    """A batch that was refused whole."""

    reason: str
    """One sentence for the operator."""
    rows_read: int
    """All but the known ones are rejected; 0 where the file could not be read."""
    rows_known: int = 0
    """Rows that the batch of the claim's ``known`` accounts for."""
    field_names: tuple[str, ...] = ()
    """What the fields of the file's lines are called, as far as it was read."""
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
    """Store a scored batch in one transaction: all of it, or nothing.

    The scoring of a shadow is no part of it: see ``storage.shadows.commit_shadow``.

    Args:
        engine: the database.
        held: the claim under which the result was made.
        result: facts, and Parquet files that are read slice by slice.

    Raises:
        ClaimLostError: another run has claimed the batch since.
        NoctuleError: the files do not hold what the result says.
        ServiceUnavailableError: the database went away.
    """
    with write(engine) as connection:
        row = check_fence(connection, held)
        rows_scored = 0
        if result.scoring is not None:
            place = (connection, held.batch_id, row["batch_date"])
            remove_shadow_scoring(*place)  # it was compared with the scores that are replaced
            replace_live_scoring(*place, result.scoring)
            rows_scored = result.scoring.rows_scored
        require_equal("rows in its account", said=result.rows_scored, found=rows_scored)
        _clear(connection, held.batch_id)
        _insert_quarantine(connection, held.batch_id, result)
        _insert_validation(connection, held.batch_id, result.validation)
        connection.execute(
            sa.update(batch)
            .where(batch.c.batch_id == held.batch_id)
            .values(
                status=SCORED,
                rejection=None,
                rows_read=result.rows_read,
                rows_scored=result.rows_scored,
                rows_quarantined=result.rows_quarantined,
                rows_rejected=0,
                rows_known=result.rows_known,
                known_batch_id=_accountant(held, result.rows_known),
                field_names=list(result.field_names) or sa.null(),
                quarantine_limit=result.quarantine_limit,
                started_at=result.started_at,
                finished_at=result.finished_at,
            )
        )
        if row["replayed_batch_id"] is not None:
            insert_corrections(
                connection, held.batch_id, row["replayed_batch_id"], result.corrections
            )
        announce(connection, result.events, result.finished_at)
        refresh_statistics(connection, batch)


def reject_batch(engine: Engine, held: Claim, rejection: BatchRejection) -> None:
    """Store, in one transaction, that a batch was refused whole.

    Raises:
        ClaimLostError: another run has claimed the batch since.
        UsageError: the batch is scored already.
        ServiceUnavailableError: the database went away.
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
        connection.execute(
            sa.update(batch)
            .where(batch.c.batch_id == held.batch_id)
            .values(
                status=REJECTED,
                rejection=rejection.reason,
                rows_read=rejection.rows_read,
                rows_scored=0,
                rows_quarantined=0,
                rows_rejected=rejection.rows_read - rejection.rows_known,
                rows_known=rejection.rows_known,
                known_batch_id=_accountant(held, rejection.rows_known),
                field_names=list(rejection.field_names) or sa.null(),
                started_at=rejection.started_at,
                finished_at=rejection.finished_at,
            )
        )
        announce(connection, rejection.events, rejection.finished_at)


def _accountant(held: Claim, rows_known: int) -> str | None:
    """Name the batch that accounts for the known rows; None where there are none."""
    return held.known.batch_id if held.known is not None and rows_known else None


def _insert_quarantine(connection: Connection, batch_id: str, result: BatchResult) -> None:
    """Insert the quarantined rows, up to the limit of what is kept; all of them are counted."""
    found = kept = 0

    def shape(frame: pl.DataFrame) -> pl.DataFrame:
        nonlocal found, kept
        found += frame.height
        if result.quarantine_limit is not None:
            frame = frame.head(max(0, result.quarantine_limit - kept))
        kept += frame.height
        return _quarantined(frame, batch_id)

    insert_files(connection, quarantined_row, result.quarantine, shape)
    require_equal("quarantined rows", said=result.rows_quarantined, found=found)


def _clear(connection: Connection, batch_id: str) -> None:
    """Delete the batch's own rows, so that those of this commit replace them."""
    for table in (quarantined_row, validation_result):
        connection.execute(sa.delete(table).where(table.c.batch_id == batch_id))


def _quarantined(frame: pl.DataFrame, batch_id: str) -> pl.DataFrame:
    """Shape quarantined rows for their table: reasons as JSON, bytes also as escaped text."""
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
    connection: Connection, batch_id: str, facts: Sequence[ExpectationResult]
) -> None:
    """Insert the outcomes of a batch's expectations, in their order."""
    rows = []
    for ordinal, fact in enumerate(facts, start=1):
        row = asdict(fact)
        row["column_name"] = row.pop("column")
        rows.append({"batch_id": batch_id, "ordinal": ordinal, **row})
    if rows:
        connection.execute(sa.insert(validation_result), rows)
