"""The lines of a text with their numbers: which are rows, and which rows of the file they are.

Belongs here: finding and counting bytes line by line with numpy, the numbering, and what is no row
by its beginning alone: blank lines, comments, trailers. Does not belong here: how a text is cut
into blocks (``lines``), and what a row means (``text_blocks``).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from expectations.contract import Form
from tasks.intake.layout import Layout
from tasks.intake.lines import LINE_BYTES, cut_blocks

FEW = 5_000
"""Most bytes that are searched one by one. Measured on a block: .4 ms for a hundred of them; numpy
takes 1.5 ms for any number."""


class TextLines:
    """A text, and where its lines begin and end. Every line ends with a line feed."""

    def __init__(self, text: bytes) -> None:
        """Find the lines of a text."""
        self.text = text
        self.content = np.frombuffer(text, np.uint8)
        self.ends = np.flatnonzero(self.content == ord("\n"))
        self.starts = np.concatenate([np.zeros(1, self.ends.dtype), self.ends[:-1] + 1])

    def count(self, byte: bytes) -> NDArray[np.int32]:
        """Return how often a byte occurs in each line."""
        is_byte = (self.content == ord(byte)).view(np.uint8)
        # Sums in one byte are five times as fast, and lines of up to 255 bytes do not overflow.
        long = np.flatnonzero(self.ends - self.starts > np.iinfo(np.uint8).max)
        if len(long) > FEW:
            return np.add.reduceat(is_byte, self.starts, dtype=np.int32)
        counts = np.add.reduceat(is_byte, self.starts, dtype=np.uint8).astype(np.int32)
        for line in long:
            counts[line] = self.text.count(byte, self.starts[line], self.ends[line])
        return counts

    def find(self, byte: bytes) -> NDArray[np.int64]:
        """Return the positions of a byte; this is fastest for a rare byte."""
        found: list[int] = []
        position = self.text.find(byte)
        while position >= 0 and len(found) < FEW:
            found.append(position)
            position = self.text.find(byte, position + 1)
        if position >= 0:
            return np.flatnonzero(self.content == ord(byte))
        return np.array(found, np.int64)

    def at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the line of each position."""
        return np.searchsorted(self.ends, positions)

    def begin_with(self, beginning: bytes) -> NDArray[np.bool_]:
        """Return which lines begin with some bytes, none of which is a line feed."""
        is_so = np.ones(len(self.starts), bool)
        for offset, byte in enumerate(beginning):
            is_so &= self.content[np.minimum(self.starts + offset, self.ends)] == byte
        return is_so


@dataclass(frozen=True)
class Place:
    """Where in a text a line begins."""

    line: int = 1
    """Its physical number."""
    row: int = 1
    """The number of the row that it is, or that comes next."""
    trailing: int = 0
    """How many lines from it on belong to a trailer that began above it."""


START = Place()


@dataclass(frozen=True)
class NumberedLines:
    """A block of whole lines, and which rows of the file they are."""

    lines: TextLines
    line_numbers: NDArray[np.int64]
    """(n_lines,), from 1: physical."""
    is_row: NDArray[np.bool_]
    """(n_lines,): whether it is below the header, and neither blank, comment nor trailer."""
    row_numbers: NDArray[np.int64]
    """(n_lines,): for a line that is no row, the number of the last row before it."""
    blank_lines: int
    """Empty lines below the header."""
    unread_lines: int
    """Comments and lines of trailers below the header."""
    last: Place
    """Where the last line of the block begins."""
    next: Place
    """Where the line after the block begins."""


def number_lines(block: bytes, layout: Layout, place: Place = START) -> NumberedLines:
    """Find the lines of a block, at least one, that end in LF or CRLF; number them and the rows.

    ``place`` is where the block begins.
    """
    return number_block(block, place, layout.form, layout.header_line)


