"""The inbox: which files have arrived whole, and which night they belong to.

Belongs here: what can be told from names, times and sizes. Does not belong here: opening a file,
or whether its content was seen before (the database knows that).
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from expectations.errors import UsageError

QUIET_SECONDS = 60.0
"""How long a file must have lain untouched, in seconds. A guess: collectors that write for a while
flush more often than that. A copy that stalls longer is still caught: ingest refuses a file that
changes while it is read."""

TEMPORARY_SUFFIXES = frozenset(
    {".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".swp"}
)
"""What copying programs and browsers call a file that is not there yet."""

_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})([-_.]?)(\d{2})\2(\d{2})(?=(?:\d{4}(?:\d{2})?)?(?!\d))")
"""A date in a name, written with or without separators, perhaps with a time right after it."""


@dataclass(frozen=True)
class PendingFile:
    """A file that has arrived whole."""

    path: Path
    size_bytes: int
    """Size on disk: compressed if the file is."""
    modified_at: datetime
    """UTC."""


@dataclass(frozen=True)
class SkippedFile:
    """A file that is left for another time, or for good."""

    path: Path
    reason: str


@dataclass(frozen=True)
class InboxContents:
    """Everything that lies in an inbox."""

    pending: tuple[PendingFile, ...]
    """Oldest first; of the same age, by name."""
    skipped: tuple[SkippedFile, ...]
    """By name, each with its reason."""


def pending_files(
    inbox: Path, now: datetime, quiet_seconds: float = QUIET_SECONDS
) -> InboxContents:
    """List an inbox: files to process, oldest first, and what is skipped and why.

    Args:
        inbox: the folder; its sub-folders are not entered.
        now: the present, with a time zone.
        quiet_seconds: a file modified less than this ago may still be growing.

    Raises:
        UsageError: the inbox is not a folder, or may not be listed.
    """
    pending = []
    skipped = []
    for path in sorted(_entries(inbox)):
        try:
            status = path.stat()
            reason = _reason_by_name(path, inbox) or _reason_by_state(status, now, quiet_seconds)
        except FileNotFoundError:
            reason = "a link to nothing" if path.is_symlink() else "gone since the inbox was listed"
        except OSError as error:
            reason = f"cannot be examined: {error.strerror}"
        if reason:
            skipped.append(SkippedFile(path, reason))
        else:
            modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
            pending.append(PendingFile(path, status.st_size, modified_at))
    pending.sort(key=lambda file: (file.modified_at, file.path.name))
    return InboxContents(tuple(pending), tuple(skipped))


def _is_settled(status: os.stat_result, now: datetime, quiet_seconds: float) -> bool:
    """Tell whether a file has lain untouched long enough to be whole.

    A time of modification further in the future than ``quiet_seconds`` is a wrong clock, not a
    writer at work, and counts as settled: the file would otherwise wait for ever.
    """
    return abs(now.timestamp() - status.st_mtime) >= quiet_seconds


def batch_date(name: str, arrived: datetime, override: date | None = None) -> date:
    """Say which night a file belongs to.

    Args:
        name: the file's name; the first real date in it counts, as in ``2026-11-20``,
            ``2026_11_20``, ``2026.11.20``, ``20261120`` or ``20261120T0315``.
        arrived: when it arrived, with a time zone.
        override: the date the user gave; it settles the matter.

    Returns:
        The override, else the date in the name, else the day it arrived in UTC.
    """
    if override is not None:
        return override
    for year, _, month, day in _DATE.findall(name):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue
    return arrived.astimezone(UTC).date()


def _entries(inbox: Path) -> Iterator[Path]:
    """Yield what lies in the inbox."""
    try:
        yield from inbox.iterdir()
    except FileNotFoundError as error:
        msg = (
            f"Cannot look into the inbox {inbox}: there is no such folder. Make it, or set"
            " NOCTULE_INBOX to where files arrive."
        )
        raise UsageError(msg) from error
    except OSError as error:
        msg = f"Cannot look into the inbox {inbox}: {error.strerror}. Expected a readable folder."
        raise UsageError(msg) from error


def _reason_by_name(path: Path, inbox: Path) -> str | None:
    """Say why an entry is skipped for what it is called or where it leads; None if it is not."""
    if path.name.startswith("."):
        return "hidden"
    if not path.name.isprintable():
        return "its name holds characters that cannot be shown; rename it"
    if path.suffix.lower() in TEMPORARY_SUFFIXES or path.name.endswith("~"):
        return "its name says it is temporary"
    if path.is_symlink() and not path.resolve().is_relative_to(inbox.resolve()):
        return "a link that leaves the inbox"
    return None


def _reason_by_state(status: os.stat_result, now: datetime, quiet_seconds: float) -> str | None:
    """Say why an entry is skipped for its kind or its age; None if it is not."""
    if S_ISDIR(status.st_mode):
        return "a folder"
    if not S_ISREG(status.st_mode):
        return "not a regular file"
    if not _is_settled(status, now, quiet_seconds):
        return f"modified less than {quiet_seconds:g} s ago: it may still be growing"
    return None
