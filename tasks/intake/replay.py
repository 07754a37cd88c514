"""Replays: rows of a finished batch become a new source, which is read again.

Belongs here: which lines are read again, and the id of such a batch. Does not belong
here: which rows are open (``storage.replays``), or the stages, which read the lines as any others.

For a scored batch these are its open quarantined rows, as they came or from a corrected file. For a
rejected batch it is the file itself, or a corrected one. The id of a replay is a hash of everything
that its result depends on, not only of its content. So the same lines can be replayed again after
the contract or a limit has changed, and the same request made twice is one replay.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl
from pydantic import BaseModel
from sqlalchemy import Engine

from expectations.contract import Contract
from expectations.errors import InputRejectedError, UsageError
from expectations.registry import get_contract
from storage.batches import find_batch
from storage.lake import hash_text, run_stage
from storage.replays import ReplayTarget, read_open_rows, record_replay
from tasks.fingerprint import code_fingerprint
from tasks.intake.content import SourceChangedError, hash_content
from tasks.intake.receive import Arrival, hash_raw, identify
from tasks.intake.replay_lines import find_separator, name_file, write_lines
from tasks.intake.source import Source
from tasks.intake.sources import open_source
from tasks.intake.stage import FileJob
from tasks.task import task
from tasks.wording import ID_DIGITS, plural

STAGE = "replay"
"""The folder of the lines, within the replay's folder."""

CORRECTIONS = "corrections.parquet"


class ReplayedRows(BaseModel, frozen=True):
    """The lines of a replay, ready to be read."""

    source: str
    """The name of their file in the stage's folder."""
    content_sha256: str
    size_bytes: int
    rows: int


def plan_replay(
    engine: Engine, target: ReplayTarget, corrected: Path | None, limits: FileJob, now: datetime
) -> Arrival:
    """Record a replay of the open rows of a batch, as they came or from a corrected file.

    ``limits`` says how files are read and checked now; its source and ids are not used.

    Returns:
        The replay as it arrives; already finished if the same was requested before.

    Raises:
        InputRejectedError: the file cannot be read, or is not that of the batch.
        UsageError: the features of the contract have changed since the batch was scored.
    """
    contract = get_contract(target.contract)
    _require_same_features(contract, target)
    source = corrected or target.source
    content: str | None
    if target.is_rejected:
        if source is None or (corrected is None and not source.exists()):
            raise _gone(target, source)
        found = identify(engine, source, contract.name, limits.max_file_bytes)
        if corrected is None and target.content not in {found.sha256, hash_raw(source).sha256}:
            raise _gone(target, source)
        if corrected is not None:
            _require_all_rows(corrected, contract, target)
        what, content, prefixes = found.sha256, found.sha256, found.prefixes
    else:
        open_rows = hashlib.sha256()
        for row_number, _, _ in read_open_rows(engine, target.batch_id):
            open_rows.update(b"%d " % row_number)
        content = None if corrected is None else hash_content(corrected).sha256
        what, prefixes = f"{open_rows.hexdigest()} {content or ''}", ()
        found = None
    batch_id = hash_text(
        "replay", target.batch_id, what, contract.fingerprint,
        code_fingerprint("intake", "validation"),
        str(limits.max_quarantine_ratio), str(limits.max_line_bytes), str(limits.max_file_bytes),
    )  # fmt: skip
    name = target.file_name if corrected is None else corrected.name
    stored = None if found is None else found.sha256
    size_bytes = 0 if found is None else found.size_bytes
    record_replay(engine, batch_id, target, name, now, stored, size_bytes, prefixes)
    return Arrival(
        record=find_batch(engine, batch_id),
        source=source or Path(name),
        name=name,
        damage=None if found is None else found.damage,
        contract_fingerprint=contract.fingerprint,
        received_at=now,
        content_bytes=size_bytes,
        content_sha256=content,
        replays=target,
        corrected=corrected,
    )


