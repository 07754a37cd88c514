"""The lake: where a batch's files lie, and how they come to be there whole or not at all.

Belongs here: paths, atomic writes, receipts. Does not belong here: what the files contain.

A stage owns one folder of the batch. It writes into a temporary sibling; when its work is done the
receipt goes in last, everything is synced, and one rename makes the folder visible. So a stage
folder that exists is complete; its receipt says what it was made from, and has the SHA-256 of every
file in it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

from pydantic import BaseModel

from expectations.errors import UsageError
from storage.cost import Cost, measured
from storage.refusals import refused_in_folder

RECEIPT: Final = "receipt.json"
VALIDATE: Final = "validate"
"""The stage whose summary names, as ``parts``, the files that hold a batch's accepted rows."""

ATTEMPT: Final = ".attempt-"
"""What the name of a folder begins with in which a stage is at work."""

S = TypeVar("S", bound=BaseModel)


def batch_folder(lake: Path, contract: str, batch_id: str) -> Path:
    """Name the folder that holds all stages of one batch."""
    return lake / contract / batch_id


def run_stage(
    folder: Path,
    stage: str,
    key: Mapping[str, str],
    summary_type: type[S],
    work: Callable[[Path], S],
) -> S:
    """Do a stage's work once, or return the summary of the time it was done.

    Args:
        folder: the batch's folder; made if absent.
        stage: the stage's folder name, such as ``ingest``.
        key: everything the result depends on (hash of input, contract, model, settings, code
            version). A receipt with another key, or whose files are not as it left them, is stale
            and the stage is redone.
        summary_type: the model the summary is read back with.
        work: fills the folder it is given, which is named like the stage, and returns its summary.

    Returns:
        The summary, from the work or from the receipt.

    Raises:
        ServiceUnavailableError: the disk is full.
    """
    kept = _read_receipt(folder / stage, key, summary_type)
    if kept is not None:
        return kept
    workshop = folder / f"{ATTEMPT}{uuid4().hex[:12]}"
    try:
        with room_on_disk(folder):
            summary = _do_stage(folder, workshop, stage, key, work)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return summary


def _do_stage(
    folder: Path, workshop: Path, stage: str, key: Mapping[str, str], work: Callable[[Path], S]
) -> S:
    """Do a stage's work in a folder of its own, and make it the stage's when it is whole."""
    attempt, done = workshop / stage, folder / stage
    attempt.mkdir(parents=True)
    with measured() as cost:
        summary = work(attempt)
    files = {name: hash_file(attempt / name) for name in list_files(attempt)}
    receipt = {
        "key": dict(key),
        "files": files,
        "summary": summary.model_dump(mode="json"),
        "cost": cost.model_dump(),
    }
    write_atomically(attempt / RECEIPT, json.dumps(receipt, indent=1).encode())
    for name in files:
        sync(attempt / name)
    if done.exists():
        done.rename(workshop / "stale")
    attempt.rename(done)
    sync(folder)
    return summary


@contextmanager
def room_on_disk(folder: Path) -> Iterator[None]:
    """Tell a disk that is full, or may not be written, from a bug, whoever met it first.

    Raises:
        ServiceUnavailableError: the disk, or the user's share of it, was full, or this user may
            not write there.
    """
    try:
        yield
    except Exception as error:
        refused = refused_in_folder(error, folder)
        if refused is None:
            raise
        raise refused from error


def read_costs(folder: Path, since: datetime) -> dict[str, Cost]:
    """Return what the stages that were done since a time cost, by stage, in the order they ended.

    A stage that was found done is not among them, nor is one of another model.

    Args:
        folder: the batch's folder.
        since: when the run began that asks, by this host's clock.
    """
    receipts = {
        receipt: receipt.stat().st_mtime
        for receipt in folder.glob(f"*/{RECEIPT}")
        if receipt.stat().st_mtime >= since.timestamp()
    }
    return {
        receipt.parent.name: Cost.model_validate(json.loads(receipt.read_bytes())["cost"])
        for receipt in sorted(receipts, key=receipts.__getitem__)
    }


def discard_attempts(folder: Path) -> None:
    """Remove what a killed run left unfinished in a batch's folder; only for who holds it alone.

    A run that lost its lock without noticing may still be writing there. So each is renamed first:
    the other then fails at its next step, and cannot make a stage of what is left of its files.
    """
    for attempt in folder.glob(f"{ATTEMPT}*"):
        doomed = attempt.with_name(f"{ATTEMPT}{uuid4().hex[:12]}")
        with suppress(OSError):  # the other one has just finished, or has removed it itself
            attempt.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def is_attempt(entry: Path) -> bool:
    """Tell what a run writes, or wrote when it was killed, from a finished stage."""
    return entry.name.startswith(ATTEMPT)


