"""What cannot be stored or read is written out, and nothing else is touched."""

import json

import pytest

from storage.text import dump_json, readable, storable, storable_json


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("", ""),
        ("naïve \\ 'quoted'\n", "naïve \\ 'quoted'\n"),
        ("a\0b", r"a\x00b"),
        ("n\udcffght", r"n\xffght"),
        ("half \ud83d a pair", r"half \ud83d a pair"),
    ],
)
def test_text_keeps_all_but_nul_and_lone_surrogates(text: str, stored: str) -> None:
    assert storable(text) == stored


@pytest.mark.parametrize("value", ["a\0b", "\\\0", "\\\\u0000", "\\u0000", "\0\0", "né", "\\x00"])
def test_json_has_the_same_strings_with_nul_written_out(value: str) -> None:
    expected = {"key": value.replace("\0", r"\x00")}
    assert json.loads(storable_json(json.dumps({"key": value}))) == expected
    assert json.loads(dump_json({"key": value})) == expected


def test_json_of_a_file_name_that_is_not_utf8_can_be_read() -> None:
    assert json.loads(dump_json(["n\udcffght"])) == [r"n\xffght"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"0,tcp,http", "0,tcp,http"),
        ("0,größe".encode(), "0,größe"),
        (b"0,\xff\xfe", r"0,\xff\xfe"),
        (b"a\x00b\tc\x1b[2J", r"a\x00b\tc\x1b[2J"),
        ("\u202eevil".encode(), r"\u202eevil"),
        (b"", ""),
    ],
)
def test_bytes_can_be_read_without_a_surprise(raw: bytes, text: str) -> None:
    assert readable(raw) == text