def take_rows(engine: Engine, folder: Path, arrival: Arrival, line_bytes: int) -> Arrival:
    """Write the lines of a replay of quarantined rows into its folder; its claim is held.

    Raises:
        InputRejectedError: the corrected file does not hold these rows, or changed meanwhile.
        UsageError: the names of the lines' fields are not known.
    """
    target = arrival.replays
    assert target is not None  # noqa: S101 - our own mistake: only replays are passed here
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
    """Write the open rows of a scored batch to a file, and which row is which."""
    contract = get_contract(target.contract)
    form, corrected = contract.form, arrival.corrected
    names, separator = target.field_names, form.separators[0]
    lines: Iterator[tuple[int, bytes]]
    if corrected is None:
        kept = read_open_rows(engine, target.batch_id, is_whole=True)
        lines = ((row_number, raw) for row_number, _, raw in kept)
        if names is not None:
            judged = read_open_rows(engine, target.batch_id, is_whole=True)
            separator = find_separator((raw for *_, raw in judged), len(names), form)
    else:
        opened = open_source(corrected, contract)
        names, separator = opened.read_names() or names, opened.read_layout().separator
        rows = [row_number for row_number, _, _ in read_open_rows(engine, target.batch_id)]
        chosen = _choose_lines(opened, target, rows, line_bytes)
        lines = zip(rows, chosen, strict=True)
    is_named = form.kind == "json"
    if names is None and not is_named:
        message = (
            f"Cannot replay batch {target.batch_id[:ID_DIGITS]}: it was stored by a version of"
            " Noctule that did not keep the names of a file's fields. Give the rows in a file with"
            " a header: noctule replay BATCH FILE"
        )
        raise UsageError(message)
    source = out / name_file(f"{target.batch_id[:ID_DIGITS]}-quarantined", form)
    written = write_lines(source, lines, form, None if is_named else names, separator)
    if corrected is not None and hash_content(corrected).sha256 != arrival.content_sha256:
        raise SourceChangedError.of(corrected)
    if not written.row_numbers:
        message = (
            f"Cannot replay batch {target.batch_id[:ID_DIGITS]}: its open lines are so long that"
            " Noctule kept only their beginnings. Give the lines in a file: noctule replay BATCH"
            " FILE"
        )
        raise UsageError(message)
    count = len(written.row_numbers)
    pl.DataFrame(
        {"row_number": range(1, count + 1), "corrected_row_number": written.row_numbers},
        schema={"row_number": pl.Int64, "corrected_row_number": pl.Int64},
    ).write_parquet(out / CORRECTIONS)
    return ReplayedRows(
        source=source.name,
        content_sha256=written.sha256,
        size_bytes=written.size_bytes,
        rows=count,
    )


def _require_same_features(contract: Contract, target: ReplayTarget) -> None:
    """Refuse a replay if the features are other than those of the rows that were scored.

    Raises:
        UsageError: they are.
    """
    if target.feature_fingerprint in {None, contract.feature_fingerprint}:
        return
    message = (
        f"Cannot replay batch {target.batch_id[:ID_DIGITS]}: the features of its contract"
        f" {contract.name} have changed since its rows were scored. Put the page back as it was and"
        " replay the batch; or train a model for the features as they are now, and deliver these"
        " rows in a file of their own: noctule run FILE. Nothing was changed."
    )
    raise UsageError(message)


def _require_all_rows(corrected: Path, contract: Contract, target: ReplayTarget) -> None:
    """Refuse a corrected file with fewer rows than the rejected one: rows would be lost.

    Raises:
        InputRejectedError: it has fewer. One row less is allowed: a header that could not be read
            was counted as a row.
    """
    count = open_source(corrected, contract).count_rows()
    if count < target.rows_read - 1:
        message = (
            f"Cannot replay batch {target.batch_id[:ID_DIGITS]} with {corrected.name}: it was"
            f" rejected whole, with {plural(target.rows_read, 'row')}, and the file has"
            f" {plural(count, 'row')}. Give all rows; nothing was stored."
        )
        raise InputRejectedError(message)


def _choose_lines(
    corrected: Source, target: ReplayTarget, rows: list[int], line_bytes: int
) -> Iterator[bytes]:
    """Yield the corrected lines of some rows, from a file of these rows or of all rows.

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
            f" their order, or all {plural(target.rows_read, 'row')} of the delivered file."
            " `noctule quarantine --batch` lists the open rows; nothing was stored."
        )
        raise InputRejectedError(message)
    yield from corrected.read_rows(wanted, line_bytes)


def _gone(target: ReplayTarget, source: Path | None) -> InputRejectedError:
    """Return the error for a rejected batch whose file is no longer there."""
    where = "is not known" if source is None else f"is no longer in {source}"
    return SourceChangedError(
        f"Cannot replay batch {target.batch_id[:ID_DIGITS]}: its file {where}. Give the file, or"
        " a corrected one: noctule replay BATCH FILE"
    )


plan_replay_task = task(plan_replay, name="plan replay")
take_rows_task = task(take_rows, name="take rows")
