"""Replays: rows of a finished batch that are put through again, in a batch of their own.

Belongs here: which rows are still open, recording a replay, and which row it corrects. Does not
belong here: making the lines that are read again (``tasks.intake.replay``).

A scored batch has open rows: those quarantined that no replay has scored. Of a batch rejected whole
every row is open, until a replay of it is scored; that replay then has open rows of its own. The
account of the first batch stays what it was: the correction is kept beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from storage.bulk import SLICE_ROWS, insert_frame, read_slices
from storage.claims import OvertakenError
from storage.database import insert_or_update, read, write
from storage.growth import find_longer, record_file_of_replay, record_prefixes
from storage.schema import batch, correction, delivery, prediction, quarantined_row, scoring


@dataclass(frozen=True, kw_only=True)
class ReplayTarget:
    """A finished batch, and how much of it is open."""

    batch_id: str
    contract: str
    batch_date: date
    file_name: str
    is_rejected: bool
    """Whether it was rejected whole: then all of its rows are open, or none."""
    rows_read: int
    rows_open: int
    rows_lost: int
    """Quarantined rows past the limit of what is kept: they cannot be replayed."""
    field_names: tuple[str, ...] | None
    """What the fields of its lines are called; None where that was never found out."""
    corrected_by: str | None
    """The batch that has all of its rows, if there is one: nothing of it is open then."""
    source: Path | None
    """Where its file lay when it last came; None for a replay."""


def find_target(engine: Engine, batch_id: str) -> ReplayTarget | None:
    """Find the batch whose rows a replay of one puts through again.

    It is the batch itself, but for two: a replay of quarantined rows stands for the batch that
    they are rows of, and a batch rejected whole, once a replay of it is scored, for that replay.

    Args:
        engine: the database.
        batch_id: of a batch that there is.

    Returns:
        The target; None where the batch is not finished.
    """
    with read(engine) as connection:
        row = connection.execute(sa.select(batch).where(batch.c.batch_id == batch_id)).one()
        while row.status != "received":
            onward = _stands_for(connection, row)
            if onward is None:
                return _target(connection, row)
            row = connection.execute(sa.select(batch).where(batch.c.batch_id == onward)).one()
    return None


def _stands_for(connection: Connection, row: sa.Row[tuple[object, ...]]) -> str | None:
    """Name the batch that one stands for; None if it is its own target."""
    facts = row._mapping  # noqa: SLF001 - its public name
    if facts["status"] == "rejected":
        scored: str | None = connection.scalar(
            sa.select(batch.c.batch_id).where(
                batch.c.replayed_batch_id == facts["batch_id"], batch.c.status == "scored"
            )
        )
        if scored is not None:
            return scored
    replayed: str | None = facts["replayed_batch_id"]
    if replayed is None:
        return None
    status = connection.scalar(sa.select(batch.c.status).where(batch.c.batch_id == replayed))
    if status == "scored" or facts["status"] == "rejected":
        return replayed
    return None  # it took the place of a batch that was rejected whole


def _target(connection: Connection, row: sa.Row[tuple[object, ...]]) -> ReplayTarget:
    """Count what is open of a batch that is its own target."""
    facts = row._mapping  # noqa: SLF001 - its public name
    batch_id, is_rejected = facts["batch_id"], facts["status"] == "rejected"
    longer = find_longer(connection, batch_id) if is_rejected else None
    kept = connection.scalar(
        sa.select(sa.func.count()).where(quarantined_row.c.batch_id == batch_id)
    )
    rows_open = connection.scalar(
        sa.select(sa.func.count()).select_from(_open_rows(batch_id).subquery())
    )
    if is_rejected:
        rows_open = 0 if longer is not None else facts["rows_rejected"]
    source: str | None = connection.scalar(
        sa.select(delivery.c.source_path)
        .where(delivery.c.batch_id == batch_id)
        .order_by(delivery.c.delivery_id.desc())
        .limit(1)
    )
    names = facts["field_names"]
    return ReplayTarget(
        batch_id=batch_id,
        contract=facts["contract"],
        batch_date=facts["batch_date"],
        file_name=facts["file_name"],
        is_rejected=is_rejected,
        rows_read=facts["rows_read"],
        rows_open=int(rows_open or 0),
        rows_lost=facts["rows_quarantined"] - int(kept or 0),
        field_names=None if names is None else tuple(names),
        corrected_by=longer,
        source=None if source is None else Path(source),
    )


def _open_rows(batch_id: str) -> sa.Select[tuple[int, int, bytes]]:
    """Select the quarantined rows of a batch that no replay has scored, in the file's order."""
    is_corrected = sa.exists().where(
        correction.c.corrected_batch_id == quarantined_row.c.batch_id,
        correction.c.corrected_row_number == quarantined_row.c.row_number,
        correction.c.is_scored,
    )
    return (
        sa.select(
            quarantined_row.c.row_number, quarantined_row.c.line_number, quarantined_row.c.raw
        )
        .where(quarantined_row.c.batch_id == batch_id, ~is_corrected)
        .order_by(quarantined_row.c.row_number)
    )


