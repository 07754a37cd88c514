"""What plain Python thinks of a file: its physical data lines, and what must become of each.

Belongs here: the second opinion on everything from a file's bytes to the fate of its rows. Does
not belong here: what a row's values must satisfy (see ``row_oracle``), or what is stored of it (see
``promises``).

The file is taken whole, split at line feeds and read character by character: slow, and nothing of
``tasks`` is in it but the limits that a reader of the settings knows too.
"""

import gzip
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import polars as pl
import zstandard

from expectations.contract import Column
from expectations.nsl_kdd import NSL_KDD
from fuzz.row_oracle import failed_required
from tasks.layout import HEAD_BYTES, VOTING_LINES
from tasks.lines import LINE_BYTES

MAX_REFUSED_RATIO: Final = 0.5
"""Of the rows, the share past which a batch is refused: the default of the settings."""

_UNREAD: Final = (b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"\xff\xfe", b"\xfe\xff")
_ZSTD: Final = (b"\x28\xb5\x2f\xfd", *(bytes([first]) + b"\x2a\x4d\x18" for first in range(80, 96)))
_MARK: Final = b"\xef\xbb\xbf"
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_NOT_FINITE: Final = re.compile(r"[+-]?(inf(inity)?|nan)", re.IGNORECASE)
MOST_DIGITS: Final = 1_000
"""Characters of the longest number that is read, in the files that are made here."""
_INT64: Final = range(-(2**63), 2**63)
_FEATURES: Final = NSL_KDD.feature_names


@dataclass(frozen=True)
class RowTruth:
    """One data row."""

    line_number: int
    end: int
    """Bytes of the content up to the end of its line, without what ends the line."""
    raw: bytes | None
    """What must be kept of it if it is quarantined; None where this oracle cannot say."""
    values: Mapping[str, Any] | None
    """By declared column; None where it cannot be read."""
    faults: int | None
    """How many required checks it fails; None where it cannot be read."""

    @property
    def is_good(self) -> bool:
        """Whether it can be scored."""
        return self.faults == 0


@dataclass(frozen=True)
class Truth:
    """What must become of a file."""

    content: bytes
    """What it is known by: decompressed; as it is where that cannot be done, and of Parquet."""
    rows: tuple[RowTruth, ...] = ()
    """Every data row, in order."""
    is_readable: bool = False
    """Whether its rows can be told apart into columns; a file that is not is rejected."""
    counts_rows: bool = True
    """Whether ``rows`` is all there is to count: not where lines have no meaning."""

    def known_rows(self, beginning: bytes) -> int:
        """Count the rows that an earlier delivery accounts for, if it held this beginning.

        A line that goes on behind the beginning was not whole in it.
        """
        assert self.content.startswith(beginning)  # noqa: S101 - who asks has compared them
        return sum(row.end <= len(beginning) for row in self.rows)

    def is_scored(self, known: int = 0) -> bool:
        """Tell whether enough is left to score, of the rows that are not known."""
        new = self.rows[known:]
        good = sum(row.is_good for row in new)
        is_enough = good > 0 and (len(new) - good) / len(new) <= MAX_REFUSED_RATIO
        return self.is_readable and bool(self.rows) and (is_enough or not new)


def truth_of_text(stored: bytes) -> Truth:
    """Say what must become of a file that does not begin as Parquet."""
    content = decompress(stored)
    if content is None:
        return Truth(stored)
    if content.startswith(b"PAR1"):  # compressed Parquet is refused, and has no lines to count
        return Truth(content, counts_rows=False)
    lines, ends, end = [], [], 0
    for ended in content.split(b"\n"):
        line = ended.removesuffix(b"\r")
        lines.append(line)
        ends.append(end + len(line))
        end += len(ended) + 1
    lines[0] = lines[0].removeprefix(_MARK)
    first = next((index for index, line in enumerate(lines) if line), None)
    if first is None:
        return Truth(content)
    has_header = _is_header(lines[first][: LINE_BYTES + 1])
    data = [i for i, line in enumerate(lines) if line and not (has_header and i <= first)]
    names = _find_names(content, lines, first, has_header=has_header)
    if names is None:
        rows = tuple(RowTruth(i + 1, ends[i], lines[i], None, None) for i in data)
        return Truth(content, rows)
    rows = tuple(_judge_line(i + 1, ends[i], lines[i], names) for i in data)
    return Truth(content, rows, is_readable=bool(rows))


def truth_of_frame(frame: pl.DataFrame, stored: bytes) -> Truth:
    """Say what must become of a Parquet file that holds a frame and is not damaged."""
    unusable = any(
        not _can_hold(NSL_KDD.by_name[name], dtype)
        for name, dtype in frame.schema.items()
        if name in NSL_KDD.by_name
    )
    is_text = all(dtype == pl.String for dtype in frame.dtypes)
    is_readable = not unusable and set(_FEATURES) <= set(frame.columns) and not frame.is_empty()
    rows = []
    for number, cells in enumerate(frame.iter_rows(), start=1):
        raw = ",".join(map(_quote, cells)).encode() if is_text else None
        named = dict(zip(frame.columns, cells, strict=True)) if is_readable else {}
        values, faults = _judge_cells(named)
        rows.append(RowTruth(number, len(stored), raw, values, faults))
    return Truth(stored, tuple(rows), is_readable)


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


