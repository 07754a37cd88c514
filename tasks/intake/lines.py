"""The lines of a text: cut into blocks, kept to a length, and picked out.

Belongs here: what is true of lines before their fields are known. Does not belong here: where the
text comes from (``tasks.intake.content``), which lines are rows (``tasks.intake.numbered_lines``)
or what a line means (``tasks.intake.layout``, ``tasks.intake.text_blocks``).

Nothing here holds a whole text, nor a whole line that has no end.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

BLOCK_BYTES = 8 << 20
"""Bytes of text parsed at a time: 8 MiB, as measured for the design."""
HEAD_BYTES = 64 << 10
"""How much of a file is read to find its layout. A guess: dozens of rows of any table."""
LINE_BYTES = 1 << 16
"""Longest line that is read whole. A guess: a hundred columns of numbers take 1,000 bytes. A longer
line is cut, so that a file without line ends takes no more memory than any other."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

ALIKE_LINES = 3
"""First lines that are compared. A guess: pieces of one damaged line differ more."""

_SEPARATORS = b",\t;|"
"""Usual separators, which are counted in those lines."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_LONE_RETURN = re.compile(rb"\r(?!\n)")


def ends_in_returns(start: bytes) -> bool:
    """Return whether lines of a text end in carriage returns, as those of classic Mac OS do.

    They do if the first line does, and if either more of the first lines end in a carriage return
    than in a line feed, or the first three lines have the same number of separators. So one stray
    carriage return in the first line is not enough, and a text whose later lines end in line feeds
    may begin with carriage returns.

    Args:
        start: the first bytes of the text, not cut between a carriage return and a line feed.
    """
    first = _LINE_END.search(start)
    if first is None or first[0] != b"\r":
        return False
    if len(_LONE_RETURN.findall(start)) > start.count(b"\n"):
        return True
    counts = {
        tuple(line.count(one) for one in _SEPARATORS)
        for line in _LINE_END.split(start, ALIKE_LINES)[:ALIKE_LINES]
    }
    return len(counts) == 1 and any(*counts)


def end_by_feeds(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield a text whose line ends are line feeds; every byte keeps its place.

    Args:
        pieces: consecutive content of a text whose lines may end in CR, LF or both.
    """
    waiting = b""
    for piece in pieces:
        text = waiting + piece
        waiting = b"\r" if text.endswith(b"\r") else b""
        whole = text.removesuffix(waiting)
        if b"\n" in whole:
            yield _LONE_RETURN.sub(b"\n", whole)
        elif whole:
            yield whole.replace(b"\r", b"\n")
    if waiting:
        yield b"\n"


def read_head(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the start of a text, and the whole text again.

    Line ends that are only carriage returns become line feeds in both.

    Returns:
        The whole lines among the first 64 KiB (all of it when the content ends there; without a
        line end when the first line alone is longer), and the content again from its beginning.
    """
    first: list[bytes] = []
    size = 0
    for piece in pieces:
        first.append(piece)
        size += len(piece)
        if size > HEAD_BYTES:
            break
    start = b"".join(first)
    beginning = start[: HEAD_BYTES + 1]
    if ends_in_returns(beginning if size <= HEAD_BYTES else beginning.removesuffix(b"\r")):
        return read_head(end_by_feeds(chain(first, pieces)))
    end = start.rfind(b"\n", 0, HEAD_BYTES) + 1 or HEAD_BYTES
    return start if size <= HEAD_BYTES else start[:end], chain(first, pieces)


def cut_blocks(
    pieces: Iterator[bytes],
    block_bytes: int = BLOCK_BYTES,
    line_bytes: int = LINE_BYTES,
    *,
    is_beginning: bool = True,
) -> Iterator[bytes]:
    """Join pieces of text into blocks of whole lines.

    Args:
        pieces: consecutive content of a file.
        block_bytes: a block ends at the last line end of the piece with which it reaches this size.
        line_bytes: a longer line is cut to one byte more, by which it is recognised.
        is_beginning: whether the pieces start where the file does.

    Yields:
        Blocks of at least one line, each line with its line end; one is added to a last line
        without. A byte order mark at the start of the file is left out.
    """
    waiting: list[bytes] = []
    waiting_bytes = 0
    mark = BYTE_ORDER_MARK if is_beginning else b""
    for piece in cut_long_lines(pieces, line_bytes):
        waiting_bytes += len(piece)
        end = piece.rfind(b"\n") + 1
        if waiting_bytes < block_bytes or not end:
            waiting.append(piece)
            continue
        yield b"".join([*waiting, piece[:end]]).removeprefix(mark)
        mark = b""
        waiting, waiting_bytes = [piece[end:]], len(piece) - end
    rest = b"".join(waiting).removeprefix(mark)
    if rest:
        yield rest if rest.endswith(b"\n") else rest + b"\n"


def cut_long_lines(pieces: Iterator[bytes], line_bytes: int) -> Iterator[bytes]:
    """Yield pieces whose lines are cut after ``line_bytes`` and one byte more.

    The line ends stay, so that lines keep their numbers.
    """
    most = line_bytes + 1
    length = 0  # of the open line, as far as it was yielded
    for piece in pieces:
        if not _has_long_line(piece, length, most):
            length = len(piece) - 1 - piece.rfind(b"\n") + (length if b"\n" not in piece else 0)
            yield piece
            continue
        kept = []
        for line in _split_lines(piece):
            text = line.removesuffix(b"\n")[: most - length]
            kept.append(text)
            length += len(text)
            if line.endswith(b"\n"):
                kept.append(b"\n")
                length = 0
        if text := b"".join(kept):
            yield text


def describe_long_line(line_bytes: int) -> str:
    """Return the reason why a longer line is quarantined."""
    return (
        f"longer than the {line_bytes} bytes of NOCTULE_MAX_LINE_BYTES: what comes after them is"
        " not kept"
    )


def _has_long_line(piece: bytes, length: int, most: int) -> bool:
    """Return whether a line is longer than ``most``, if ``length`` bytes come before the piece."""
    start, room = 0, most - length
    while len(piece) - start > room:
        end = piece.rfind(b"\n", start, start + room + 1)
        if end < 0:
            return True
        start, room = end + 1, most
    return False


def _split_lines(piece: bytes) -> Iterator[bytes]:
    """Yield the lines of a piece with their line feeds; a carriage return ends none."""
    start = 0
    while start < len(piece):
        end = piece.find(b"\n", start) + 1 or len(piece)
        yield piece[start:end]
        start = end


def find_lines(
    pieces: Iterator[bytes], line_numbers: Sequence[int], line_bytes: int = LINE_BYTES
) -> dict[int, bytes]:
    """Return lines of a text by their ascending numbers, and read the text to its end.

    The lines have no line ends; numbers beyond the text are ignored.
    """
    found: dict[int, bytes] = {}
    first = 1
    for block in cut_blocks(pieces, line_bytes=line_bytes):
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
        beyond = first + len(ends)
        within = slice(bisect_left(line_numbers, first), bisect_left(line_numbers, beyond))
        for number in line_numbers[within]:
            start = ends[number - first - 1] + 1 if number > first else 0
            found[number] = block[start : ends[number - first]].removesuffix(b"\r")
        first = beyond
    return found
