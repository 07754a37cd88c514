"""Every line of any file, however it was mangled, has the fate plain Python gives it."""

import csv
import gzip
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from expectations.contract import Column, Contract, Labels
from tasks.intake.content import hash_content
from tasks.intake.ingest import ingest_file
from tasks.intake.layout import Layout
from tasks.intake.lines import cut_blocks
from tasks.intake.numbered_lines import START, number_lines
from tasks.intake.source import IngestOptions
from tasks.intake.sources import open_source
from tasks.intake.text_blocks import parse_lines

SMALL = Contract(
    name="small",
    title="",
    source="",
    columns=(
        Column(name="duration", kind="count", meaning=""),
        Column(name="service", kind="category", meaning=""),
        Column(name="rate", kind="number", meaning="", resolution=1e-6),
        Column(name="hops", kind="count", meaning="", nullable=True, values=(0, 1)),
        Column(name="class", kind="category", meaning="", role="label"),
    ),
    labels=Labels(column="class", normal=("normal",)),
)


# The oracle: one line at a time, one character at a time.


@dataclass
class Fate:
    rows: list[tuple] = field(default_factory=list)
    unparsed: list[tuple] = field(default_factory=list)
    blank_lines: int = 0


def fate_of(content: bytes, layout: Layout) -> Fate:
    fate = Fate()
    row_number = 0
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line_number, ended in enumerate(lines, start=1):
        line = ended.removesuffix(b"\r")
        if line_number <= layout.header_line:
            continue
        if not line:
            fate.blank_lines += 1
            continue
        row_number += 1
        values, reasons = read_line(line, layout)
        if reasons:
            fate.unparsed.append((row_number, line_number, reasons, line))
        else:
            fate.rows.append((row_number, line_number, *map(exactly, values)))
    return fate


def read_line(line: bytes, layout: Layout) -> tuple[list, list[str]]:
    reasons = []
    if 0 in line:
        reasons.append(f"byte {line.index(0) + 1} is NUL")
    if 13 in line:
        reasons.append(f"byte {line.index(13) + 1} is a carriage return inside the line")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        reasons.append(f"byte {error.start + 1} (0x{line[error.start]:02x}) is not UTF-8")
    if reasons:
        return [], reasons
    cells = list(walk(text))
    if None in cells:
        return [], ["a quote is not closed, or stands inside an unquoted field"]
    assert cells == next(csv.reader([text], strict=True))
    if len(cells) != layout.width:
        return [], [f"expected {layout.width} fields, found {len(cells)}"]
    values = []
    for column, position in zip(layout.columns, layout.positions, strict=True):
        value, reason = read_cell(cells[position], column)
        values.append(value)
        reasons += [reason] if reason else []
    return values, reasons


def walk(text: str) -> Iterator[str | None]:
    """Yield fields; None where quotes break RFC 4180."""
    cell, state = "", "start"
    for character in [*text, ","]:
        if state == "quoted":
            if character == '"':
                state = "closed"
            else:
                cell += character
        elif character == ",":
            yield cell
            cell, state = "", "start"
        elif character == '"' and state == "start":
            state = "quoted"
        elif character == '"' and state == "closed":
            cell, state = cell + '"', "quoted"
        elif character == '"' or state == "closed":
            yield None
            return
        else:
            cell, state = cell + character, "plain"
    if state != "start":
        yield None


NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
NOT_FINITE = re.compile(r"[+-]?(inf(inity)?|nan)", re.IGNORECASE)
BLANKS = " \t\xa0"


def read_cell(cell: str, column: Column) -> tuple[object, str | None]:
    bare = cell.strip(BLANKS)
    value, fault = None, None
    if not bare:
        fault = None if column.nullable or column.role == "label" else "empty"
    elif column.dtype == pl.String:
        value = bare
    elif column.dtype == pl.Float64:
        is_number = NUMBER.fullmatch(bare) or NOT_FINITE.fullmatch(bare)
        value, fault = (settle(float(bare)), None) if is_number else (None, "a number")
    else:
        value, fault = read_whole(bare, is_flag=column.values == (0, 1))
    if fault in {"a number", "an integer"}:
        fault = f"{cell!r} is not {fault}"
    elif fault and bare:
        fault = f"{cell!r} {fault}"
    return value, fault and f"{column.name}: {fault}"


def settle(number: float) -> float:
    """Return the nearest millionth; between two of them the border is at three eighths."""
    if not abs(number) < 2**53 / 10**6:
        return number
    millionths = Fraction(number) * 10**6
    below = millionths.numerator // millionths.denominator
    return (below + (millionths - below >= Fraction(3, 8))) / 10**6


