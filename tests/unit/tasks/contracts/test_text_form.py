"""The form of a delimited text is found from its lines."""

import pytest

from tasks.contracts.text_form import decode, find_trailer, recognise_text, split_line

ROWS = [["10.0.0.1", "80", "tcp", "1.5"], ["10.0.0.2", "443", "udp", "2.5"]] * 3
NAMES = ["src", "port", "proto", "dur"]


@pytest.mark.parametrize(
    ("separator", "word"),
    [
        (",", "comma"),
        ("\t", "tab"),
        (";", "semicolon"),
        ("|", "bar"),
        ("^", "^"),
        ("   ", "blanks"),
    ],
)
def test_the_separator_and_the_header_are_found(separator: str, word: str) -> None:
    form = recognise_text([separator.join(row) for row in [NAMES, *ROWS]])

    assert form is not None
    assert (form.separator, form.width, form.header) == (word, 4, tuple(NAMES))


def test_a_comma_that_is_a_decimal_point_does_not_separate() -> None:
    form = recognise_text(["src;dur;rate", "a;1,5;2,5", "b;2,5;3,5", "c;3,5;4,5"])

    assert form is not None
    assert form.separator == "semicolon"


def test_a_first_line_of_values_is_no_header() -> None:
    form = recognise_text([",".join(row) for row in ROWS])

    assert form is not None
    assert form.header is None


def test_words_that_rows_repeat_are_no_header() -> None:
    form = recognise_text(["tcp,http", "udp,dns", "tcp,dns", "udp,http", "tcp,http"])

    assert form is not None
    assert form.header is None


def test_numbers_of_columns_are_a_header_that_counts() -> None:
    form = recognise_text(["0,1,2,3", *[",".join(row) for row in ROWS]])

    assert form is not None
    assert form.header == ("0", "1", "2", "3")
    assert form.counts_columns


def test_comments_above_the_header_and_the_line_of_excel_are_passed_over() -> None:
    form = recognise_text(["# exported", "sep=;", ";".join(NAMES), *[";".join(r) for r in ROWS]])

    assert form is not None
    assert (form.comment, form.header) == ("#", tuple(NAMES))


def test_quotes_that_do_not_enclose_fields_are_no_quotes() -> None:
    form = recognise_text(["name,size", '5" disk,1', '3" disk,2', '8" disk,3'])

    assert form is not None
    assert not form.has_quotes


def test_a_quoted_separator_does_not_separate() -> None:
    assert split_line('a,"b, ""c""",d', "comma", has_quotes=True) == ["a", 'b, "c"', "d"]
    assert split_line('a,b"c,d', "comma", has_quotes=True) is None


def test_closing_lines_of_words_are_a_trailer_and_a_cut_row_is_none() -> None:
    rows = [",".join(row) for row in ROWS]
    form = recognise_text(rows)

    assert form is not None
    assert find_trailer([*rows, "Summary", "flows,bytes", "2,80"], form) == (
        "Summary", "flows,bytes", "2,80",
    )  # fmt: skip
    assert find_trailer([*rows, "10.0.0.3,8"], form) == ()
    assert find_trailer(rows, form) == ()


@pytest.mark.parametrize(
    ("raw", "text", "encoding"),
    [
        (b"\xef\xbb\xbfname", "name", "utf-8"),
        ("Größe".encode(), "Größe", "utf-8"),
        ("Größe".encode()[:3], "Gr", "utf-8"),
        (b"Web Attack \x96 XSS", "Web Attack \u2013 XSS", "cp1252"),
        (b"Gr\xf6\xdfe", "Größe", "latin-1"),
        ("ü\n".encode() + b"\x96", "ü\n\u2013", "cp1252"),
    ],
)
def test_the_encoding_is_told_from_the_bytes(raw: bytes, text: str, encoding: str) -> None:
    assert decode(raw) == (text, encoding)
