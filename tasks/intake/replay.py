"""Replays: rows of a finished batch are made into a source of their own, to be read again.

Belongs here: which lines are put through again, and what such a batch is known by. Does not belong
here: which rows are open (``storage.replays``), or the stages, which read the lines as any others.

Of a scored batch these are its open quarantined rows, as they came or from a corrected file; of a
batch rejected whole it is the file itself, or a corrected one. A replay is known by all that its
result depends on, and not by its content: the same lines may be worth another try once the contract
or a limit has changed, and asking twice for the same is one replay.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import chain
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from expectations.contract import Contract
from expectations.errors import InputRejectedError, UsageError
from expectations.registry import get_contract
from storage.batches import find_batch
from storage.lake import hash_text, run_stage
from storage.replays import ReplayTarget, read_open_rows, record_replay
from tasks.fingerprint import code_fingerprint
from tasks.intake.content import SourceChangedError, hash_content
from tasks.intake.header import join_names
from tasks.intake.receive import Arrival, hash_raw, identify
from tasks.intake.sources import Source, open_source
from tasks.intake.stage import FileJob
from tasks.task import task
from tasks.wording import ID_DIGITS, plural

STAGE = "replay"
"""The folder of the lines in the replay's folder."""

CORRECTIONS = "corrections.parquet"


class ReplayedRows(BaseModel):
    """The lines of a replay, ready to be read."""

    model_config = ConfigDict(frozen=True)

    source: str
    """The file of them in the stage's folder."""
    content_sha256: str
    size_bytes: int
    rows: int


def plan_replay(
    engine: Engine, target: ReplayTarget, corrected: Path | None, limits: FileJob, now: datetime
) -> Arrival:
    """Record a replay of what is open of a batch.

    Args:
        engine: the database.
        target: a batch of which rows are open.
        corrected: a file of these rows as they should have been; None to read them as they came.
        limits: how files are read and checked now; its source and ids are not looked at.
        now: when it was asked for.

    Returns:
        The replay as it arrives; finished already where the same was asked for before.

    Raises:
        InputRejectedError: the file cannot be read, or is not that of the batch.
        UsageError: nothing is known of the lines' fields.
    """
    contract = get_contract(target.contract)
    source = corrected or target.source
    content: str | None
    if target.is_rejected:
        if source is None or (corrected is None and not source.exists()):
            raise _gone(target, source)
        found = identify(engine, source, target.contract, limits.max_file_bytes)
        if corrected is None and target.batch_id not in {found.sha256, hash_raw(source).sha256}:
            raise _gone(target, source)
        if corrected is not None:
            _require_all_rows(corrected, contract, target)
        what, content, beginnings = found.sha256, found.sha256, found.beginnings
    else:
        open_rows = hashlib.sha256()
        for row_number, _, _ in read_open_rows(engine, target.batch_id):
            open_rows.update(b"%d " % row_number)
        content = None if corrected is None else hash_content(corrected).sha256
        what, beginnings = f"{open_rows.hexdigest()} {content or ''}", ()
        found = None
    batch_id = hash_text(
        "replay", target.batch_id, what, contract.fingerprint,
        code_fingerprint("intake", "validation"),
        str(limits.max_quarantine_ratio), str(limits.max_line_bytes), str(limits.max_file_bytes),
    )  # fmt: skip
    name = target.file_name if corrected is None else corrected.name
    stored = None if found is None else found.sha256
    size_bytes = 0 if found is None else found.size_bytes
    record_replay(engine, batch_id, target, name, now, stored, size_bytes, beginnings)
    return Arrival(
        record=find_batch(engine, batch_id),
        source=source or Path(name),
        name=name,
        damage=None if found is None else found.damage,
        received_at=now,
        content_bytes=size_bytes,
        content_sha256=content,
        replays=target,
        corrected=corrected,
    )


def take_rows(engine: Engine, folder: Path, arrival: Arrival, line_bytes: int) -> Arrival:
    """Write the lines of a replay of quarantined rows.

    Args:
        engine: the database.
        folder: the replay's folder in the lake; its claim is held.
        arrival: as ``plan_replay`` returned it.
        line_bytes: longest line that is read of a corrected file.

    Raises:
        InputRejectedError: the corrected file does not hold these rows, or changed meanwhile.
        UsageError: nothing is known of the lines' fields.
    """
    target = arrival.replays
    assert target is not None  # noqa: S101 - our own mistake: it is asked of replays only
    made = run_stage(
        folder,
        STAGE,
        {"replay": arrival.record.batch_id},
        ReplayedRows,
        lambda out: _write_rows(engine, target, arrival, line_bytes, out),
    )
    return replace(
        arrival,
        source=folder / STAGE / made.source,
        corrections=folder / STAGE / CORRECTIONS,
        content_sha256=made.content_sha256,
        content_bytes=made.size_bytes,
    )


