"""The lake: the folders of batches, and the stages that write into them.

Belongs here: paths, atomic writes, receipts. Does not belong here: what the files contain.

A stage owns one folder of the batch. It writes into a temporary folder; when its work is done, it
adds the receipt, syncs everything and renames the folder. So a stage folder that exists is
complete. Its receipt has a key, everything that the result depends on, and the SHA-256 of every
file.
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
"""The stage whose summary lists, as ``parts``, the files of a batch's accepted rows."""

UNREADABLE: Final = (OSError, ValueError, LookupError, TypeError, AttributeError)
"""The errors of a receipt that is missing, incomplete, or of another version."""

ATTEMPT: Final = ".attempt-"
"""The start of the name of a folder in which a stage is working."""

S = TypeVar("S", bound=BaseModel)


def batch_folder(lake: Path, contract: str, batch_id: str) -> Path:
    """Return the folder of one batch, which holds all its stages."""
    return lake / contract / batch_id


def run_stage(
    folder: Path,
    stage: str,
    key: Mapping[str, str],
    summary_type: type[S],
    work: Callable[[Path], S],
) -> S:
    """Run a stage, or return its stored summary if it was already run with the same key.

    ``folder``, the batch's, is created if it does not exist. ``key`` has everything that the result
    depends on (hash of input, contract, model, settings, code). If the receipt has another key, or
    a file was altered, the stage runs again. ``work`` fills the folder that it is given, which has
    the name ``stage``, and returns the summary.

    Raises:
        ServiceUnavailableError: the disk is full, or this user may not write there.
    """
    kept = _read_receipt(folder / stage, key, summary_type)
    if kept is not None:
        return kept
    work_folder = folder / f"{ATTEMPT}{uuid4().hex[:12]}"
    try:
        with room_on_disk(folder):
            summary = _do_stage(folder, work_folder, stage, key, work)
    finally:
        shutil.rmtree(work_folder, ignore_errors=True)
    return summary


def _do_stage(
    folder: Path, work_folder: Path, stage: str, key: Mapping[str, str], work: Callable[[Path], S]
) -> S:
    """Run a stage in a temporary folder, and rename that folder when it is complete."""
    attempt, done = work_folder / stage, folder / stage
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
        done.rename(work_folder / "stale")
    attempt.rename(done)
    sync(folder)
    return summary


@contextmanager
def room_on_disk(folder: Path) -> Iterator[None]:
    """Convert an error about a full or write-protected disk in the block to our own.

    Raises:
        ServiceUnavailableError: the disk or the user's quota is full, or this user may not write
            there.
    """
    try:
        yield
    except Exception as error:
        refused = refused_in_folder(error, folder)
        if refused is None:
            raise
        raise refused from error


def read_costs(folder: Path, since: datetime) -> dict[str, Cost]:
    """Return the cost of each stage that ended since a time, in the order in which they ended.

    A stage whose receipt was already there is not among them.

    ``since`` is the start of the run that asks, by this host's clock.
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
    """Remove the unfinished stages of killed runs from a folder that the caller has locked.

    A run that lost its lock without noticing may still write there. So each folder is renamed
    first: that run then fails at its next step, and cannot turn the remaining files into a stage.
    """
    for attempt in folder.glob(f"{ATTEMPT}*"):
        doomed = attempt.with_name(f"{ATTEMPT}{uuid4().hex[:12]}")
        with suppress(OSError):  # the other run has just finished, or has removed it itself
            attempt.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def is_attempt(entry: Path) -> bool:
    """Return whether a folder is an unfinished stage of a run, which may have been killed."""
    return entry.name.startswith(ATTEMPT)


def find_fault(done: Path) -> str | None:
    """Return how a stage's folder differs from its receipt; None if it does not."""
    try:
        files: dict[str, str | int] = json.loads((done / RECEIPT).read_bytes())["files"]
        return find_altered(done, files, RECEIPT, "the stage was done")
    except UNREADABLE as error:
        return f"{RECEIPT} cannot be read ({type(error).__name__})"


def find_altered(
    folder: Path, files: Mapping[str, str | int], listing: str, since: str
) -> str | None:
    """Return how a folder differs from a listing of its files; None if it does not.

    ``files`` has the SHA-256 in hexadecimal of every file except ``listing``, the file that has
    this listing; or its size in bytes, which the first receipts kept. ``since`` names the event at
    which the listing was made, in words.
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
    """Return the relative names of all files below a folder, sorted."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_receipt(done: Path, key: Mapping[str, str], summary_type: type[S]) -> S | None:
    """Return the stored summary if the receipt has this key and no file was altered."""
    try:
        receipt = json.loads((done / RECEIPT).read_bytes())
        is_as_left = receipt["key"] == dict(key) and find_fault(done) is None
        return summary_type.model_validate(receipt["summary"]) if is_as_left else None
    except UNREADABLE:
        return None  # the stage runs again


def read_summary(done: Path, summary_type: type[S]) -> S:
    """Return a stage's stored summary, with any key.

    Raises:
        UsageError: the folder is missing, or a file of it was altered.
    """
    _require_as_left(done)
    receipt = json.loads((done / RECEIPT).read_bytes())
    return summary_type.model_validate(receipt["summary"])


def read_key(done: Path) -> Mapping[str, str]:
    """Return what a stage's result depends on; it is empty if there is no readable receipt."""
    try:
        key = json.loads((done / RECEIPT).read_bytes())["key"]
        return {str(name): str(value) for name, value in key.items()}
    except UNREADABLE:
        return {}


def read_accepted(folder: Path, summary_type: type[S]) -> S:
    """Return the summary of validation, after checking every file with accepted rows.

    If all rows of a part were accepted, it is still in the folder of ingest; otherwise it is in
    that of validation. The receipts of both folders must match their files.

    Raises:
        UsageError: a folder with accepted rows is missing, or a file of it was altered.
    """
    summary = read_summary(folder / VALIDATE, summary_type)
    for stage, names in list_accepted(folder).items():
        if stage != VALIDATE:
            _require_as_left(folder / stage, names)
    return summary


def list_accepted(folder: Path) -> dict[str, list[str]]:
    """Return the files with a batch's accepted rows: stage -> names in its folder.

    It is empty if validation left no readable receipt.
    """
    found: dict[str, list[str]] = {}
    try:
        receipt = json.loads((folder / VALIDATE / RECEIPT).read_bytes())
        for part in receipt["summary"].get("parts", ()):
            stage, _, name = part["path"].partition("/")
            found.setdefault(stage, []).append(name)
    except UNREADABLE:
        return {}
    return found


def find_lost(done: Path, names: Iterable[str]) -> str | None:
    """Return a message about the first of these files that is missing; None if all exist."""
    lost = (name for name in names if not (done / name).is_file())
    return next((f"{name}, which has accepted rows, is missing" for name in lost), None)


def _require_as_left(done: Path, names: Iterable[str] = ()) -> None:
    """Raise a UsageError unless a stage's folder matches its receipt and has some files."""
    fault = find_fault(done) or find_lost(done, names) if done.is_dir() else "it is missing"
    if fault is not None:
        message = (
            f"Cannot read the files of the stage {done.name} in {done}: {fault}. Restore the"
            " batch's folder from a backup; the database still has all results."
        )
        raise UsageError(message)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, sync it and rename it."""
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
    """Return one SHA-256 of several texts, in hexadecimal."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