def read_open_rows(
    engine: Engine, batch_id: str, *, is_whole: bool = False
) -> Iterator[tuple[int, int, bytes]]:
    """Yield the open rows of a scored batch: row number, line number, the line as it came.

    Args:
        engine: the database.
        batch_id: the batch.
        is_whole: leave out lines that were too long and of which only the beginning is kept.
    """
    query = _open_rows(batch_id)
    if is_whole:
        reasons = sa.cast(quarantined_row.c.reasons, sa.Text)
        query = query.where(reasons.not_like("%NOCTULE_MAX_LINE_BYTES%"))
    with read(engine) as connection:
        found = connection.execution_options(yield_per=SLICE_ROWS).execute(query)
        for row_number, line_number, raw in found:
            yield row_number, line_number, bytes(raw)


def record_replay(
    engine: Engine,
    batch_id: str,
    target: ReplayTarget,
    file_name: str,
    now: datetime,
    content_sha256: str | None = None,
    content_bytes: int = 0,
    prefixes: tuple[str, ...] = (),
) -> None:
    """Record a replay as a batch to be worked on; one that is recorded stays as it is.

    Args:
        engine: the database.
        batch_id: the replay's.
        target: the batch whose rows it puts through again; it lands on the same night.
        file_name: what it is shown as.
        now: when it was asked for.
        content_sha256: of the file that is read; None where only some rows are.
        content_bytes: its size, decompressed.
        prefixes: batches whose content is the beginning of that file.
    """
    with write(engine) as connection:
        connection.execute(
            insert_or_update(connection, batch)
            .values(
                batch_id=batch_id,
                contract=target.contract,
                batch_date=target.batch_date,
                file_name=file_name,
                size_bytes=content_bytes,
                status="received",
                received_at=now,
                replayed_batch_id=target.batch_id,
                content_sha256=content_sha256,
            )
            .on_conflict_do_nothing()
        )
        record_prefixes(connection, batch_id, prefixes)
        record_file_of_replay(connection, batch_id)


def insert_corrections(
    connection: Connection, batch_id: str, replayed_batch_id: str, rows: Path | None
) -> None:
    """Note, within the commit of a replay, which rows it corrects.

    Args:
        connection: with a transaction begun, in which the replay's predictions are stored.
        batch_id: the replay's.
        replayed_batch_id: the batch whose rows it put through again; locked by the commit.
        rows: ``row_number`` and ``corrected_row_number`` of each of its rows; None where the
            batch was rejected whole and all of it was put through again.

    Raises:
        OvertakenError: another replay has scored one of the rows since.
    """
    connection.execute(sa.delete(correction).where(correction.c.batch_id == batch_id))
    if rows is None:
        others = sa.select(batch.c.batch_id).where(
            batch.c.replayed_batch_id == replayed_batch_id,
            batch.c.status == "scored",
            batch.c.batch_id != batch_id,
        )
        is_replayed = connection.scalar(others.limit(1)) is not None
        if is_replayed or find_longer(connection, replayed_batch_id, other_than=batch_id):
            raise _overtaken(replayed_batch_id)
        return
    for frame in read_slices(rows):
        insert_frame(
            connection,
            correction,
            frame.select(
                pl.lit(batch_id).alias("batch_id"),
                "row_number",
                pl.lit(replayed_batch_id).alias("corrected_batch_id"),
                "corrected_row_number",
                pl.lit(value=False).alias("is_scored"),
            ),
        )
    is_scored = sa.exists().where(
        scoring.c.batch_id == batch_id,
        scoring.c.purpose == "live",
        batch.c.batch_id == batch_id,
        prediction.c.batch_date == batch.c.batch_date,
        prediction.c.scoring_id == scoring.c.scoring_id,
        prediction.c.row_number == correction.c.row_number,
    )
    try:
        connection.execute(
            sa.update(correction)
            .where(correction.c.batch_id == batch_id, is_scored)
            .values(is_scored=True)
        )
    except IntegrityError:
        raise _overtaken(replayed_batch_id) from None


def _overtaken(batch_id: str) -> OvertakenError:
    return OvertakenError(
        f"Cannot store the replay of batch {batch_id[:16]}: another replay, or a longer file, has"
        " scored some of the same rows since. Nothing was stored by this one; run it again, and it"
        " takes what is still open."
    )