def read_whole(bare: str, *, is_flag: bool) -> tuple[int | None, str | None]:
    if is_flag and bare.lower() in {"true", "false"}:
        return int(bare.lower() == "true"), None
    if not NUMBER.fullmatch(bare):
        return None, "an integer"
    number = Fraction(bare)
    whole = min((number.__floor__(), number.__ceil__()), key=lambda one: abs(number - one))
    if not -(2**63) <= whole < 2**63:
        return None, "does not fit in 64 bits"
    return (whole, None) if abs(number - whole) < Fraction(1, 10**6) else (None, "an integer")


def exactly(value: object) -> object:
    """Make floats comparable to the bit, all NaN alike."""
    if isinstance(value, float):
        return "nan" if value != value else struct.pack("d", value)  # noqa: PLR0124 - NaN
    return value


# Files to try: mostly right, then mangled.

INTEGERS = st.sampled_from(["0", "7", "-3", "+5", "007", "9223372036854775807"])
ODD_INTEGERS = st.sampled_from(
    ["", " ", " 5", "5 ", "\t5", "\xa05", "5.0", "5.", ".0", "-0.0", "1e3", "1.2E+3", "14.5", ".5",
     "13.999999999999998", "14.0000000001", "-1e-17", "0.000001", "9007199254740993.0",
     "9007199254740993.25", "9223372036854775807.0", "9223372036854775808", "-9223372036854775808",
     "1e999", "True", "false", "TRUE", "true.0", "abc", "NaN", "-", "1_0", "0x10", "1,234", "٣",
     "\u22125", "5 5"]
)  # fmt: skip
FLOATS = st.one_of(
    st.floats(-1e6, 1e6, width=32).map(repr), st.sampled_from(["1.00", "0.05", ".5", "1.", "+1"])
)
ODD_FLOATS = st.sampled_from(
    ["", " 0.5", "0.5 ", "\xa00.5", "nan", "-inf", "Infinity", "1e999", "1,5", "word", ".", "1e",
     "1_5", "0x1", "33%", "true", "1e-17", "-1e-17", "-0.0", "-4e-7", "0.33000001311302185",
     "1.0000000000000002", "0.0078125", "0.007812499999999999", "0.0078125000000000009", "1e300",
     "1.7e308", "-9007199254.740993"]
)  # fmt: skip
TEXTS = st.sampled_from(["http", "x^2", "x\x01", "ftp data", "é", "x\u0680", "#", "a'b", "-"])
ODD_TEXTS = st.sampled_from(
    ["", " ", " http", "http \t", "\xa0http\xa0", "\u2003http", "a,b", 'say "so"', '"', ",", ',"']
)


def cells_of(column: str) -> st.SearchStrategy[str]:
    usual, odd = {
        "duration": (INTEGERS, ODD_INTEGERS),
        "hops": (INTEGERS, ODD_INTEGERS),
        "rate": (FLOATS, ODD_FLOATS),
    }.get(column, (TEXTS, ODD_TEXTS))
    return st.one_of(usual, usual, usual, odd)


def write(cell: str, style: str) -> str:
    if style == "plain":
        return cell
    doubled = cell.replace('"', '""')
    return {"quoted": f'"{doubled}"', "open": f'"{cell}', "late": f'{cell}"'}[style]


