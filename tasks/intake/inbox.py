"""The inbox: which files have arrived whole, and which night they belong to.

Belongs here: what names, times and sizes show. Does not belong here: opening a file, or whether its
content came before (the database knows that).
"""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from expectations.errors import UsageError

QUIET_SECONDS = 60.0
"""For how long a file must be unchanged, in seconds. A guess: collectors flush more often than this
while they write. If a copy stalls for longer, ingest still refuses the file once it changes while
it is read."""

TEMPORARY_SUFFIXES = frozenset(
    {
        ".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".swp",
        ".incomplete", ".inprogress", ".in_progress", ".uploading", ".copying", ".writing",
    }
)  # fmt: skip
"""Suffixes that copying programs and browsers give to a file that is not complete."""

COMPANION_SUFFIXES = frozenset(
    {
        # checksums and sizes
        ".md5", ".md5sum", ".sha1", ".sha1sum", ".sha224", ".sha256", ".sha256sum", ".sha384",
        ".sha512", ".sha512sum", ".b2", ".b2sum", ".b3", ".crc", ".crc32", ".sfv", ".cksum",
        ".checksum", ".size",
        # signs that a delivery is complete
        ".ok", ".done", ".ready", ".complete", ".completed", ".finished", ".success", ".trg",
        ".trigger", ".rdy", ".received", ".end", ".flag", ".flg", ".sem", ".marker", ".fin",
        ".eof", ".ctl", ".ctrl",
        # signatures, locks and lists
        ".sig", ".asc", ".sign", ".minisig", ".lock", ".lck", ".manifest", ".mf",
    }
)  # fmt: skip
"""Suffixes of files that accompany a delivery. A guess: those in wide use."""

DELIVERY_SUFFIXES = frozenset({".csv", ".txt", ".parquet", ".gz", ".zst", ".zstd"})
"""Suffixes that a delivery may have after the whole name of another file: ``night.csv.gz``. So may
a suffix that begins with a digit, as of a rotated log. A file with any other suffix accompanies the
file of that name: ``night.csv.json`` accompanies ``night.csv``."""

COMPANION_NAMES = frozenset(
    {
        "thumbs.db", "desktop.ini", "readme", "readme.txt", "readme.md", "readme.html",
        "index.html", "index.htm", "manifest.json", "manifest.txt", "manifest.xml", "manifest",
        "md5sums", "md5sums.txt", "sha1sums", "sha1sums.txt", "sha256sums", "sha256sums.txt",
        "sha512sums", "sha512sums.txt", "checksums", "checksums.txt", "done", "ok", "ready",
        "complete", "success", "ehthumbs.db", "go", "trigger", "md5sum", "md5sum.txt", "readme.rst",
        "license", "license.txt", "changelog.md", "nohup.out",
    }
)  # fmt: skip
"""Names, in lower case, of files that are in a folder with deliveries but are not deliveries."""

_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})([-_.]?)(\d{2})\2(\d{2})(?=(?:\d{4}(?:\d{2})?)?(?!\d))")
"""A date in a name, written with or without separators, perhaps with a time right after it."""


@dataclass(frozen=True)
class PendingFile:
    """A file that has arrived completely."""

    path: Path
    size_bytes: int
    """Size on disk: compressed if the file is."""
    modified_at: datetime
    """UTC."""


@dataclass(frozen=True)
class SkippedPath:
    """A file that is left out, now or always."""

    path: Path
    reason: str


@dataclass(frozen=True)
class InboxContents:
    """All files of an inbox."""

    pending: tuple[PendingFile, ...]
    """Files to process: the oldest first; files of the same age by name."""
    skipped: tuple[SkippedPath, ...]
    """Files that are left out, sorted by name, each with its reason."""


