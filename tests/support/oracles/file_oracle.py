"""An oracle in plain Python for a whole file: its data lines, and what must become of each.

Belongs here: from the bytes of a file to the expected rows. Does not belong here: names and the
header (see ``header_oracle``), the expectations on a row's values (see ``row_oracle``), or the
stored rows (``tests.support.pipeline``).

The oracle reads the whole file, splits it at line feeds and parses it character by character. That
is slow, and shares nothing with ``tasks`` but the documented limits.
"""

import gzip
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import polars as pl
import zstandard

from expectations.contract import Column
from tasks.intake.lines import HEAD_BYTES, LINE_BYTES
from tests.support.oracles.header_oracle import (
    DECLARED,
    FEATURES,
    MARK,
    fields_of,
    find_header_line,
    find_names,
    first_lines,
    is_other_header,
    match_names,
    plain,
)
from tests.support.oracles.row_oracle import failed_required
from tests.support.sources import NSL_KDD

MAX_REFUSED_RATIO: Final = 0.5
"""The share of bad rows above which a batch is rejected: the default of the settings."""

_UNREAD: Final = (
    b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff",
)  # fmt: skip
_UNREAD_INSIDE: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1")
"""First bytes of forms that are read if they are not compressed again."""
_UNREAD_TEXTS: Final = (b"@relation", b"<?xml", b"<html", b"<!doctype html", b"#separator")
_ZSTD: Final = (b"\x28\xb5\x2f\xfd", *(bytes([first]) + b"\x2a\x4d\x18" for first in range(80, 96)))
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_NOT_FINITE: Final = re.compile(r"[+-]?(inf(inity)?|nan)", re.IGNORECASE)
MOST_DIGITS: Final = 1_000
"""Longest number that is read, in characters."""
_INT64: Final = range(-(2**63), 2**63)


@dataclass(frozen=True)
class ExpectedRow:
    """One data row."""

    line_number: int
    end: int
    """Bytes of the content up to the end of its line, without the line end."""
    raw: bytes | None
    """The bytes that are kept if it is quarantined; None if this oracle cannot tell."""
    values: Mapping[str, Any] | None
    """Its values by declared column; None if it cannot be parsed."""
    faults: int | None
    """Number of required expectations that it fails; None if it cannot be parsed."""

    @property
    def is_good(self) -> bool:
        """Whether it can be scored."""
        return self.faults == 0


@dataclass(frozen=True)
class ExpectedFile:
    """What must become of a file."""

    content: bytes
    """The bytes that identify it: decompressed, or as stored if it is Parquet or damaged."""
    rows: tuple[ExpectedRow, ...] = ()
    """Every data row, in order."""
    is_readable: bool = False
    """Whether its rows can be split into columns; otherwise it is rejected."""

    def known_rows(self, beginning: bytes) -> int:
        """Count the rows that an earlier delivery with this beginning accounts for.

        A line that continues after the beginning does not count.
        """
        assert self.content.startswith(beginning)
        return sum(row.end <= len(beginning) for row in self.rows)

    def is_scored(self, known: int = 0) -> bool:
        """Tell whether enough of the new rows can be scored."""
        new = self.rows[known:]
        good = sum(row.is_good for row in new)
        is_enough = good > 0 and (len(new) - good) / len(new) <= MAX_REFUSED_RATIO
        return self.is_readable and bool(self.rows) and (is_enough or not new)


