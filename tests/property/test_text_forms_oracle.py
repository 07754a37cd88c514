"""Every line of a text in any form that a contract can declare has the fate plain Python gives it.

``test_ingest_oracle`` does the same for plain CSV, with every way to break a line.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import partial
from ipaddress import IPv6Address
from typing import Final
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from expectations.contract import Column, Form
from tasks.intake.layout import Layout
from tasks.intake.lines import cut_blocks
from tasks.intake.numbered_lines import (
    START,
    list_rows,
    number_block,
    number_lines,
    pass_lines,
)
from tasks.intake.text_blocks import parse_lines
from tests.support.sources import column

BERLIN = "Europe/Berlin"
COLUMNS: Final = (
    column("start", "time", zone=BERLIN, role="identifier", nullable=False),
    column("seen", "time", formats=("%d/%m/%Y %H:%M", "epoch_ms"), first_hour=8),
    column("length", "interval", scale=0.001, nullable=True),
    column("clock", "interval", formats=("clock",), nullable=True),
    column("protocol", "protocol"),
    column("services", "set", separator="+", nullable=True),
    column("host", "address"),
    column("port", "port"),
    column("hops", "count", nullable=True),
    column("size", "count", scale=1000),
    column("rate", "number"),
    column("state", "category", nullable=True),
    column("label", "category", role="label", optional=True),
)
MANY = tuple(one.name for one in COLUMNS)


# The oracle: one line at a time.


@dataclass
class Fate:
    rows: list[tuple] = field(default_factory=list)
    unparsed: list[tuple] = field(default_factory=list)
    """row number, line number, raw, and the columns at fault: none if the line is at fault."""
    blank_lines: int = 0


def fate_of(content: bytes, layout: Layout) -> Fate:
    form, fate, row_number, trailing = layout.form, Fate(), 0, 0
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line_number, ended in enumerate(lines, start=1):
        line = ended.removesuffix(b"\r")
        if line_number <= layout.header_line:
            continue
        fate.blank_lines += not line
        if form.trailer is not None and line.startswith(form.trailer.encode()):
            trailing = form.trailer_lines
        is_trailer, trailing = trailing > 0, max(0, trailing - 1)
        is_comment = form.comment is not None and line.startswith(form.comment.encode())
        if not line or is_trailer or is_comment:
            continue
        row_number += 1
        values, faults = read_line(line, layout)
        if faults is None:
            fate.rows.append((row_number, line_number, *values))
        else:
            fate.unparsed.append((row_number, line_number, line, faults))
    return fate


def read_line(line: bytes, layout: Layout) -> tuple[list, list[str] | None]:
    if 0 in line or 13 in line:
        return [], []
    try:
        text = line.decode()
    except UnicodeDecodeError:
        if layout.form.encoding == "utf-8":
            return [], []
        text = "".join(
            character if 0x80 <= byte < 0xA0 and layout.form.encoding == "latin-1" else known
            for byte in line
            for character in [chr(byte)]
            for known in [bytes([byte]).decode(layout.form.encoding, errors="ignore") or character]
        )
    cells = cut(text, layout.separator, layout.form.has_quotes)
    if cells is None or len(cells) != layout.width:
        return [], []
    values, faults = [], []
    for one, place in zip(layout.columns, layout.positions, strict=True):
        value, is_right = read_cell(cells[place], one, layout.form)
        values.append(value)
        faults += [] if is_right else [one.name]
    return values, faults or None


def cut(text: str, separator: str, has_quotes: bool) -> list[str] | None:  # noqa: FBT001
    """Cut a line one character at a time; None if its quotes are wrong."""
    blanks = separator == "blanks"
    ends = {" ", "\t"} if blanks else {separator}
    text = text.strip(" \t") if blanks else text
    cells, cell, state = [], "", "start"
    for character in text:
        if state == "quoted":
            if character == '"':
                state = "closed"
            else:
                cell += character
        elif character in ends:
            if not (blanks and state == "between"):
                cells.append(cell)
            cell, state = "", "between" if blanks else "start"
        elif has_quotes and character == '"' and state in {"start", "between"}:
            state = "quoted"
        elif has_quotes and character == '"' and state == "closed":
            cell, state = cell + '"', "quoted"
        elif has_quotes and (character == '"' or state == "closed"):
            return None
        else:
            cell, state = cell + character, "plain"
    return None if state == "quoted" else [*cells, cell]


def read_cell(cell: str, one: Column, form: Form) -> tuple[object, bool]:
    """Return the value of a cell, and whether the row can be used with it."""
    bare = cell.strip(" \t\xa0")
    may_be_empty = one.nullable or one.role == "label"
    not_finite = one.dtype.is_numeric() and NOT_FINITE.fullmatch(bare)
    if one.dtype.is_float() and NUMBER.fullmatch(bare):
        not_finite = math.isinf(float(bare))
    if not bare or bare in form.nulls or (not_finite and form.non_finite == "null"):
        return None, may_be_empty
    read: dict[str, Callable[[str, Column], object]] = {
        "time": read_time, "interval": read_length, "protocol": read_protocol, "set": read_set,
        "address": read_address, "port": read_port, "count": read_count, "number": read_number,
        "category": lambda text, _: text,
    }  # fmt: skip
    value = read[one.kind](bare, one)
    if value is None:
        is_set_of_none = one.kind == "set"
        return None, (may_be_empty and (is_set_of_none or one.role == "identifier"))
    return value, True


NOT_FINITE = re.compile(r"[+-]?(inf(inity)?|nan)", re.IGNORECASE)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def read_number(text: str, one: Column) -> float | None:
    if NOT_FINITE.fullmatch(text):
        return str(float(text))  # type: ignore[return-value]  # so that two NaN are equal
    return float(text) if NUMBER.fullmatch(text) else None


def read_length(text: str, one: Column) -> float | None:
    if one.formats:
        found = re.fullmatch(r"(-)?(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:\.\d*)?)", text, re.ASCII)
        if found is None:
            return None
        sign, hours, minutes, seconds = found.groups()
        length = int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
        return -length if sign else length
    number = read_number(text, one)
    return number / 1000 if isinstance(number, float) else number


def read_count(text: str, one: Column) -> int | None:
    if not NUMBER.fullmatch(text):
        return None
    number = Fraction(text) * Fraction(one.scale)
    whole = round(number)
    return whole if abs(number - whole) < Fraction(1, 10**6) and abs(whole) < 2**63 else None


def read_port(text: str, one: Column) -> int | None:
    return (
        int(text, 16)
        if re.fullmatch("0x[0-9a-f]{1,4}", text, re.IGNORECASE)
        else read_count(text, one)
    )


def read_protocol(text: str, _: Column) -> str:
    names = {"6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp", "0": "hopopt", "255": "255"}
    number = text.removesuffix(".0")
    return names.get(number.lstrip("0") or "0", text) if number.isdigit() else text.lower()


def read_set(text: str, one: Column) -> str | None:
    if one.separator not in text:
        return text
    names = {part.strip() for part in text.split(one.separator)}
    return ",".join(sorted(name for name in names if name)) or None


def read_address(text: str, _: Column) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        return text


def read_time(text: str, one: Column) -> datetime | None:
    forms = {"iso": read_iso, "epoch_s": read_epoch(1), "epoch_ms": read_epoch(1000)}
    for form in one.formats or ("iso", "epoch_s"):
        read = forms.get(form, read_day_first)
        if (found := read(text)) is None:
            continue
        if found.tzinfo is not None:
            return found
        if one.first_hour is not None and found.hour < one.first_hour:
            found += timedelta(hours=12)
        zone = ZoneInfo(one.zone)
        meant = [found.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        return min(meant)
    return None


def read_iso(text: str) -> datetime | None:
    day, time = r"\d{4}-\d{2}-\d{2}", r"\d{2}:\d{2}(:\d{2}([.,]\d+)?)?"
    if not re.fullmatch(rf"{day}([T ]{time} ?(Z|[+-]\d{{2}}:?\d{{2}})?)?", text):
        return None
    try:
        return datetime.fromisoformat(text.replace(",", ".").replace(" +", "+").replace(" Z", "Z"))
    except ValueError:
        return None


def read_epoch(unit: int) -> Callable[[str], datetime | None]:
    def read(text: str) -> datetime | None:
        if not NUMBER.fullmatch(text):
            return None
        micros = round(Fraction(text) * 1_000_000 / unit)
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
        except OverflowError:
            return None

    return read


def read_day_first(text: str) -> datetime | None:
    if not re.fullmatch(r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{1,2}", text):
        return None
    try:
        return datetime.strptime(text, "%d/%m/%Y %H:%M")  # noqa: DTZ007 - local, placed later
    except ValueError:
        return None


# Texts to try.

CELLS: Final = {
    "start": [
        "2018-05-10T10:52:47.283479", "2018-05-10 10:52:47", "2018-05-10", "2018-05-10 10:52",
        "2018-05-10T10:52:47Z", "2018-05-10 10:52:47,5", "2018-05-10T10:52:47.5+02:00",
        "2018-05-10T10:52:47-0330", "2023-03-26 02:30:00", "2023-10-29 02:30:00", "1421927414",
        "1421927414.25", "-1.5", "0", "1e9", "2018-13-10 10:52:47", "soon", "1e300",
        "99999999999999", "2018-05-10 25:00:00", "0001-01-01 12:00:00", "9999-12-31 12:00:00",
    ],
    "seen": ["6/7/2017 10:15", "06/07/2017 1:05", "31/2/2017 10:15", "1499336100000", "7"],
    "length": ["1500", "0.5", "1e3", "-2", ".25", "4965658.0", "Infinity", "NaN", "word", ""],
    "clock": ["00:00:01.500", "01:02:03", "2:03.25", "-00:00:01", "00:99:00", "12", ""],
    "protocol": ["TCP", "udp", "6", "17", "6.0", "058", "255", "Icmp", "0"],
    "services": ["smb+krb+gssapi", "http", "krb + smb", "a++a", "+", ""],
    "host": ["10.0.0.1", "2001:DB8::0:1", "00:1A:2B:3C:4D:5E", "::1", "web-1"],
    "port": ["80", "0x0050", "0X1f", "443.0", "domain", "0x12345", "-1", ""],
    "hops": ["3", "3.0", "7", "-1", "3.5", "", "nan", "9223372036854775807"],
    "size": ["1", "1.5", "0.0005", "2e3", "0", "x"],
    "rate": ["0.5", "1e-3", "-inf", "nan", "7", "1e999", "0x1", "12"],
    "state": ["CON", "FIN", "é", "", "a'b", "S 1", "#1", "x^2"],
    "label": ["normal", "Web \x96 XSS", "", "-"],
}  # fmt: skip
FORMS: Final = (
    Form(),
    Form(separators=("\t",), nulls=("-", "NULL"), non_finite="null"),
    Form(separators=(";",), has_quotes=False, encoding="cp1252", comment="#"),
    Form(separators=("|",), encoding="latin-1", trailer="Summary", trailer_lines=3, nulls=("-1",)),
    Form(separators=("blanks",), nulls=("-",), comment="//", trailer="Sum", trailer_lines=2),
    Form(separators=(" ",), nulls=("-",), has_quotes=False),
)
STRAY: Final = (b"", b"# no row", b"Summary", b"Summation,1", b"// no row", b"1,2,3", b" ")


@st.composite
def texts(draw: st.DrawFn) -> tuple[bytes, Layout]:
    form = draw(st.sampled_from(FORMS))
    [separator] = form.separators
    chosen = draw(st.lists(st.sampled_from(COLUMNS), min_size=2, max_size=5, unique=True))
    chosen.sort(key=lambda one: MANY.index(one.name))
    names = draw(st.permutations([one.name for one in chosen]))
    few = {
        name: draw(st.lists(st.sampled_from(CELLS[name]), min_size=1, max_size=3)) for name in names
    }
    lines = []
    for _ in range(draw(st.integers(0, 12))):
        if draw(st.integers(0, 5)) == 0:
            lines.append(draw(st.sampled_from(STRAY)))
            continue
        cells = [draw(st.sampled_from(few[name])) for name in names]
        if form.nulls and draw(st.integers(0, 3)) == 0:
            cells[draw(st.integers(0, len(cells) - 1))] = draw(st.sampled_from(form.nulls))
        lines.append(write(draw, cells, separator, form))
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    content = b"".join(line + end for line in lines)
    layout = Layout(
        columns=tuple(chosen),
        positions=tuple(names.index(one.name) for one in chosen),
        names=tuple(names),
        extra=(),
        header_line=draw(st.integers(0, 1)),
        separator=separator,
        form=form,
    )
    return content, layout


def write(draw: st.DrawFn, cells: list[str], separator: str, form: Form) -> bytes:
    between = draw(st.sampled_from([" ", "  ", "\t "])) if separator == "blanks" else separator
    if separator in {"blanks", " "}:
        cells = [cell.replace(" ", "_") for cell in cells]
    style = draw(st.sampled_from(["plain", "plain", "padded", "quoted"]))
    if style == "quoted" and form.has_quotes:
        cells = [f'"{cell}"' for cell in cells]
    elif style == "padded" and separator not in {"blanks", " ", "\t"}:
        cells = [f" {cell}\t" for cell in cells]
    encoding = draw(st.sampled_from(["utf-8", "latin-1"]))
    return between.join(cells).encode(encoding)


@settings(max_examples=400)
@given(texts(), st.integers(1, 64))
@example((b"-\n", Layout((COLUMNS[8],), (0,), ("hops",), (), 0, form=FORMS[1], separator="\t")), 9)
def test_every_line_has_the_fate_that_its_form_gives_it_wherever_blocks_are_cut(
    text: tuple[bytes, Layout], block_bytes: int
) -> None:
    content, layout = text
    pieces = (content[at : at + 5] for at in range(0, len(content), 5))
    place, found = START, Fate()
    for block in cut_blocks(pieces, block_bytes):
        numbered = number_lines(block, layout, place)
        place = numbered.next
        rows = parse_lines(numbered, layout)
        assert dict(rows.parsed.schema) == {
            **dict.fromkeys(("row_number", "line_number"), rows.parsed.schema["row_number"]),
            **{one.name: one.dtype for one in layout.columns},
        }
        found.rows += [tuple(map(exactly, row)) for row in rows.parsed.rows()]
        found.unparsed += [
            (row, line, raw, [one.split(":")[0] for one in reasons if one.split(":")[0] in MANY])
            for row, line, _, reasons, raw in rows.unparsed.rows()
        ]
        found.blank_lines += rows.blank_lines
    expected = fate_of(content, layout)
    assert found.rows == [tuple(map(exactly, row)) for row in expected.rows]
    assert found.unparsed == expected.unparsed
    assert found.blank_lines == expected.blank_lines
    number = partial(number_block, form=layout.form, header_line=layout.header_line)
    raw = list(list_rows(iter([content]), number))
    assert len(raw) == len(expected.rows) + len(expected.unparsed)


def exactly(value: object) -> object:
    """Make values comparable: all NaN alike, moments by their instant."""
    if isinstance(value, float):
        return str(value) if value != value or value in {float("inf"), float("-inf")} else value  # noqa: PLR0124
    return value.astimezone(UTC) if isinstance(value, datetime) else value


@settings(max_examples=200)
@given(texts(), st.integers(0, 400))
def test_rows_that_are_passed_and_those_after_them_are_all_rows_once(
    text: tuple[bytes, Layout], size: int
) -> None:
    content, layout = text
    layout = replace(layout, header_line=0)
    number = partial(number_block, form=layout.form)
    passed = pass_lines(iter([content]), min(size, len(content)), number)
    after = 0
    place = passed.next
    for block in cut_blocks(passed.rest, 16, is_beginning=place.line == 1):
        numbered = number_lines(block, layout, place)
        place = numbered.next
        after += int(numbered.is_row.sum())
    fate = fate_of(content, layout)
    assert passed.rows + after == len(fate.rows) + len(fate.unparsed)
    assert place.row == passed.rows + after + 1