@st.composite
def lines(draw: st.DrawFn, names: tuple[str, ...]) -> bytes:
    styles = st.sampled_from(
        draw(st.sampled_from([["plain"], ["quoted"], ["plain", "quoted", "open", "late"]]))
    )
    cells = [write(draw(cells_of(name)), draw(styles)) for name in names]
    change = draw(st.sampled_from(["none"] * 5 + ["drop", "add", "byte", "byte", "blank"]))
    if change == "drop":
        cells.pop(draw(st.integers(0, len(cells) - 1)))
    if change == "add":
        cells.append(draw(cells_of("duration")))
    line = b"" if change == "blank" else ",".join(cells).encode()
    if change == "byte":
        at = draw(st.integers(0, len(line)))
        line = (
            line[:at]
            + draw(st.sampled_from([b"\0", b"\r", b"\xff", b"\x80", b'"', b","]))
            + line[at:]
        )
    return line + draw(st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"]))


@st.composite
def files(draw: st.DrawFn) -> tuple[bytes, Layout]:
    names = draw(st.permutations([*SMALL.by_name, "extra"]))
    header = draw(st.booleans())
    body = b"".join(draw(st.lists(lines(names), max_size=8)))
    if draw(st.booleans()):
        body = body.removesuffix(b"\n")
    head = b",".join(name.encode() for name in names) + b"\n" if header else b""
    mark = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    layout = Layout(
        columns=SMALL.columns,
        positions=tuple(names.index(column.name) for column in SMALL.columns),
        names=tuple(names),
        extra=("extra",),
        header_line=int(header),
    )
    return mark + head + body, layout


def without_advice(unparsed: pl.DataFrame) -> list[tuple]:
    """Return the rows without stage, and their reasons without what to do about them."""
    bare = pl.element().str.replace(r"( is not an? \w+): .*$", "$1")
    return unparsed.drop("stage").with_columns(pl.col("reasons").list.eval(bare)).rows()


def as_fate(parsed: pl.DataFrame, unparsed: pl.DataFrame, blank_lines: int) -> Fate:
    assert unparsed["stage"].to_list() == ["ingest"] * unparsed.height
    return Fate(
        rows=[tuple(map(exactly, row)) for row in parsed.rows()],
        unparsed=without_advice(unparsed),
        blank_lines=blank_lines,
    )


FIVE_FIELDS = Layout(SMALL.columns, (0, 1, 2, 3, 4), tuple(SMALL.by_name), (), 0)


@settings(max_examples=250)
@given(files(), st.integers(1, 64), st.integers(1, 80))
@example((b"1,a,1,1,n,9\n2,b,1,1\n", FIVE_FIELDS), 64, 80)
@example((b'1,"a,1,1,n\n2,b",1,1,n\n', FIVE_FIELDS), 64, 80)
@example((b'1,a,1,1,"n\n', FIVE_FIELDS), 64, 80)
@example((b'1,"a"b",1,1,"n"\n', FIVE_FIELDS), 64, 80)
@example((b"1,a\rb,1,1,n\n", FIVE_FIELDS), 64, 80)
@example((b"1,a,1,1,n\r\r\n", FIVE_FIELDS), 64, 80)
@example((b"1,a\0b,1,1,n\n", FIVE_FIELDS), 64, 80)
@example((b"x^,a,1,1,n\n", FIVE_FIELDS), 64, 80)
@example((b"1.0, a ,1e-17,True,n\n" * 200, FIVE_FIELDS), 4096, 80)
def test_every_line_has_the_fate_plain_python_gives_it_wherever_blocks_are_cut(
    file: tuple[bytes, Layout], block_bytes: int, piece_bytes: int
) -> None:
    content, layout = file
    pieces = (content[at : at + piece_bytes] for at in range(0, len(content), piece_bytes))
    place = START
    found = Fate()
    for block in cut_blocks(pieces, block_bytes):
        numbered = number_lines(block, layout, place)
        rows = parse_lines(numbered, layout)
        assert rows.parsed.schema == {
            "row_number": pl.Int64,
            "line_number": pl.Int64,
            **SMALL.schema,
        }
        fate = as_fate(rows.parsed, rows.unparsed, rows.blank_lines)
        found.rows += fate.rows
        found.unparsed += fate.unparsed
        found.blank_lines += fate.blank_lines
        place = numbered.next
        assert rows.parsed.height + rows.unparsed.height == np.count_nonzero(numbered.is_row)
    assert found == fate_of(content, layout)


@settings(max_examples=25)
@given(files().filter(lambda file: file[1].header_line == 1), st.integers(1, 64), st.integers(1, 4))
def test_plain_gzip_and_zstandard_give_the_same_files_however_they_are_divided(
    file: tuple[bytes, Layout], block_bytes: int, chunk_rows: int
) -> None:
    content, layout = file
    expected = fate_of(content, layout)
    if not expected.rows and not expected.unparsed:
        return
    with TemporaryDirectory() as name:
        folder = Path(name)
        forms = {
            "plain": content,
            "gzip": gzip.compress(content[:9]) + gzip.compress(content[9:]),
            "zst": zstandard.compress(content[:9]) + zstandard.compress(content[9:]),
        }
        for form, stored in forms.items():
            source = folder / f"{form}.csv"
            source.write_bytes(stored)
            out = folder / form / "ingest"
            out.mkdir(parents=True)
            batch = hash_content(source).sha256
            options = IngestOptions(block_bytes=block_bytes, chunk_rows=chunk_rows)
            summary = ingest_file(source, SMALL, out, batch, options)
            parts = [pl.read_parquet(out.parent / part) for part in summary.parts]
            assert all(part.height == chunk_rows for part in parts[:-1])
            parsed = [tuple(map(exactly, row)) for part in parts for row in part.rows()]
            assert parsed == expected.rows
            unparsed = []
            if summary.quarantine:
                unparsed = without_advice(pl.read_parquet(out.parent / summary.quarantine))
            assert unparsed == expected.unparsed
            assert summary.rows_read == len(expected.rows) + len(expected.unparsed)
            assert summary.blank_lines == expected.blank_lines
            numbers = [line_number for _, line_number, _, _ in unparsed]
            raw = open_source(source, SMALL).read_raw(numbers, hash_content(source).sha256)
            assert raw == {number: line for _, number, _, line in expected.unparsed}