def expect_text(stored: bytes) -> ExpectedFile:
    """Return what must become of a file that does not begin as Parquet."""
    content = decompress(stored)
    if content is None or _is_unread(content, is_compressed=content != stored):
        return ExpectedFile(stored)  # rejected without lines
    text = _end_by_feeds(content)
    lines, ends, end = [], [], 0
    for ended in text.split(b"\n"):
        line = ended.removesuffix(b"\r")
        lines.append(line)
        ends.append(end + len(line))
        end += len(ended) + 1
    lines[0] = lines[0].removeprefix(MARK)
    first = next((index for index, line in enumerate(lines) if line), None)
    if first is None:
        return ExpectedFile(content)
    head = text if len(text) <= HEAD_BYTES else text[:HEAD_BYTES].rpartition(b"\n")[0]
    is_cut = not head  # in the middle of a first line that is too long
    looked_at = first_lines(head or text[:HEAD_BYTES])
    header = find_header_line(looked_at)
    data = [i for i, line in enumerate(lines) if line and not (header and i <= header.index)]
    names = None if is_cut or not looked_at else find_names(looked_at, header)
    if names is None or any(is_other_header(lines[i], names) for i in data):
        rows = tuple(ExpectedRow(i + 1, ends[i], lines[i], None, None) for i in data)
        return ExpectedFile(content, rows)
    rows = tuple(_parse_line(i + 1, ends[i], lines[i], names) for i in data)
    return ExpectedFile(content, rows, is_readable=bool(rows))


def expect_frame(frame: pl.DataFrame, stored: bytes) -> ExpectedFile:
    """Return what must become of an undamaged Parquet file with the rows of a frame."""
    unusable = any(
        not _can_hold(NSL_KDD.by_name[DECLARED[plain(name)]], dtype)
        for name, dtype in frame.schema.items()
        if plain(name) in DECLARED
    )
    is_text = all(dtype == pl.String for dtype in frame.dtypes)
    names = match_names(frame.columns)
    is_readable = not unusable and names is not None and not frame.is_empty()
    rows = []
    for number, cells in enumerate(frame.iter_rows(), start=1):
        raw = ",".join(map(_quote, cells)).encode() if is_text else None
        named = dict(zip(names or (), cells, strict=True)) if is_readable else {}
        values, faults = _parse_cells(named)
        rows.append(ExpectedRow(number, len(stored), raw, values, faults))
    return ExpectedFile(stored, tuple(rows), is_readable)


def decompress(stored: bytes) -> bytes | None:
    """Return a file's content; None where it is damaged or of a form that is not read."""
    try:
        if stored.startswith(b"\x1f\x8b"):
            return gzip.decompress(stored)
        if stored.startswith(_ZSTD):
            return b"".join(_frames(stored))
    except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError):
        return None
    return None if stored.startswith(_UNREAD) else stored


def _frames(stored: bytes) -> Iterator[bytes]:
    """Yield the content of zstandard frames, each of which must end."""
    while stored:
        frame = zstandard.ZstdDecompressor().decompressobj()
        yield frame.decompress(stored)
        if not frame.eof:
            raise EOFError
        stored = frame.unused_data


def _is_unread(content: bytes, *, is_compressed: bool) -> bool:
    """Tell whether a content has a form that is not read."""
    if content.startswith(_UNREAD_INSIDE):
        return is_compressed
    start = content[:HEAD_BYTES]
    nul = [sum(byte == 0 for byte in start[place::4]) for place in range(4)]
    is_utf32 = 0 in nul and sorted(nul)[1] > len(start) // 8
    halves = (nul[0] + nul[2], nul[1] + nul[3])
    is_utf16 = 0 in halves and max(halves) > len(start) // 4
    text = start.removeprefix(MARK).lstrip().lower()
    return is_utf32 or is_utf16 or start.startswith(_UNREAD) or text.startswith(_UNREAD_TEXTS)


def _end_by_feeds(content: bytes) -> bytes:
    """Replace carriage returns by line feeds if the first line, and most lines, end in one."""
    first = next((i for i, byte in enumerate(content) if byte in b"\r\n"), len(content))
    lone = [
        i
        for i, byte in enumerate(content[:HEAD_BYTES])
        if byte == ord("\r") and content[i + 1 : i + 2] != b"\n"
    ]
    if not lone or first != lone[0] or len(lone) <= content.count(b"\n", 0, HEAD_BYTES + 1):
        return content
    return b"\r\n".join(part.replace(b"\r", b"\n") for part in content.split(b"\r\n"))


