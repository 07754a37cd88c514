"""Receiving: a file becomes a delivery of a batch, known by its content.

Belongs here: which files are to be worked on, telling what content one holds, and recording that
it came. Does not belong here: what lies in an inbox (``tasks.intake.inbox``) or in a file
(``tasks.intake.ingest``).
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from storage.batches import BatchRecord
from storage.deliveries import Delivery, NewPrefixError, find_delivery, record_delivery
from storage.growth import SHORTEST_PREFIX_BYTES, PossiblePrefix, find_possible_prefixes
from storage.replays import ReplayTarget
from storage.text import storable
from tasks.intake.content import (
    CONTENT_BYTES,
    ContentHash,
    DamagedContentError,
    SourceChangedError,
    SourceUnavailableError,
    hash_content,
)
from tasks.intake.inbox import LeftFile, batch_date, pending_files
from tasks.task import task

COMPRESSED_SUFFIXES = frozenset({".gz", ".zst", ".zstd"})
"""What a compressed file's name ends in beside that of what it holds."""

LATEST_NIGHT = timedelta(days=1)
"""How far ahead of UTC a file's own date may be: east of it, tomorrow has begun."""


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A file that is to be worked on."""

    path: Path
    batch_date: date
    """The night it belongs to, UTC."""


@dataclass(frozen=True, kw_only=True)
class NightFiles:
    """What a run has before it."""

    new: tuple[NewFile, ...]
    """In the order the places were given; the files of a folder oldest first."""
    skipped: tuple[LeftFile, ...]
    finished: tuple[Path, ...]
    """Files of a folder that are passed over: unchanged since they were scored or rejected."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file holds."""

    sha256: str
    """Of its decompressed content; of its bytes as they are where that cannot be read."""
    size_bytes: int
    """Of what was hashed."""
    damage: str | None
    """Why its content cannot be read; None where it can."""
    beginnings: tuple[str, ...]
    """Batches whose content is the beginning of it."""
    considered: frozenset[int]
    """The sizes of the contents that were looked for."""
    file_bytes: int
    """Size of the file itself."""
    modified_at: datetime


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A file that was received, or a replay that was asked for."""

    record: BatchRecord
    """The batch it holds, as the database knows it."""
    source: Path
    """The file that is read."""
    name: str
    """What it is called where people read of it."""
    damage: str | None
    """Why its content cannot be read; None where it can. It is then known by its raw bytes."""
    received_at: datetime
    content_bytes: int = 0
    """Size of its decompressed content."""
    content_sha256: str | None = None
    """What the content of the file that is read is known by, where that is not the batch id: of a
    replay; None where that file is yet to be written."""
    replays: ReplayTarget | None = None
    """Of a replay, the batch whose rows it puts through again."""
    corrected: Path | None = None
    """Of a replay, the file that corrects them."""
    corrections: Path | None = None
    """Of a replay of quarantined rows: which row of the source is which of those."""

    @property
    def is_selection(self) -> bool:
        """Whether it is some rows of a file, chosen for having been quarantined."""
        return self.replays is not None and not self.replays.is_rejected

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the batch should know of its coming, a sentence each."""
        night = self.record.batch_date
        if night <= self.received_at.date() + LATEST_NIGHT:
            return ()
        return (
            f"its night, {night}, lies in the future: it counts as the latest night until then",
        )


def find_files(
    engine: Engine,
    places: Sequence[Path],
    night: date | None,
    settle_s: float,
    now: datetime,
    patterns: Sequence[str] = (),
) -> NightFiles:
    """Find the files to work on.

    Args:
        engine: the database; a folder's files that it has finished, unchanged, are passed over.
        places: files, taken as they are, and folders, of which temporary and growing files and
            companions of deliveries are left for next time.
        night: the night they belong to; None to tell it from each file.
        settle_s: how long a folder's file must have lain untouched, in seconds.
        now: the present.
        patterns: which names in a folder are deliveries; all but companions' if empty.

    Raises:
        UsageError: a folder cannot be listed.
    """
    new: list[NewFile] = []
    skipped: list[LeftFile] = []
    finished: list[Path] = []
    for place in places:
        if not place.is_dir():
            new.append(NewFile(path=place, batch_date=batch_date(place.name, now, night)))
            continue
        contents = pending_files(place, now, settle_s, patterns)
        skipped += contents.skipped
        for file in contents.pending:
            known = find_delivery(engine, file.path.absolute(), file.size_bytes, file.modified_at)
            if known is None or not known.is_finished:
                date_of_file = batch_date(file.path.name, file.modified_at, night)
                new.append(NewFile(path=file.path, batch_date=date_of_file))
            else:
                finished.append(file.path)
    return NightFiles(new=tuple(new), skipped=tuple(skipped), finished=tuple(finished))


