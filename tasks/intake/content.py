"""The content of delivered files as bytes: opened, decompressed and hashed.

Belongs here: what needs no knowledge of the file's form. Does not belong here: its
lines (``tasks.intake.lines``), what they mean (``tasks.intake.layout``,
``tasks.intake.text_blocks``) or what Parquet holds (``tasks.intake.parquet_records``).

Nothing here holds a whole file in memory. The first bytes say how a file is compressed, not its
name: a ``.csv`` may be gzip, and a ``.gz`` may be plain text.
"""

import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import zstandard
from pydantic import BaseModel

from expectations.errors import InputRejectedError
from tasks.intake.forms import READ, START_BYTES, name_form

PIECE_BYTES = 1 << 20
"""How much plain or gzip content is read at a time. A guess; a few hundred reads a second."""
ZST_FEED_BYTES = 1 << 10
"""Compressed bytes given to zstd at a time. Its best ratio is 32,768, so these yield at most 32
MiB. Measured: 1.1 times the cost of 128 KiB at a time."""
ZST_WINDOW_BYTES = 1 << 27
"""Largest window of zstandard, which is held in memory: 128 MiB. ``zstd`` itself reads as much by
default, and ``--long`` without a number makes no larger one."""
_ZST_HEADER_BYTES = 18
"""The longest header of a zstandard frame."""
CONTENT_BYTES = 20_000_000_000
"""Largest content that is read. A guess: 130 million lines of 150 bytes, a day of a busy site. A
compressed file with more is probably made to fill the disk."""

PARQUET_MAGIC = b"PAR1"
_ENCRYPTED_MAGIC = b"PARE"
"""The first and last bytes of Parquet with an encrypted footer; a text may begin so too."""
_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = tuple(bytes([0x50 + i]) + b"\x2a\x4d\x18" for i in range(16))


class DamagedContentError(InputRejectedError):
    """A file's bytes can be read, but not its content; another try will not help."""


class SourceUnavailableError(InputRejectedError):
    """A file is gone or may not be read: its content is not known."""


class SourceChangedError(InputRejectedError):
    """A file changed while it was read: the next run may find it complete."""

    @classmethod
    def of(cls, source: Path) -> "SourceChangedError":
        """Return the error for a file whose content has changed."""
        return cls(
            f"{source} changed while it was worked on. Nothing was stored; run it again when it is"
            " complete."
        )


class _UnmetNeedError(Exception):
    """A file is whole, but reading it needs something that Noctule lacks; says what to do."""


class ContentHash(BaseModel, frozen=True):
    """The hash that identifies a content."""

    sha256: str
    """Hexadecimal, of the decompressed bytes; of Parquet, of the file itself."""
    size_bytes: int
    """Size of what was hashed."""
    prefixes: Mapping[int, str] = {}
    """Size -> SHA-256 of that many first bytes, for each requested size that is smaller."""


def hash_content(
    source: Path, sizes: Collection[int] = (), limit_bytes: int = CONTENT_BYTES
) -> ContentHash:
    """Hash a file's decompressed bytes, a piece at a time.

    The same records plain, as gzip and as zstandard have the same hash, so they are one batch.
    For each of ``sizes``, that many first bytes are hashed too.

    Raises:
        InputRejectedError: no regular file, unreadable, truncated, too large, or changed meanwhile.
    """
    digest = hashlib.sha256()
    size_bytes = 0
    prefixes = {}
    marks = sorted({size for size in sizes if size > 0}, reverse=True)
    for piece in read_content(source):
        done = 0
        while marks and marks[-1] < size_bytes + len(piece):
            mark = marks.pop()
            digest.update(piece[done : mark - size_bytes])
            done = mark - size_bytes
            prefixes[mark] = digest.hexdigest()
        digest.update(piece[done:] if done else piece)
        size_bytes += len(piece)
        if size_bytes > limit_bytes:
            msg = (
                f"Cannot read {source}: its content is larger than {limit_bytes:,} bytes, the limit"
                " that NOCTULE_MAX_FILE_BYTES sets. None of it is stored. Deliver it in parts; or,"
                " if its size is right, raise the limit and replay the batch."
            )
            raise DamagedContentError(msg)
    return ContentHash(sha256=digest.hexdigest(), size_bytes=size_bytes, prefixes=prefixes)