def number_block(block: bytes, place: Place, form: Form, header_line: int = 0) -> NumberedLines:
    """Find and number the lines of a block of a text whose header is line ``header_line``."""
    lines = TextLines(block.replace(b"\r\n", b"\n") if b"\r" in block else block)
    count = len(lines.ends)
    line_numbers = np.arange(place.line, place.line + count)
    is_data = line_numbers > header_line
    is_row = (lines.ends > lines.starts) & is_data
    blank_lines = int(np.count_nonzero(is_data & ~is_row))
    if form.comment is not None:
        is_row &= ~lines.begin_with(form.comment.encode())
    trailing = (0, 0)
    if form.trailer is not None:
        is_first = lines.begin_with(form.trailer.encode()) & is_data
        left = _count_trailing(is_first, form.trailer_lines, place.trailing)
        is_row &= ~(is_first | (left[:-1] > 0))
        trailing = (int(left[-2]), int(left[-1]))
    rows = int(np.count_nonzero(is_row))
    row_numbers = place.row - 1 + np.cumsum(is_row)
    last_row, row = int(row_numbers[-1]), int(row_numbers[-1]) + 1
    return NumberedLines(
        lines=lines,
        line_numbers=line_numbers,
        is_row=is_row,
        row_numbers=row_numbers,
        blank_lines=blank_lines,
        unread_lines=int(np.count_nonzero(is_data)) - blank_lines - rows,
        last=Place(place.line + count - 1, last_row if is_row[-1] else row, trailing[0]),
        next=Place(place.line + count, row, trailing[1]),
    )


def _count_trailing(is_first: NDArray[np.bool_], size: int, before: int) -> NDArray[np.int64]:
    """Return how many lines of a trailer that began above it each line has before it.

    A trailer is ``size`` lines from each line that begins as its first does, so a line hides at
    most as many rows.

    Args:
        is_first: (n_lines,): which lines begin so.
        size: lines of a trailer.
        before: the answer for the first line.

    Returns:
        (n_lines + 1,): the last is that of the line after these.
    """
    places = np.arange(len(is_first) + 1)
    began = np.concatenate([[before - size], np.where(is_first, places[:-1], -size)])
    return np.maximum(0, np.maximum.accumulate(began) + size - places)


@dataclass(frozen=True)
class PassedLines:
    """The lines at the beginning that were counted and not parsed."""

    next: Place
    """Where the content after them begins."""
    rest: Iterator[bytes]
    """The content after them."""

    @property
    def rows(self) -> int:
        """How many rows were passed."""
        return self.next.row - 1


class _Beginning:
    """The first bytes of a text, and the rest of the piece in which they end."""

    def __init__(self, pieces: Iterator[bytes], size_bytes: int) -> None:
        self._pieces = pieces
        self._left = size_bytes
        self.is_open = False
        """Whether the first bytes end within a line."""
        self.leftover = b""

    def read(self) -> Iterator[bytes]:
        """Yield the first bytes in pieces."""
        while self._left and (piece := next(self._pieces, b"")):
            taken, self.leftover = piece[: self._left], piece[self._left :]
            self._left -= len(taken)
            self.is_open = not taken.endswith(b"\n")
            yield taken


def pass_lines(
    pieces: Iterator[bytes],
    size_bytes: int,
    number: Callable[[bytes, Place], NumberedLines],
    line_bytes: int = LINE_BYTES,
) -> PassedLines:
    """Read past the first bytes of a text, and count the lines that end within them.

    A last line that goes on behind them belongs to the rest: when only the first bytes were there,
    it was cut short.

    Args:
        pieces: the content from its beginning.
        size_bytes: how much of it to read past.
        number: numbers a block that begins at a place, as ``number_block`` does.
        line_bytes: as of ``cut_blocks``.
    """
    beginning = _Beginning(pieces, size_bytes)
    place = last = START
    line = b""
    for block in cut_blocks(beginning.read(), line_bytes=line_bytes):
        numbered = number(block, place)
        place, last = numbered.next, numbered.last
        line = block[block.rfind(b"\n", 0, -1) + 1 : -1]
    after = beginning.leftover or next(pieces, b"")
    if after == b"\r":
        after += next(pieces, b"")
    if beginning.is_open:
        if after.startswith((b"\n", b"\r\n")):
            after = after[after.index(b"\n") + 1 :]
        elif after and place != START:
            place = last
            after = line + after
    return PassedLines(place, chain([after] if after else [], pieces))


def list_rows(
    pieces: Iterator[bytes],
    number: Callable[[bytes, Place], NumberedLines],
    line_bytes: int = LINE_BYTES,
) -> Iterator[bytes]:
    """Yield every row of a text as its line's bytes, without the line end."""
    place = START
    for block in cut_blocks(pieces, line_bytes=line_bytes):
        numbered = number(block, place)
        place = numbered.next
        lines = numbered.lines
        for row in np.flatnonzero(numbered.is_row):
            yield lines.text[lines.starts[row] : lines.ends[row]]