def receive_file(
    engine: Engine,
    source: Path,
    contract: str,
    night: date,
    now: datetime,
    limit_bytes: int = CONTENT_BYTES,
) -> Arrival:
    """Record that a file came, and find the batch it is a delivery of, and those it begins with.

    Args:
        engine: the database.
        source: the file.
        contract: the name of the contract it is read under.
        night: the night it belongs to.
        now: when it was seen.
        limit_bytes: largest content that is taken in.

    Returns:
        The batch; already finished where the same content came before.

    Raises:
        InputRejectedError: it is no file, may not be read, or changed while it was read.
        ServiceUnavailableError: the database cannot be reached.
    """
    while True:  # one more turn for each shorter content that came meanwhile
        content = identify(engine, source, contract, limit_bytes)
        arrived = Delivery(
            batch_id=content.sha256,
            contract=contract,
            batch_date=night,
            source=source.absolute(),
            size_bytes=content.file_bytes,
            content_bytes=content.size_bytes,
            modified_at=content.modified_at,
            arrived_at=now,
            prefixes=content.beginnings,
            considered=content.considered,
        )
        try:
            record = record_delivery(engine, arrived)
            break
        except NewPrefixError:
            continue
    return Arrival(
        record=record,
        source=source,
        name=source.name,
        damage=content.damage,
        received_at=now,
        content_bytes=content.size_bytes,
    )


def identify(engine: Engine, source: Path, contract: str, limit_bytes: int) -> Content:
    """Tell what a file holds, and which batches its content begins with.

    Args:
        engine: the database.
        source: the file.
        contract: the name of the contract it is read under.
        limit_bytes: largest content that is read.

    Raises:
        InputRejectedError: it is no file, may not be read, or changed while it was read.
    """
    before = _examine(source)
    candidates = find_possible_prefixes(engine, contract)
    damage = None
    try:
        content = hash_content(source, candidates, limit_bytes)
    except DamagedContentError as error:
        content, damage = hash_raw(source), str(error)
    status = _examine(source)
    if (before.st_ino, before.st_size, before.st_mtime_ns) != (
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
    ):
        # Another file's size and time under this content would pass that file over for ever.
        raise SourceChangedError.of(source)
    return Content(
        sha256=content.sha256,
        size_bytes=content.size_bytes,
        damage=damage,
        beginnings=_beginnings(source.name, content, candidates),
        considered=frozenset(candidates),
        file_bytes=status.st_size,
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
    )


def _beginnings(
    name: str, content: ContentHash, candidates: Mapping[int, Sequence[PossiblePrefix]]
) -> tuple[str, ...]:
    """Name the batches that a content begins with.

    A short one counts under the same name only: it could be a beginning by chance.
    """
    return tuple(
        one.batch_id
        for size_bytes, sha256 in content.beginnings.items()
        for one in candidates[size_bytes]
        if one.sha256 == sha256
        and (size_bytes >= SHORTEST_PREFIX_BYTES or _plain_name(one.file_name) == _plain_name(name))
    )


def _plain_name(name: str) -> str:
    """Return a file's name without what says that it is compressed."""
    path = Path(name)
    return storable(path.stem if path.suffix.lower() in COMPRESSED_SUFFIXES else path.name)


def _examine(source: Path) -> os.stat_result:
    """Return a file's status.

    Raises:
        SourceUnavailableError: there is none.
    """
    try:
        return source.stat()
    except OSError as error:
        message = f"Cannot read {source}: {error.strerror}. Nothing was stored."
        raise SourceUnavailableError(message) from error


def hash_raw(source: Path) -> ContentHash:
    """Hash a file as it lies there."""
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return ContentHash(sha256=digest.hexdigest(), size_bytes=source.stat().st_size)


find_files_task = task(find_files, name="find files")
receive_task = task(receive_file, name="receive")