def find_fault(done: Path) -> str | None:
    """Say what is wrong with a stage's folder, by its receipt; None if nothing is."""
    try:
        files: dict[str, str | int] = json.loads((done / RECEIPT).read_bytes())["files"]
        return find_altered(done, files, RECEIPT, "the stage was done")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"{RECEIPT} cannot be read ({type(error).__name__})"


def find_altered(
    folder: Path, files: Mapping[str, str | int], listing: str, since: str
) -> str | None:
    """Say what is wrong with the first file of a folder that is not as it was; None if all are.

    Args:
        folder: where they lie.
        files: name -> SHA-256, hexadecimal, of every file there was but the listing itself; or its
            size in bytes, which is what the first receipts kept.
        listing: the name of the file that keeps this list.
        since: when it was made, in words.
    """
    for name in sorted({*files, *list_files(folder)} - {listing}):
        path = folder / name
        if name not in files:
            return f"{name} was not there when {since}"
        if path.is_symlink() or not path.is_file():
            return f"{name} is missing, or is no regular file"
        kept = files[name]
        if kept != (path.stat().st_size if isinstance(kept, int) else hash_file(path)):
            return f"{name} was altered since {since}"
    return None


def list_files(folder: Path) -> list[str]:
    """List what lies in a folder, however deep, by relative name in order; not the folders."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def hash_file(path: Path) -> str:
    """Return a file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_receipt(done: Path, key: Mapping[str, str], summary_type: type[S]) -> S | None:
    """Return the stored summary if the receipt is for this key and its files are as they were."""
    try:
        receipt = json.loads((done / RECEIPT).read_bytes())
        is_as_left = receipt["key"] == dict(key) and find_fault(done) is None
        return summary_type.model_validate(receipt["summary"]) if is_as_left else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None  # missing, torn, or of another version: the stage is redone


def read_summary(done: Path, summary_type: type[S]) -> S:
    """Return what a stage came to, whatever it was made from, if its files are as it left them.

    Raises:
        UsageError: the folder is missing, or a file of it was altered.
    """
    _require_as_left(done)
    receipt = json.loads((done / RECEIPT).read_bytes())
    return summary_type.model_validate(receipt["summary"])


def read_accepted(folder: Path, summary_type: type[S]) -> S:
    """Return what validation came to, if all rows that it accepted are as they were left.

    A part of which every row was accepted lies where ingest wrote it, any other in validation's own
    folder: the receipts of both must hold.

    Args:
        folder: the batch's folder.
        summary_type: of validation.

    Raises:
        UsageError: a folder that has accepted rows is missing, or a file of it was altered.
    """
    summary = read_summary(folder / VALIDATE, summary_type)
    for stage, names in list_accepted(folder).items():
        if stage != VALIDATE:
            _require_as_left(folder / stage, names)
    return summary


def list_accepted(folder: Path) -> dict[str, list[str]]:
    """List the files that hold a batch's accepted rows: stage -> names in its folder.

    None where validation left no receipt that can be read.
    """
    found: dict[str, list[str]] = {}
    try:
        receipt = json.loads((folder / VALIDATE / RECEIPT).read_bytes())
        for part in receipt["summary"].get("parts", ()):
            stage, _, name = part["path"].partition("/")
            found.setdefault(stage, []).append(name)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
    return found


def find_lost(done: Path, names: Iterable[str]) -> str | None:
    """Say which of some files a stage's folder has not; None if it has all."""
    lost = (name for name in names if not (done / name).is_file())
    return next((f"{name}, which has accepted rows, is missing" for name in lost), None)


def _require_as_left(done: Path, names: Iterable[str] = ()) -> None:
    """Refuse a stage's folder that is not as the stage left it, or has not some files.

    Raises:
        UsageError: it is so.
    """
    fault = find_fault(done) or find_lost(done, names) if done.is_dir() else "it is missing"
    if fault is not None:
        message = (
            f"Cannot read what {done.name} left in {done}: {fault}. Restore the batch's folder from"
            " a backup; the database has all that was stored."
        )
        raise UsageError(message)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file by temporary name, fsync and rename."""
    partial = path.with_name(f".{path.name}-{uuid4().hex[:12]}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hash_text(*parts: str) -> str:
    """Return one SHA-256, in hexadecimal, of several texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