def _write_rows(
    engine: Engine, target: ReplayTarget, arrival: Arrival, line_bytes: int, out: Path
) -> ReplayedRows:
    """Write the open rows of a scored batch as a file with a header, and which row is which."""
    contract = get_contract(target.contract)
    names, corrected = target.field_names, arrival.corrected
    lines: Iterator[tuple[int, bytes]]
    if corrected is None:
        kept = read_open_rows(engine, target.batch_id, is_whole=True)
        lines = ((row_number, raw) for row_number, _, raw in kept)
    else:
        opened = open_source(corrected, contract)
        names = opened.read_names() if opened.has_names() else names
        rows = [row_number for row_number, _, _ in read_open_rows(engine, target.batch_id)]
        chosen = _choose_lines(opened, target, rows, line_bytes)
        lines = zip(rows, chosen, strict=True)
    if names is None:
        message = (
            f"Cannot replay batch {target.batch_id[:ID_DIGITS]}: it was stored before the names of"
            " a file's fields were. Give the rows in a file with a header: noctule replay BATCH"
            " FILE"
        )
        raise UsageError(message)
    source = out / f"{target.batch_id[:ID_DIGITS]}-quarantined.csv"
    digest, size_bytes = hashlib.sha256(), 0
    written: list[int] = []
    with source.open("wb") as file:
        for row_number, raw in chain([(0, join_names(names).encode())], lines):
            # What ends in a carriage return needs a line end of its own to keep it. A record of
            # Parquet may have a line end within it, which no line of text has.
            plain = raw.replace(b"\n", b" ")
            line = plain + (b"\r\n" if plain.endswith(b"\r") else b"\n")
            digest.update(line)
            size_bytes += file.write(line)
            written.append(row_number)
    if corrected is not None and hash_content(corrected).sha256 != arrival.content_sha256:
        raise SourceChangedError.of(corrected)
    if len(written) == 1:
        message = (
            f"Cannot replay batch {target.batch_id[:ID_DIGITS]}: of the lines that are open only"
            " the beginnings are kept. Give them in a file: noctule replay BATCH FILE"
        )
        raise UsageError(message)
    pl.DataFrame(
        {"row_number": range(1, len(written)), "corrected_row_number": written[1:]},
        schema={"row_number": pl.Int64, "corrected_row_number": pl.Int64},
    ).write_parquet(out / CORRECTIONS)
    return ReplayedRows(
        source=source.name,
        content_sha256=digest.hexdigest(),
        size_bytes=size_bytes,
        rows=len(written) - 1,
    )


def _require_all_rows(corrected: Path, contract: Contract, target: ReplayTarget) -> None:
    """Refuse a file in place of a rejected one that has fewer rows: the others would be lost.

    Raises:
        InputRejectedError: it has fewer; by one more than a header that was counted as a row.
    """
    count = open_source(corrected, contract).count_rows()
    if count < target.rows_read - 1:
        message = (
            f"Cannot replay batch {target.batch_id[:ID_DIGITS]} with {corrected.name}: it was"
            f" rejected whole, with {plural(target.rows_read, 'row')}, and the file has"
            f" {plural(count, 'row')}. Give all of them; nothing was stored."
        )
        raise InputRejectedError(message)


def _choose_lines(
    corrected: Source, target: ReplayTarget, rows: list[int], line_bytes: int
) -> Iterator[bytes]:
    """Yield the corrected form of some rows: all of a file of just them, or those of a whole one.

    Raises:
        InputRejectedError: the file is neither.
    """
    count = corrected.count_rows()
    if count == len(rows):
        wanted = set(range(1, count + 1))
    elif count == target.rows_read:
        wanted = set(rows)
    else:
        message = (
            f"Cannot replay batch {target.batch_id[:ID_DIGITS]} with {corrected.path.name}: it has"
            f" {plural(count, 'row')}, expected the {plural(len(rows), 'row')} that are open, in"
            f" their order, or all {plural(target.rows_read, 'row')} of the file it was made from."
            " `noctule quarantine --batch` lists those that are open; nothing was stored."
        )
        raise InputRejectedError(message)
    yield from corrected.read_rows(wanted, line_bytes)


def _gone(target: ReplayTarget, source: Path | None) -> InputRejectedError:
    """Say that the file of a batch that was rejected is no longer there."""
    where = "is not known" if source is None else f"is no longer in {source}"
    return SourceChangedError(
        f"Cannot replay batch {target.batch_id[:ID_DIGITS]}: what it was made from {where}. Give"
        " the file, or a corrected one: noctule replay BATCH FILE"
    )


plan_replay_task = task(plan_replay, name="plan replay")
take_rows_task = task(take_rows, name="take rows")