def pending_files(
    inbox: Path,
    now: datetime,
    quiet_seconds: float = QUIET_SECONDS,
    patterns: Sequence[str] = (),
) -> InboxContents:
    """List the files of an inbox to process, oldest first, and those left out, with reasons.

    Args:
        inbox: the folder; its sub-folders are not entered.
        now: the present, with a time zone.
        quiet_seconds: a file modified less than this ago may still be growing.
        patterns: which names are deliveries, as shell patterns, in any case of letters; if empty,
            every name except those of companions.

    Raises:
        UsageError: the inbox is not a folder, or may not be listed.
    """
    pending = []
    skipped = []
    entries = sorted(_entries(inbox))
    names = {path.name for path in entries}
    for path in entries:
        try:
            status = path.stat()
            reason = (
                _reason_by_name(path, inbox)
                or _reason_by_state(status, now, quiet_seconds)
                or _reason_by_purpose(path.name, names, patterns)
            )
        except FileNotFoundError:
            reason = "a link to nothing" if path.is_symlink() else "gone since the inbox was listed"
        except OSError as error:
            reason = f"cannot be examined: {error.strerror}"
        if reason:
            skipped.append(SkippedPath(path, reason))
        else:
            modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
            pending.append(PendingFile(path, status.st_size, modified_at))
    pending.sort(key=lambda file: (file.modified_at, file.path.name))
    return InboxContents(tuple(pending), tuple(skipped))


def batch_date(name: str, arrived: datetime, override: date | None = None) -> date:
    """Return the night that a file belongs to.

    Args:
        name: the file's name; the first real date in it counts, as in ``2026-11-20``,
            ``2026_11_20``, ``2026.11.20``, ``20261120`` or ``20261120T0315``.
        arrived: when it arrived, with a time zone.
        override: the date that the user gave, which always counts.

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
    """Yield the entries of the inbox."""
    try:
        yield from inbox.iterdir()
    except FileNotFoundError as error:
        msg = (
            f"Cannot list the inbox {inbox}: there is no such folder. Make it, or set"
            " NOCTULE_INBOX to where files arrive."
        )
        raise UsageError(msg) from error
    except OSError as error:
        msg = f"Cannot list the inbox {inbox}: {error.strerror}. Expected a readable folder."
        raise UsageError(msg) from error


def _reason_by_name(path: Path, inbox: Path) -> str | None:
    """Return why an entry is left out for its name or as a link; None if it is not."""
    if path.name.startswith("."):
        return "hidden"
    if not path.name.isprintable():
        return "its name holds characters that cannot be shown; rename it"
    if (
        path.suffix.lower() in TEMPORARY_SUFFIXES
        or path.name.endswith("~")
        or path.name.startswith("~$")
    ):
        return "its name says it is temporary"
    if path.is_symlink() and not path.resolve().is_relative_to(inbox.resolve()):
        return "a link that leaves the inbox"
    return None


def _reason_by_purpose(name: str, names: Collection[str], patterns: Sequence[str]) -> str | None:
    """Return why a complete file is left out because it is no delivery; None if it is one.

    A companion is a delivery only if it matches a pattern that itself is a companion's name:
    ``*.ok`` takes ``night.ok``, but ``night*`` does not.
    """
    matched = [one for one in patterns if fnmatchcase(name.lower(), one.lower())]
    if patterns and not matched:
        return f"its name does not match NOCTULE_INBOX_PATTERN ({', '.join(patterns)})"
    mark = _companion_mark(name, is_beside=_accompanied(name) in names)
    if mark is None or any(_companion_mark(one, is_beside=True) for one in matched):
        return None
    return (
        f"its name ({mark}) says that it accompanies a delivery; if it is one, name it on the"
        " command line or in NOCTULE_INBOX_PATTERN"
    )


def _companion_mark(name: str, *, is_beside: bool) -> str | None:
    """Return the part of a name that marks a companion; None if there is none.

    Args:
        name: of a file, or a pattern of such names.
        is_beside: whether the file that it would accompany is there too.
    """
    if name.startswith("_"):
        return "_"
    if name.lower() in COMPANION_NAMES:
        return name
    suffix = Path(name).suffix.lower()
    is_added = suffix and suffix not in DELIVERY_SUFFIXES and not suffix[1:2].isdigit()
    return suffix if suffix in COMPANION_SUFFIXES or (is_beside and is_added) else None


def _accompanied(name: str) -> str | None:
    """Return the file that a name would accompany: ``night.csv`` for ``night.csv.json``."""
    stem = Path(name).stem
    return stem if Path(stem).suffix else None


def _reason_by_state(status: os.stat_result, now: datetime, quiet_seconds: float) -> str | None:
    """Return why an entry is left out for its kind or its age; None if it is not."""
    if S_ISDIR(status.st_mode):
        return "a folder"
    if not S_ISREG(status.st_mode):
        return "not a regular file"
    # A time further in the future comes from a wrong clock: the file would never be read.
    if abs(now.timestamp() - status.st_mtime) < quiet_seconds:
        return f"modified less than {quiet_seconds:g} s ago: it may still be growing"
    return None
