"""What a contract says of its texts: separators, other names, orders, and headers that lie."""

from pathlib import Path

import pytest

from expectations.contract import Contract, Form
from expectations.errors import InputRejectedError
from tasks.intake.layout import Layout
from tasks.intake.lines import read_head
from tasks.intake.numbered_lines import number_lines
from tasks.intake.parts import ParsedRows
from tasks.intake.text_blocks import parse_lines
from tasks.intake.text_layout import recognise_layout
from tests.support.sources import column, contract

COLUMNS = (
    column("src_ip", "address", "SrcAddr"),
    column("proto", "protocol", "Proto|pr"),
    column("src_bytes", "count", "SBytes"),
    column("rate", "number"),
    column("tos", "count", optional=True, nullable=True),
)
ROWS = ["10.0.0.1,tcp,60,0.5", "10.0.0.2,udp,120,1.5", "10.0.0.3,tcp,0,2"]
NAMES = "SrcAddr,Proto,SBytes,rate"


def source(**form: object) -> Contract:
    return contract("small", *COLUMNS, form=Form(**form))  # type: ignore[arg-type]


def recognise(declared: Contract, *lines: str) -> Layout:
    head, _ = read_head(iter(["".join(f"{line}\n" for line in lines).encode()]))
    return recognise_layout(head, declared, Path("night.txt"))


def parse(declared: Contract, *lines: str) -> ParsedRows:
    layout = recognise(declared, *lines)
    return parse_lines(number_lines("".join(f"{one}\n" for one in lines).encode(), layout), layout)


def fields_of(layout: Layout) -> dict[str, int]:
    names = (one.name for one in layout.columns)
    return dict(zip(names, layout.positions, strict=True))


# Separators.


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "^", "blanks"])
def test_a_file_has_one_of_the_separators_of_its_contract(separator: str) -> None:
    declared = source(separators=(",", "\t", ";", "|", "^", "blanks"))
    between = "  " if separator == "blanks" else separator
    lines = [line.replace(",", between) for line in (NAMES, *ROWS)]
    assert recognise(declared, *lines).separator == separator
    rows = parse(declared, *lines)
    assert rows.parsed["src_bytes"].to_list() == [60, 120, 0]
    assert rows.unparsed.is_empty()


def test_the_separator_of_a_file_without_header_is_that_with_which_most_lines_fit() -> None:
    declared = source(separators=(",", ";"), orders=(("SrcAddr", "Proto", "SBytes", "rate"),))
    rows = [line.replace(",", ";") for line in ROWS]
    layout = recognise(declared, *rows, "a,b,c,d")
    assert (layout.separator, layout.header_line) == (";", 0)


def test_a_separator_that_the_contract_does_not_have_is_named() -> None:
    lines = [line.replace(",", ";") for line in (NAMES, *ROWS)]
    with pytest.raises(InputRejectedError, match="separated by semicolons: deliver it with tabs"):
        recognise(source(separators=("\t",)), *lines)


def test_a_header_whose_separator_is_not_that_of_the_rows_is_refused() -> None:
    declared = source(separators=(",", ";"))
    rows = [line.replace(",", ";") for line in ROWS]
    with pytest.raises(
        InputRejectedError, match="separated by commas, and those of its rows by semicolons"
    ):
        recognise(declared, NAMES, *rows)


def test_a_form_is_named_by_its_separator() -> None:
    lines = [line.replace(",", "\t") for line in (NAMES, *ROWS)]
    declared = source(separators=("\t",))
    assert recognise(declared, *lines).described == "text separated by tabs, with header"
    assert recognise(source(), NAMES, *ROWS).described == "CSV with header"


# Names.


@pytest.mark.parametrize("name", ["Proto", "pr", "proto", " PROTO", '"Proto"'])
def test_a_column_is_found_by_each_of_its_names(name: str) -> None:
    layout = recognise(source(), NAMES.replace("Proto", name), *ROWS)
    assert fields_of(layout)["proto"] == 1


def test_of_several_names_of_a_column_the_first_declared_is_read() -> None:
    rows = [f"{row},gre" for row in ROWS]
    layout = recognise(source(), f"{NAMES},pr", *rows)
    assert (fields_of(layout)["proto"], layout.extra) == (1, ("pr",))
    turned = recognise(source(), f"{NAMES.replace('Proto', 'pr')},Proto", *rows)
    assert fields_of(turned)["proto"] == 4


def test_a_name_that_a_file_has_twice_is_refused_or_read_once() -> None:
    rows = [f"{row},7" for row in ROWS]
    for again in ("SBytes", "S_Bytes"):
        with pytest.raises(InputRejectedError, match='write repeated = "first" under'):
            recognise(source(), f"{NAMES},{again}", *rows)
        layout = recognise(source(repeated="first"), f"{NAMES},{again}", *rows)
        assert fields_of(layout)["src_bytes"] == 2
    again = parse(source(repeated="first"), f"{NAMES},SBytes", *rows, f"{NAMES},SBytes")
    assert again.unparsed["reasons"].to_list() == [["the header again, not a connection"]]


