"""Receiving: a file becomes a delivery of a batch, which is its content under one contract.

Belongs here: which files a run works on, which content a file has, and recording its arrival. Does
not belong here: what is in an inbox (``tasks.intake.inbox``) or in a file
(``tasks.intake.ingest``), and which contract a file gets (``tasks.intake.chosen_contract``).
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from storage.batch_ids import UNRECOGNISED, name_batch, stored_content
from storage.batches import BatchRecord
from storage.deliveries import Delivery, NewPrefixError, find_delivery, record_delivery
from storage.growth import SHORTEST_PREFIX_BYTES, PossiblePrefix, find_possible_prefixes
from storage.queries import is_rejection_open
from storage.replays import ReplayTarget
from storage.text import storable
from tasks.intake.chosen_contract import (
    Recognised,
    find_contract,
    fingerprint_contracts,
    list_candidates,
)
from tasks.intake.content import (
    CONTENT_BYTES,
    ContentHash,
    DamagedContentError,
    SourceChangedError,
    SourceUnavailableError,
    hash_content,
)
from tasks.intake.inbox import SkippedPath, batch_date, pending_files
from tasks.task import task

COMPRESSED_SUFFIXES = frozenset({".gz", ".zst", ".zstd"})
"""Suffixes that compression adds to a file name."""

LATEST_NIGHT = timedelta(days=1)
"""How far a file's own date may be ahead of UTC: in zones east of it, the next day begins first."""


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A file that this run works on."""

    path: Path
    batch_date: date
    """The night it belongs to, UTC."""


@dataclass(frozen=True, kw_only=True)
class NightFiles:
    """The files that a run finds."""

    new: tuple[NewFile, ...]
    """Files to process, in the order of the given places; those of a folder oldest first."""
    skipped: tuple[SkippedPath, ...]
    finished: tuple[Path, ...]
    """Files of a folder that are left out: unchanged since they were scored or rejected."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of a file under a contract."""

    contract: Recognised
    sha256: str
    """SHA-256 of the decompressed content; of the raw bytes if the content cannot be read."""
    size_bytes: int
    """Size of the bytes that were hashed."""
    damage: str | None
    """Why the content cannot be read; None if it can."""
    prefixes: tuple[str, ...]
    """Batches whose content is the beginning of it."""
    considered: frozenset[int]
    """The sizes of the earlier contents that were compared with it."""
    file_bytes: int
    """Size of the file itself."""
    modified_at: datetime

    @property
    def batch_id(self) -> str:
        """The batch that it is."""
        return name_batch(self.contract.name, self.sha256)


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A file that was received, or a replay that was requested."""

    record: BatchRecord
    """The batch it holds, as the database knows it."""
    source: Path
    """The file that is read."""
    name: str
    """The file name that messages and pages show."""
    damage: str | None
    """Why the content cannot be read; None if it can. The batch id is then made of the hash of the
    raw bytes."""
    refusal: str | None = None
    """Why no contract was recognised; None if one was."""
    contract_fingerprint: str
    """Of the contract's declaration; if none was recognised, of all that were tried."""
    received_at: datetime
    content_bytes: int = 0
    """Size of the decompressed content."""
    content_sha256: str | None = None
    """SHA-256 of the file that is read, where that is not the batch id. None for a replay whose
    file is not written yet."""
    replays: ReplayTarget | None = None
    """The batch whose rows a replay processes again; None if it is no replay."""
    corrected: Path | None = None
    """The file with corrected rows for a replay; None to read them as they came."""
    corrections: Path | None = None
    """For a replay of quarantined rows, the Parquet file that says which row of ``source`` is which
    quarantined row."""

    @property
    def content(self) -> str:
        """SHA-256 of the content that was received."""
        return self.content_sha256 or self.record.batch_id

    @property
    def is_selection(self) -> bool:
        """Whether it is a replay of the quarantined rows of a file."""
        return self.replays is not None and not self.replays.is_rejected

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the batch should know about its arrival, a sentence each."""
        night, notes = self.record.batch_date, []
        if night > self.received_at.date() + LATEST_NIGHT:
            notes.append(
                f"its night, {night}, lies in the future: it counts as the latest night until then"
            )
        if self.is_selection and self.replays is not None:
            before = self.replays.contract_fingerprint
            if before not in {None, self.contract_fingerprint}:
                notes.append(
                    f"contract {self.record.contract} has changed since the file was read: these"
                    " rows are read by the contract as it is now"
                )
        return tuple(notes)


def find_files(
    engine: Engine,
    places: Sequence[Path],
    night: date | None,
    settle_s: float,
    now: datetime,
    patterns: Sequence[str] = (),
    contract: str | None = None,
) -> NightFiles:
    """Find the files to work on: given files always, and files of given folders if they are new.

    Files of a folder that are finished in the database, and have not changed since, are left out. A
    file that was rejected because no contract was recognised is taken again once other contracts
    are to be tried; ``contract`` is the one that files are said to have, None for any. See
    ``pending_files`` for other files that are left for next time. Each file tells its night, unless
    one is given.

    Raises:
        UsageError: a folder cannot be listed.
    """
    new: list[NewFile] = []
    skipped: list[SkippedPath] = []
    finished: list[Path] = []
    for place in places:
        if not place.is_dir():
            new.append(NewFile(path=place, batch_date=batch_date(place.name, now, night)))
            continue
        contents = pending_files(place, now, settle_s, patterns)
        skipped += contents.skipped
        for file in contents.pending:
            path = file.path.absolute()
            known = find_delivery(engine, path, file.size_bytes, file.modified_at)
            if (
                known is None
                or not known.is_finished
                or _is_to_retry(engine, known, path, contract)
            ):
                date_of_file = batch_date(file.path.name, file.modified_at, night)
                new.append(NewFile(path=file.path, batch_date=date_of_file))
            else:
                finished.append(file.path)
    return NightFiles(new=tuple(new), skipped=tuple(skipped), finished=tuple(finished))


def _is_to_retry(engine: Engine, known: BatchRecord, path: Path, said: str | None) -> bool:
    """Return whether a file is open, had no contract, and there are others to try now."""
    return (
        known.contract == UNRECOGNISED
        and known.contract_fingerprint != fingerprint_contracts(list_candidates(said))
        and is_rejection_open(engine, known.batch_id, path)
    )


def receive_file(
    engine: Engine,
    source: Path,
    contract: str | None,
    night: date,
    now: datetime,
    limit_bytes: int = CONTENT_BYTES,
) -> Arrival:
    """Record that a file arrived; return its batch.

    ``contract`` is what the file is said to have; None to recognise it.

    Returns:
        The batch; it is already finished if the same content came before. If no contract was
        recognised, its contract is ``unrecognised``, and ``refusal`` says why.

    Raises:
        UsageError: there is no such contract.
        InputRejectedError: it is no regular file, cannot be read, or changed while it was read.
        ServiceUnavailableError: the database cannot be reached.
    """
    while True:  # one more turn for each shorter content that came meanwhile
        content = identify(engine, source, contract, limit_bytes)
        arrived = Delivery(
            content_sha256=content.sha256,
            contract=content.contract.name,
            batch_date=night,
            source=source.absolute(),
            size_bytes=content.file_bytes,
            content_bytes=content.size_bytes,
            modified_at=content.modified_at,
            arrived_at=now,
            prefixes=content.prefixes,
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
        refusal=content.contract.refusal,
        contract_fingerprint=content.contract.fingerprint,
        received_at=now,
        content_bytes=content.size_bytes,
        content_sha256=stored_content(content.batch_id, content.sha256),
    )


def identify(engine: Engine, source: Path, contract: str | None, limit_bytes: int) -> Content:
    """Return the content of a file, and the batches whose content it begins with.

    ``contract`` is what the file is said to have; None to recognise it.

    Raises:
        UsageError: there is no such contract.
        InputRejectedError: it is no regular file, cannot be read, or changed while it was read.
    """
    before = _examine(source)
    found = find_contract(source, contract)
    candidates = find_possible_prefixes(engine, found.name)
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
        # Another file's size and time recorded for this content would leave that file out for ever.
        raise SourceChangedError.of(source)
    return Content(
        contract=found,
        sha256=content.sha256,
        size_bytes=content.size_bytes,
        damage=damage,
        prefixes=_prefixes(source.name, content, candidates),
        considered=frozenset(candidates),
        file_bytes=status.st_size,
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
    )


def _prefixes(
    name: str, content: ContentHash, candidates: Mapping[int, Sequence[PossiblePrefix]]
) -> tuple[str, ...]:
    """Return the batches that a content begins with.

    A short content counts only if the file names agree: it could be a beginning by chance.
    """
    return tuple(
        one.batch_id
        for size_bytes, sha256 in content.prefixes.items()
        for one in candidates[size_bytes]
        if one.sha256 == sha256
        and (size_bytes >= SHORTEST_PREFIX_BYTES or _plain_name(one.file_name) == _plain_name(name))
    )


def _plain_name(name: str) -> str:
    """Return a file's name without the suffix of its compression."""
    path = Path(name)
    return storable(path.stem if path.suffix.lower() in COMPRESSED_SUFFIXES else path.name)


def _examine(source: Path) -> os.stat_result:
    """Return a file's status, or raise SourceUnavailableError."""
    try:
        return source.stat()
    except OSError as error:
        message = f"Cannot read {source}: {error.strerror}. Nothing was stored."
        raise SourceUnavailableError(message) from error


def hash_raw(source: Path) -> ContentHash:
    """Return the hash of a file's raw bytes."""
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return ContentHash(sha256=digest.hexdigest(), size_bytes=source.stat().st_size)


find_files_task = task(find_files, name="find files")
receive_task = task(receive_file, name="receive")
