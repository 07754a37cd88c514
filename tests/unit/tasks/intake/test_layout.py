"""What the fields of a file are taken for, and that a header is never passed over."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from expectations.errors import InputRejectedError
from tasks.intake.header import find_header
from tasks.intake.layout import Layout, arrange_columns
from tasks.intake.lines import read_head
from tasks.intake.numbered_lines import number_lines
from tasks.intake.parts import ParsedRows
from tasks.intake.text_blocks import parse_lines
from tasks.intake.text_layout import recognise_layout
from tests.support.sources import NSL_KDD, flows

NAMES = list(NSL_KDD.feature_names)
SWAPPED = [*NAMES[:4], "dst_bytes", "src_bytes", *NAMES[6:]]
ROW = ["0", "tcp", "http", "SF", "232", "8153", *(["0"] * 35)]
LINE = ",".join(ROW)


def recognise(*lines: str) -> Layout:
    head, _ = read_head(iter([("\n".join(lines) + "\n").encode()]))
    return recognise_layout(head, NSL_KDD, Path("night.csv"))


def header_of(*lines: str) -> int:
    head, _ = read_head(iter([("\n".join(lines) + "\n").encode()]))
    header = find_header(head, NSL_KDD)
    return 0 if header is None else header.line_number


def parse(layout: Layout, *lines: str) -> ParsedRows:
    return parse_lines(number_lines("\n".join(lines).encode() + b"\n", layout), layout)


def names_of(layout: Layout) -> tuple[str, ...]:
    return tuple(column.name for column in layout.columns)


def title(name: str) -> str:
    return name.replace("_", " ").title()


# Headers that are matched.

SPELLINGS = {
    "capitals": str.upper,
    "title case and blanks": title,
    "camel case": lambda name: title(name).replace(" ", ""),
    "dashes": lambda name: name.replace("_", "-"),
    "dots": lambda name: name.replace("_", "."),
    "single quotes": lambda name: f"'{name}'",
    "backticks": lambda name: f"`{name}`",
    "quotes": lambda name: f'"{name}"',
    "quotes after blanks": lambda name: f' "{name}"',
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_header_is_matched_however_its_names_are_spelt(spelling: str) -> None:
    layout = recognise(",".join(map(SPELLINGS[spelling], SWAPPED)), LINE)
    found = dict(zip(names_of(layout), layout.positions, strict=True))
    assert (layout.header_line, found["src_bytes"], found["dst_bytes"]) == (1, 5, 4)


def test_names_that_are_spelt_otherwise_are_told_and_exact_ones_are_not() -> None:
    names = ",".join(name.replace("_", "-") for name in NAMES[:5]) + "," + ",".join(NAMES[5:])
    assert recognise(names, LINE).respelled == (
        ("protocol-type", "protocol_type"),
        ("src-bytes", "src_bytes"),
    )
    assert recognise(", ".join(f'"{name}"' for name in NAMES), LINE).respelled == ()


def test_a_name_that_the_page_says_is_no_other_spelling() -> None:
    names = ["STARTTIME", "src addr", "Pr", "Src Bytes", "dst_bytes", "Duration S"]
    layout = arrange_columns(names, flows(), Path("night.csv"), header_line=1)
    assert layout.respelled == (("Duration S", "duration_s"),)


@pytest.mark.parametrize(
    ("above", "header_line"),
    [
        (["# duration of a connection, in seconds"], 2),
        (["# all of it, in order: a, b, c, d and e", "# duration of it"], 3),
        (["#", "", "% made by hand", "// x", "-- y"], 6),
        (["sep=,"], 2),
        (["", ""], 3),
    ],
)
def test_comments_and_blank_lines_may_stand_above_a_header(
    above: list[str], header_line: int
) -> None:
    layout = recognise(*above, ",".join(map(title, SWAPPED)), LINE)
    assert layout.header_line == header_line


@pytest.mark.parametrize("first", ["\ufeff", "# ", "#"])
def test_a_mark_or_a_number_sign_before_the_first_name_does_not_count(first: str) -> None:
    assert recognise(first + ",".join(SWAPPED), LINE).positions[:2] == (0, 1)


def test_quotes_around_a_whole_header_do_not_count() -> None:
    assert recognise(f'"{",".join(SWAPPED)}"', LINE).positions[4:6] == (5, 4)


@pytest.mark.parametrize("extra", ["", "Unnamed: 0", "index"])
def test_an_index_column_is_another_column(extra: str) -> None:
    layout = recognise(",".join([extra, *SWAPPED]), "7," + LINE)
    assert layout.positions[:6] == (1, 2, 3, 4, 6, 5)
    assert layout.extra == (extra or "(unnamed field 1)",)


@pytest.mark.parametrize("name", ["Class", "CLASS", "class ", "'class'", "Attack", "ATTACK"])
def test_a_label_in_another_spelling_is_the_label(name: str) -> None:
    layout = recognise(",".join([*NAMES, name]), LINE + ",normal")
    assert names_of(layout)[-1] == name.strip(" '").lower()
    assert layout.extra == ()


# Headers that are not.

FOREIGN = [f"f{number}" for number in range(41)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([",".join(FOREIGN)], r"line 1 holds words .* its names: f0, f1, .* remove the line"),
        ([",".join(["Dauer", "Protokoll", *FOREIGN[2:]])], "its names: Dauer, Protokoll, f2"),
        ([",".join(f"_c{number}" for number in range(41))], "its names: _c0, _c1"),
        ([",".join(f"{number}th_name" for number in range(41))], "its names: 0th_name"),
        ([",".join(["label", *FOREIGN])[:-4]], "its names: label, f0"),
        ([",".join(map(str, range(41)))], r"line 1 numbers the columns \(0, 1, 2, .* not name"),
        ([",".join(map(str, range(1, 42)))], r"line 1 numbers the columns \(1, 2, 3"),
        ([",".join(map(str, range(40))) + ",class"], r"line 1 numbers the columns \(0, 1, 2"),
        ([",".join(FOREIGN[:40])], "line 1 holds words"),
        (["Report of sensor 7", ",".join(FOREIGN)], "line 2 holds words"),
        (["", "# a comment", ",".join(FOREIGN)], "line 3 holds words"),
        (["# " + ",".join(FOREIGN)], "line 1 holds words"),
        (["Report of sensor 7", ",".join(SWAPPED)], r"header is line 2.*\(Report of sensor 7\)"),
        ([";".join(SWAPPED)], "separated by semicolons, and those of its rows by commas"),
        (["\t".join(FOREIGN)], "separated by tabs, and those of its rows by commas"),
        ([" ".join(SWAPPED)], "separated by blanks, and those of its rows by commas"),
        (["\x01".join(SWAPPED)], "separated by control characters, and those of its rows"),
        (
            [",".join([*NAMES[:5], "dst_byte", *NAMES[6:22], "counts", *NAMES[23:]])],
            r"2 of them missing: dst_bytes, count .* dst_byte, counts\. dst_byte: did you mean",
        ),
        (
            [",".join([*NAMES, "Src Bytes"])],
            "more than one column may be src_bytes: src_bytes, Src",
        ),
        ([",".join([*NAMES, "class", "Class"])], "more than one column may be class"),
    ],
)
@pytest.mark.parametrize("rows", [[LINE] * 3, [LINE]], ids=["3 rows", "1 row"])
def test_columns_are_never_read_by_position_under_a_header(
    lines: list[str], rows: list[str], message: str
) -> None:
    with pytest.raises(InputRejectedError, match=message) as refused:
        recognise(*lines, *rows)
    assert len(str(refused.value)) < 700
    assert header_of(*lines, *rows) == len(lines)


def test_a_header_of_another_table_is_shown_beside_what_is_expected() -> None:
    names = "proto,state,dur,sbytes,dbytes,sttl,dttl,sloss,dloss,service,label"
    with pytest.raises(InputRejectedError) as refused:
        recognise(names, "tcp,FIN,0.1,4550,70026,31,29,7,33,-,0")
    assert str(refused.value) == (
        "Cannot read night.csv as nsl_kdd: line 1 holds words where connections have numbers, so it"
        " is a header, and nsl_kdd does not know its names: proto, state, dur, sbytes, dbytes,"
        " sttl, dttl, sloss, dloss, label. sbytes: did you mean src_bytes? dbytes: did you mean"
        " dst_bytes? Expected 41 columns: duration, protocol_type, service, ... (case, blanks,"
        " dashes, underscores, dots and quotes do not count). Correct the names, or deliver a file"
        " of this source. None of its rows is stored."
    )


@pytest.mark.parametrize(
    "names",
    [
        ["x" * 60_000],
        [f"{number:05}" + "\x1b" * 50 for number in range(1_000)],
        [f"name_{number}" for number in range(3_000)],
        ["src_bytes", "Src Bytes" + " " * 9_000],
    ],
)
def test_no_message_repeats_much_of_the_names(names: list[str]) -> None:
    for header in (names, [*NAMES[1:], *names], [*NAMES, *names, names[0]]):
        with pytest.raises(InputRejectedError) as refused:
            recognise(",".join(header), "0")
        assert len(str(refused.value)) < 700


# Lines that are none.


@pytest.mark.parametrize(
    "first",
    [
        LINE,
        "0,tcp,http",
        "tcp,http",
        "a title, with commas, of nothing",
        ",".join(["-"] * 41),
        ",".join([""] * 41),
        ",".join(["True", *ROW[1:4], *(["14.0"] * 37)]),
        ",".join([" 5 ", *ROW[1:4], *(["1.2e3"] * 37)]),
        ",".join(["soon", *ROW[1:]]),
        ",".join(['"1,234"', *ROW[1:]]),
    ],
)
def test_a_damaged_first_line_does_not_condemn_a_file_without_header(first: str) -> None:
    layout = recognise(first, LINE, LINE)
    assert (layout.header_line, layout.width) == (0, 41)
    assert header_of(first, LINE, LINE) == 0


def test_bytes_of_another_format_are_no_header() -> None:
    junk = "\ufffd~\x17{~q~\0k~e~u~"
    with pytest.raises(InputRejectedError, match=r"It holds NUL bytes, .* another format"):
        recognise(junk, junk)
    assert header_of("\ufffd\ufffd~x~\ufffdz~u~\ufffd~n~m~\ufffd", "~") == 0


def test_difficulty_is_the_last_column_of_a_file_without_header() -> None:
    layout = recognise(LINE + ",normal,21", LINE + ",neptune,19")
    assert names_of(layout)[-2:] == ("attack", "difficulty")


# Headers below the first.


@pytest.mark.parametrize("again", [NAMES, list(map(title, NAMES)), ["'x'", *NAMES[1:]]])
def test_the_header_again_is_no_connection_however_it_is_spelt(again: Sequence[str]) -> None:
    layout = recognise(",".join(NAMES), LINE)
    rows = parse(layout, ",".join(NAMES), LINE, ",".join(again), LINE)
    assert rows.unparsed["reasons"].to_list() == [["the header again, not a connection"]]
    headless = recognise(LINE, LINE)
    rows = parse(headless, LINE, ",".join(again), LINE)
    assert rows.unparsed["reasons"].to_list() == [["a header, not a connection"]]


@pytest.mark.parametrize("first", [",".join(NAMES), LINE], ids=["with header", "without header"])
def test_a_header_below_that_puts_columns_elsewhere_refuses_the_file(first: str) -> None:
    layout = recognise(first, LINE)
    with pytest.raises(
        InputRejectedError, match="its line 3 is a header that names the columns in another"
    ):
        parse(layout, first, LINE, ",".join(map(title, SWAPPED)), LINE)


# Line ends.


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
@pytest.mark.parametrize("header", ["", ",".join(map(title, SWAPPED))])
def test_lines_that_end_in_carriage_returns_are_lines(size: int, header: str) -> None:
    content = f"{header}\r{LINE}\r\r{LINE}".encode()
    pieces = (content[at : at + size] for at in range(0, len(content), size))
    head, rest = read_head(pieces)
    assert head == b"".join(rest) == content.replace(b"\r", b"\n")
    assert recognise_layout(head, NSL_KDD, Path("night.csv")).header_line == int(bool(header))