def test_an_optional_feature_may_be_absent_and_a_missing_one_is_asked_for_by_its_own_name() -> None:
    assert [one.name for one in recognise(source(), NAMES, *ROWS).absent] == ["tos"]
    with pytest.raises(InputRejectedError, match=r"3 feature columns .* 1 of them missing: SBytes"):
        recognise(source(), NAMES.replace("SBytes", "Bytes"), *ROWS)


def test_a_reason_has_the_name_that_the_file_gives_the_column() -> None:
    rows = parse(source(), NAMES, *ROWS, "10.0.0.4,tcp,many,2", "10.0.0.4,tcp,1,word")
    assert rows.unparsed["reasons"].to_list() == [
        ["src_bytes (SBytes): 'many' is not an integer"],
        ["rate: 'word' is not a number"],
    ]


def test_a_header_of_another_order_below_refuses_a_file_by_any_of_the_names() -> None:
    with pytest.raises(InputRejectedError, match="line 5 is a header that names the columns in"):
        parse(source(), NAMES, *ROWS, "pr,SrcAddr,SBytes,rate")


# Orders, and headers that lie.


ORDER = ("SrcAddr", "Proto", "not read", "SBytes", "rate")
UNREAD = ["10.0.0.1,tcp,x,60,0.5", "10.0.0.2,udp,x,120,1.5", "10.0.0.3,tcp,y,0,2"]


@pytest.mark.parametrize(
    ("above", "header_line"),
    [([], 0), (["id,dur,proto,state,label"], 1), (["a,b"], 1), (["# made at night", "a,b"], 2)],
)
def test_a_header_that_is_not_the_datas_is_passed_over(above: list[str], header_line: int) -> None:
    declared = source(header="ignored", orders=(ORDER,))
    layout = recognise(declared, *above, *UNREAD)
    assert layout.header_line == header_line
    assert fields_of(layout) == {"src_ip": 0, "proto": 1, "src_bytes": 3, "rate": 4}
    assert (layout.extra, layout.respelled) == ((), ())
    assert parse(declared, *above, *UNREAD).parsed["src_bytes"].to_list() == [60, 120, 0]


def test_no_order_that_fits_is_a_refusal_that_says_which_are_expected() -> None:
    declared = source(header="ignored", orders=(ORDER,))
    with pytest.raises(InputRejectedError, match="expected lines of 5 fields separated by commas"):
        recognise(declared, NAMES, *ROWS)


def test_a_header_of_the_right_names_that_is_not_the_datas_is_refused() -> None:
    with pytest.raises(InputRejectedError) as refused:
        recognise(source(), "SBytes,rate,SrcAddr,Proto", *ROWS)
    assert "its header in line 1 cannot be that of its rows" in str(refused.value)
    assert "src_bytes (SBytes) is 10.0.0.1, rate is tcp" in str(refused.value)
    assert 'header = "ignored"' in str(refused.value)


@pytest.mark.parametrize(
    "rows",
    [
        ["10.0.0.1,tcp,x,y", "10.0.0.1,tcp,x,y"],  # too few to tell
        ["10.0.0.1,tcp,x,0.5"] * 9,  # one column
        ["10.0.0.1,tcp,-,-"] * 9,
        ['10.0.0.1,tcp,"1,000",5%'] * 9,  # numbers, though not readable ones
        [*ROWS, "10.0.0.1,tcp,x,y", "10.0.0.1,tcp,x,y"],
    ],
)
def test_bad_rows_do_not_condemn_a_header(rows: list[str]) -> None:
    assert recognise(source(), NAMES, *rows).header_line == 1


@pytest.mark.parametrize("row", ["1,2,3,4", "0,1,2,3"])
def test_a_first_row_of_few_different_numbers_is_no_header_but_one_that_counts_is(row: str) -> None:
    numbers = contract(
        "numbers",
        *(column(name, "count") for name in "abcd"),
        form=Form(orders=(("a", "b", "c", "d"),)),
    )
    assert recognise(numbers, "7,2,5,4", "1,1,1,1").header_line == 0
    with pytest.raises(InputRejectedError, match="numbers the columns"):
        recognise(numbers, row, "1,1,1,1")


# Comments and trailers.


def test_comments_and_closing_lines_are_no_rows() -> None:
    declared = source(comment="#", trailer="Summary", trailer_lines=2)
    lines = [NAMES, ROWS[0], "# pause", ROWS[1], "Summary", "flows,bytes", ROWS[2]]
    rows = parse(declared, *lines)
    assert rows.parsed["row_number"].to_list() == [1, 2, 3]
    assert rows.parsed["line_number"].to_list() == [2, 4, 7]
    assert rows.unparsed.is_empty()
    assert rows.blank_lines == 0


def test_a_comment_may_be_the_header() -> None:
    layout = recognise(source(comment="#"), "# made at night", f"#{NAMES}", *ROWS)
    assert layout.header_line == 2


def test_a_row_full_of_colons_is_no_header() -> None:
    order = ("src_ip", "proto", "src_bytes", "rate", "mac")
    row = "fe80::1:ab:cd,tcp,60,0.5,aa:bb:cc:dd:ee:ff"
    layout = recognise(source(orders=(order,)), row, row, row)
    assert (layout.header_line, layout.separator) == (0, ",")