def _parse_line(number: int, end: int, line: bytes, names: Sequence[str]) -> ExpectedRow:
    """Parse one line of text."""
    if len(line) > LINE_BYTES:  # it is kept as far as the byte by which it can be told
        return ExpectedRow(number, end, line[: LINE_BYTES + 1], None, None)
    values, faults = None, None
    fields = None if b"\0" in line or b"\r" in line else fields_of(line)
    if fields is not None and len(fields) == len(names):
        values, faults = _parse_cells(dict(zip(names, fields, strict=True)))
    return ExpectedRow(number, end, line, values, faults)


def _parse_cells(cells: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, int | None]:
    """Parse the cells of a row, which may be text, by the names of their columns.

    Returns:
        The values, and the number of required expectations that they fail; None twice if the row
        cannot be parsed.
    """
    values = {}
    for column in NSL_KDD.columns:
        if column.name in cells:
            value, is_usable = _read_cell(column.name, cells[column.name])
            if not is_usable:
                return None, None
            values[column.name] = value
    if not values.keys() >= set(FEATURES):
        return None, None
    return values, len(failed_required(values))


def _read_cell(name: str, cell: object) -> tuple[object, bool]:
    """Return the value of a cell, and whether the row can be parsed with it."""
    column = NSL_KDD.by_name[name]
    may_be_empty = column.nullable or column.role in {"label", "ignored"}
    if cell is None or cell == "":
        return None, may_be_empty
    if isinstance(cell, str):
        return _read_text(name, cell)
    assert isinstance(cell, int | float | Decimal)
    if column.is_categorical:
        return str(cell), True
    if column.dtype == pl.Float64:
        return _settle(float(cell)), True
    return _read_whole(Fraction(cell)) if math.isfinite(cell) else (None, False)


@lru_cache(maxsize=100_000)
def _read_text(name: str, text: str) -> tuple[object, bool]:
    """Return the value of a text cell, and whether the row can be parsed with it."""
    column = NSL_KDD.by_name[name]
    bare = text.strip(" \t\xa0")
    if not bare:
        return None, column.nullable or column.role in {"label", "ignored"}
    if column.is_categorical:
        return (None, False) if re.search(r"[\0\r\n]", bare) else (bare, True)
    if column.dtype == pl.Float64:
        is_number = _NUMBER.fullmatch(bare) or _NOT_FINITE.fullmatch(bare)
        return (_settle(float(bare)), True) if is_number else (None, False)
    if set(column.values or ()) >= {0, 1} and bare.lower() in {"true", "false"}:
        return int(bare.lower() == "true"), True
    # Python refuses to read numbers of thousands of digits.
    is_short = len(bare) <= MOST_DIGITS and _NUMBER.fullmatch(bare)
    return _read_whole(Fraction(bare)) if is_short else (None, False)


def _read_whole(number: Fraction) -> tuple[int | None, bool]:
    """Return the whole number within a millionth of a number, if there is one."""
    whole = round(number)
    is_it = whole in _INT64 and abs(number - whole) < Fraction(1, 10**6)
    return (whole, True) if is_it else (None, False)


def _settle(rate: float) -> float:
    """Round to a millionth; the border between two millionths is at three eighths."""
    if not abs(rate) < 2**53 / 10**6:
        return rate
    below, part = divmod(Fraction(rate) * 10**6, 1)
    return int(below + (part >= Fraction(3, 8))) / 10**6


def _can_hold(column: Column, dtype: pl.DataType) -> bool:
    """Tell whether a type of Parquet can hold the values of a declared column."""
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null):
        return True
    if column.is_categorical:
        return dtype.is_integer()
    return dtype.is_numeric() or dtype == pl.Boolean


def _quote(cell: str | None) -> str:
    """Quote a text cell as RFC 4180 says."""
    text = cell or ""
    return '"' + text.replace('"', '""') + '"' if re.search('[",\r\n]', text) else text