def _is_header(line: bytes) -> bool:
    """Tell whether a line names columns: half of its fields, or half of the features."""
    names = [name.strip() for name in _fields(line.decode(errors="replace")) or ()]
    declared = {name.casefold() for name in NSL_KDD.by_name}
    named = sum(name.casefold() in declared for name in names)
    return named > 0 and named >= min(len(names), len(_FEATURES)) / 2


def _find_names(
    content: bytes, lines: Sequence[bytes], first: int, *, has_header: bool
) -> tuple[str, ...] | None:
    """Return what the fields of a line are called; None where that cannot be told.

    Only whole lines at the beginning are looked at for it.
    """
    head = content if len(content) <= HEAD_BYTES else content[:HEAD_BYTES].rpartition(b"\n")[0]
    looked_at = len(head.split(b"\n"))
    if not head or first >= looked_at:
        return None
    if has_header:
        names = [name.strip() for name in _fields(lines[first].decode(errors="replace")) or ()]
        is_twice = any(times > 1 for name, times in Counter(names).items() if name)
        return None if is_twice or not set(_FEATURES) <= set(names) else tuple(names)
    filled = [line for line in lines[:looked_at] if line][:VOTING_LINES]
    widths = Counter(len(_fields(line.decode(errors="replace")) or ()) for line in filled)
    known = {len(names): names for names in NSL_KDD.headerless}
    return next((known[width] for width, _ in widths.most_common() if width in known), None)


def _judge_line(number: int, end: int, line: bytes, names: Sequence[str]) -> RowTruth:
    """Read one line of text."""
    if len(line) > LINE_BYTES:  # it is kept as far as the byte by which it can be told
        return RowTruth(number, end, line[: LINE_BYTES + 1], None, None)
    values, faults = None, None
    fields = None if b"\0" in line or b"\r" in line else _fields_of(line)
    if fields is not None and len(fields) == len(names):
        values, faults = _judge_cells(dict(zip(names, fields, strict=True)))
    return RowTruth(number, end, line, values, faults)


def _fields_of(line: bytes) -> list[str] | None:
    """Split a line that may not be UTF-8."""
    try:
        return _fields(line.decode())
    except UnicodeDecodeError:
        return None


def _judge_cells(cells: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, int | None]:
    """Read the cells of a row, text or not, by the names of their columns.

    Returns:
        The values and how many required checks they fail; None twice where it cannot be read.
    """
    values = {}
    for column in NSL_KDD.columns:
        if column.name in cells:
            value, is_usable = _read_cell(column.name, cells[column.name])
            if not is_usable:
                return None, None
            values[column.name] = value
    if not values.keys() >= set(_FEATURES):
        return None, None
    return values, len(failed_required(values))


def _read_cell(name: str, cell: object) -> tuple[object, bool]:
    """Return a cell's value, and whether the row can be used with it."""
    column = NSL_KDD.by_name[name]
    may_be_empty = column.nullable or column.role in {"label", "ignored"}
    if cell is None or cell == "":
        return None, may_be_empty
    if isinstance(cell, str):
        return _read_text(name, cell)
    assert isinstance(cell, int | float | Decimal)  # noqa: S101 - what else _can_hold lets through
    if column.is_categorical:
        return str(cell), True
    if column.dtype == pl.Float64:
        return _settle(float(cell)), True
    return _read_whole(Fraction(cell)) if math.isfinite(cell) else (None, False)


@lru_cache(maxsize=100_000)
def _read_text(name: str, text: str) -> tuple[object, bool]:
    """Return a text cell's value, and whether the row can be used with it."""
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
    """Return the whole number that a number is but for floating-point dust, if there is one."""
    whole = round(number)
    is_it = whole in _INT64 and abs(number - whole) < Fraction(1, 10**6)
    return (whole, True) if is_it else (None, False)


def _settle(rate: float) -> float:
    """Return the nearest millionth; between two of them the border is at three eighths."""
    if not abs(rate) < 2**53 / 10**6:
        return rate
    below, part = divmod(Fraction(rate) * 10**6, 1)
    return int(below + (part >= Fraction(3, 8))) / 10**6


def _can_hold(column: Column, dtype: pl.DataType) -> bool:
    """Tell whether a Parquet column's type can hold the declared one's values."""
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null):
        return True
    if column.is_categorical:
        return dtype.is_integer()
    return dtype.is_numeric() or dtype == pl.Boolean


def _quote(cell: str | None) -> str:
    """Write a text cell as RFC 4180 does."""
    text = cell or ""
    return '"' + text.replace('"', '""') + '"' if re.search('[",\r\n]', text) else text


def _fields(line: str) -> list[str] | None:
    """Split a line by RFC 4180, one character at a time; None where its quotes break it."""
    if '"' not in line:
        return line.split(",")
    fields, cell, state = [], "", "start"
    for character in f"{line},":
        if state == "quoted":
            state = "closed" if character == '"' else state
            cell += "" if character == '"' else character
        elif character == ",":
            fields.append(cell)
            cell, state = "", "start"
        elif character == '"' and state == "start":
            state = "quoted"
        elif character == '"' and state == "closed":
            cell, state = f'{cell}"', "quoted"
        elif character == '"' or state == "closed":
            return None
        else:
            cell, state = cell + character, "plain"
    return fields if state == "start" else None