def read_content(source: Path, piece_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """Yield a file's decompressed bytes in pieces of bounded size.

    ``piece_bytes`` bounds plain and gzip content; zstandard chooses pieces of at most 32 MiB.

    Raises:
        InputRejectedError: no regular file, unreadable, truncated, of a kind that is not read, or
            grown or rewritten between the first and the last piece.
    """
    try:
        mode = source.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            msg = f"Cannot read {source}: it is {kind}. Give the path of a file of connections."
            raise SourceUnavailableError(msg)
        with source.open("rb") as file:
            before = os.fstat(file.fileno())
            is_compressed = _compression_of(file) is not None
            content = _decompress(file, piece_bytes)
            yield from _refuse_unread(content, source, is_compressed=is_compressed)
            after = os.fstat(file.fileno())
    except _UnmetNeedError as error:
        msg = f"Cannot read {source}: {error} None of it is stored."
        raise DamagedContentError(msg) from error
    except FileNotFoundError as error:
        msg = f"Cannot read {source}: there is no such file."
        raise SourceUnavailableError(msg) from error
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        msg = (
            f"Cannot read {source}: its compressed content is cut short or damaged ({error})."
            " None of it is stored. Deliver the whole file again."
        )
        raise DamagedContentError(msg) from error
    except OSError as error:
        reason = error.strerror or str(error)
        msg = f"Cannot read {source}: {reason}. Check that this user may read it."
        raise SourceUnavailableError(msg) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        msg = (
            f"{source} changed while it was read ({before.st_size} bytes at first,"
            f" {after.st_size} at the end). Nothing was stored; run it again when it is complete."
        )
        raise SourceChangedError(msg)


def is_parquet(source: Path) -> bool:
    """Return whether a file's first four bytes are Parquet's; False if it cannot be read.

    Only a regular file is opened: opening a pipe would wait for a writer.
    """
    try:
        if not source.is_file():
            return False
        with source.open("rb") as file:
            return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
    except OSError:
        return False


def compression_of(source: Path) -> str | None:
    """Return a file's compression by its first bytes: ``gzip``, ``zstandard`` or None."""
    with source.open("rb") as file:
        return _compression_of(file)


def _compression_of(file: BinaryIO) -> str | None:
    """Return an open file's compression, and go back to its beginning."""
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(_GZIP_MAGIC):
        return "gzip"
    if magic == _ZSTD_MAGIC or magic in _ZSTD_SKIPPABLE:
        return "zstandard"
    return None


def _refuse_unread(
    content: Iterator[bytes], source: Path, *, is_compressed: bool
) -> Iterator[bytes]:
    """Yield a content, or raise DamagedContentError if it has a form that is not read.

    A file of such a form must not be known by its content: compressed Parquet has the same content
    as the plain file, which can be read.
    """
    first: list[bytes] = []
    size_bytes = 0
    while size_bytes < START_BYTES and (piece := next(content, b"")):
        first.append(piece)
        size_bytes += len(piece)
    start = b"".join(piece[:START_BYTES] for piece in first)[:START_BYTES]
    form = name_form(start, is_compressed=is_compressed)
    if form is not None:
        msg = f"Cannot read {source}: it is {form.name}. {READ} {form.advice}"
        raise DamagedContentError(msg)
    yield from first
    yield from content


def _decompress(file: BinaryIO, piece_bytes: int) -> Iterator[bytes]:
    """Yield the decompressed content of an open file."""
    match _compression_of(file):
        case "gzip":
            with gzip.GzipFile(fileobj=file) as content:
                yield from iter(lambda: content.read(piece_bytes), b"")
        case "zstandard":
            yield from _decompress_zstd(file)
        case _:
            start = file.read(len(_ENCRYPTED_MAGIC))
            file.seek(0)
            if start == _ENCRYPTED_MAGIC and _ends_with(file, _ENCRYPTED_MAGIC):
                msg = "it is encrypted Parquet. Noctule has no key: deliver it decrypted."
                raise _UnmetNeedError(msg)
            yield from iter(lambda: file.read(piece_bytes), b"")


def _ends_with(file: BinaryIO, magic: bytes) -> bool:
    """Return whether an open file ends with some bytes, and go back to its beginning."""
    file.seek(-len(magic), os.SEEK_END)
    end = file.read()
    file.seek(0)
    return end == magic


def _decompress_zstd(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of consecutive zstandard frames.

    ``stream_reader`` reports no error if a file was cut short, so each frame's end is checked here.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZST_WINDOW_BYTES)
    frame = decompressor.decompressobj()
    header = b""
    while fed := file.read(ZST_FEED_BYTES):
        while fed:
            header += fed[: _ZST_HEADER_BYTES - len(header)]
            try:
                content = frame.decompress(fed)
            except zstandard.ZstdError as error:
                if need := _need_of_frame(header):
                    raise _UnmetNeedError(need) from error
                raise
            if content:
                yield content
            fed = b""
            if frame.eof:
                fed = frame.unused_data
                frame = decompressor.decompressobj()
                header = b""
    if header:
        msg = "the last zstandard frame does not end"
        raise EOFError(msg)


def _need_of_frame(header: bytes) -> str | None:
    """Return what a zstandard frame needs that Noctule lacks; None if it needs nothing else."""
    try:
        frame = zstandard.get_frame_parameters(header)
    except zstandard.ZstdError:
        return None
    if frame.window_size > ZST_WINDOW_BYTES:
        return (
            f"zstandard needs a window of {_write_size(frame.window_size)} to decompress it, and"
            f" Noctule gives it {_write_size(ZST_WINDOW_BYTES)}. Compress it without --long, or"
            " with --long=27."
        )
    if frame.dict_id:
        return (
            f"zstandard needs the dictionary {frame.dict_id} to decompress it. Compress it without"
            " a dictionary."
        )
    return None


def _write_size(size_bytes: int) -> str:
    """Return the size of a window in words; it is a whole number of KiB."""
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if size_bytes % (1 << power) == 0:
            return f"{size_bytes >> power} {unit}"
    return f"{size_bytes >> 10:,} KiB"
