"""How a line is cut, and that written names are read again."""

import pytest

from expectations.contract import Form
from tasks.intake.fields import decode_line, join_names, split_fields, split_names


@pytest.mark.parametrize(
    ("line", "separator", "fields"),
    [
        ('a,"b,c",d', ",", ["a", "b,c", "d"]),
        ('a\t"say ""so"""\t', "\t", ["a", 'say "so"', ""]),
        ("a|b||", "|", ["a", "b", "", ""]),
        ("a^b", "^", ["a", "b"]),
        ("a]b", "]", ["a", "b"]),
        ("  a \t b  ", "blanks", ["a", "b"]),
        ('a  "b c"\t""', "blanks", ["a", "b c", ""]),
        ("a  b", " ", ["a", "", "b"]),
        ('a"b,c', ",", None),
        ('"a,b', ",", None),
        ('a "b" c"', "blanks", None),
    ],
)
def test_a_line_is_cut_at_its_separator(
    line: str, separator: str, fields: list[str] | None
) -> None:
    assert split_fields(line, separator) == fields


def test_a_quote_is_a_character_where_fields_have_no_quotes() -> None:
    assert split_fields('a,"b,c"', has_quotes=False) == ["a", '"b', 'c"']


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", " ", "blanks"])
@pytest.mark.parametrize("has_quotes", [True, False])
def test_names_that_are_written_are_read_again(separator: str, *, has_quotes: bool) -> None:
    names = ["duration", "Src Bytes", "a,b;c|d\te"]
    written = join_names(names, separator, has_quotes=has_quotes)
    read = split_names(written, separator, has_quotes=has_quotes)
    assert len(read) == len(names)
    if has_quotes:
        assert read == names


@pytest.mark.parametrize(
    ("encoding", "text"), [("latin-1", "\x96\x81"), ("cp1252", "\u2013\x81"), ("utf-8", None)]
)
def test_a_line_that_is_not_utf_8_is_in_the_declared_encoding(
    encoding: str, text: str | None
) -> None:
    form = Form(encoding=encoding)  # type: ignore[arg-type]
    assert decode_line("é".encode(), form) == "é"
    if text is not None:
        assert decode_line(b"\x96\x81", form) == text
        return
    with pytest.raises(UnicodeDecodeError):
        decode_line(b"\x96\x81", form)
