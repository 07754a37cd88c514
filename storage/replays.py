"""Replays: rows of a finished batch that are processed again, as a new batch.

Belongs here: which rows are still open, recording a replay, and which row it corrects. Does not
belong here: preparing the lines to parse again (``tasks.intake.replay``).

The open rows of a scored batch are the quarantined rows that no replay has scored. All rows of a
rejected batch are open until a replay of it is scored; then that replay may have open rows. The
counts of the replayed batch do not change: the table ``correction`` says which
row of a replay corrects which row.
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
from storage.model_store import FINGERPRINT
from storage.schema import (
    batch,
    correction,
    delivery,
    model_version,
    prediction,
    quarantined_row,
    scoring,
)


@dataclass(frozen=True, kw_only=True)
class ReplayTarget:
    """A finished batch that can be replayed, and how much of it is open."""

    batch_id: str
    content: str
    """SHA-256 of the decompressed bytes of its file; of a replay of some rows, the batch id."""
    contract: str
    batch_date: date
    file_name: str
    is_rejected: bool
    """Whether it was rejected; then all of its rows are open, or none."""
    rows_read: int
    rows_open: int
    rows_lost: int
    """Quarantined rows above the limit of what is stored; they cannot be replayed."""
    field_names: tuple[str, ...] | None
    """The names of the fields of a line; None if they are not known."""
    corrected_by: str | None
    """A scored batch that has all of its rows, so that none is open; None if there is none."""
    source: Path | None
    """The path of its last delivery; None for a replay."""
    contract_fingerprint: str | None = None
    """As of ``BatchRecord``."""
    feature_fingerprint: str | None = None
    """Of the features of the model that scored it; None if none did, or it is not known."""


def find_target(engine: Engine, batch_id: str) -> ReplayTarget | None:
    """Return the batch whose rows a replay of the given batch processes.

    It is that batch itself, with two exceptions: for a replay of quarantined rows it is the batch
    that has those rows, and for a rejected batch with a scored replay it is that replay.

    Returns:
        The target; None if the batch is not finished.
    """
    with read(engine) as connection:
        following: str | None = batch_id
        while following is not None:
            query = sa.select(batch).where(batch.c.batch_id == following)
            row = connection.execute(query).mappings().one()
            if row["status"] == "received":
                return None
            following = _redirect(connection, row)
        return _target(connection, row)


def _redirect(connection: Connection, facts: sa.RowMapping) -> str | None:
    """Return the id of the batch to replay instead of this one; None if it is this one."""
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
    return None  # it replaces a batch that was rejected


def _target(connection: Connection, facts: sa.RowMapping) -> ReplayTarget:
    """Count the open rows of a batch and describe it as a target."""
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
        content=facts["content_sha256"] or batch_id,
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
        contract_fingerprint=facts["contract_fingerprint"],
        feature_fingerprint=_find_features(connection, batch_id),
    )


def _find_features(connection: Connection, batch_id: str) -> str | None:
    """Return the fingerprint of the features of the model that scored a batch."""
    training = connection.scalar(
        sa.select(model_version.c.training)
        .join(scoring, scoring.c.model_version_id == model_version.c.model_version_id)
        .where(scoring.c.batch_id == batch_id)
        .limit(1)
    )
    found: str | None = (training or {}).get(FINGERPRINT)
    return found


def _open_rows(batch_id: str) -> sa.Select[tuple[int, int, bytes]]:
    """Select the quarantined rows of a batch that no replay has scored, in file order."""
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
    """Yield the open rows of a scored batch: row number, line number, the bytes of the line.

    ``is_whole`` leaves out lines that were too long, of which only the start is stored.
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
    """Record a replay as an unfinished batch; an existing record stays unchanged.

    ``batch_id`` is the id of the replay, which has the contract and the night of its ``target``,
    the batch that it replays. ``content_sha256`` and ``content_bytes`` (decompressed) are those of
    the file that is read; the hash is None if only some rows are replayed. ``prefixes`` are ids of
    the batches whose content is a prefix of that file.
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
    """Record which rows a replay corrects, in the transaction that commits the replay.

    The connection is in a transaction in which the replay's predictions are already stored; the
    commit has locked the replayed batch. ``rows`` is a file with ``row_number`` and
    ``corrected_row_number`` of each row; None if the replayed batch was rejected, so that all of it
    was replayed.

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
        " scored some of the same rows since. This replay stored nothing. Run it again: it takes"
        " the rows that are still open."
    )
