"""Characters that cannot be stored or shown are escaped; all others stay unchanged."""

import json

import pytest

from storage.text import (
    dump_json,
    printable,
    printable_json,
    readable,
    storable,
    storable_json,
)


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0,größe \\ 東京", "0,größe \\ 東京"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("one\r\ntwo\u2028three", r"one\r\ntwo\u2028three"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("n\udcffght \ud83d", r"n\xffght \ud83d"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_a_terminal_obeys_nothing_that_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(text).encode().decode().isprintable()


def test_what_is_shown_is_cut_and_says_so() -> None:
    assert printable("abcde", limit=5) == "abcde"
    assert printable("abcdef", limit=5) == "abcde..."
    assert len(printable("x" * 1_000_000)) < 3_000


@pytest.mark.parametrize("text", ["größe", "\x1b[2J", "\x9b\x7f", "\u202e", "\U000e0041", 'a"b\n'])
def test_json_on_a_terminal_is_printable_and_reads_as_the_same_text(text: str) -> None:
    shown = printable_json({"key": [text]})
    assert shown.replace("\n", "").isprintable()
    assert json.loads(shown) == {"key": [text]}


def test_json_on_a_terminal_writes_a_name_that_is_not_utf8_as_it_is_stored() -> None:
    assert json.loads(printable_json("n\udcffght")) == storable("n\udcffght")
