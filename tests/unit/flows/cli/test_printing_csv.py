"""CSV for spreadsheets: a value stays in one cell, and no cell is a formula."""

import csv
import io
import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.cli.printing import render_csv

PARTS = (
    "=", "+", "-", "@", "\uff1d", "\t", "\r", "\n", "\v", " ", "'", '"', ",", ";", "1", "\x1b",
    "\x7f", "\u202e", "\ufeff", "\u00a0", "\udcff", "\U000e0041", "ö",
)  # fmt: skip
HOSTILE_TEXTS = st.lists(st.sampled_from(PARTS)).map("".join)


def exported(*values: object) -> list[str]:
    """Export one row and read it back."""
    columns = [f"column_{place}" for place in range(len(values))]
    text = render_csv([dict(zip(columns, values, strict=True))], columns)
    header, row = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == columns
    return row


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("-1.5", "'-1.5"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\uff1d1+1", "'\uff1d1+1"),
        (" =1+1", "' =1+1"),
        ('"=1+1"', '\'"=1+1"'),
        ("' \"=1+1", "'' \"=1+1"),
        ("\t=1+1", r"'\t=1+1"),
        ("\r=1+1", r"'\r=1+1"),
        ("\n=1+1", r"'\n=1+1"),
        ("\t", r"'\t"),
        ("1=1", "1=1"),
        ("0,tcp,-1", "0,tcp,-1"),
        ("a;=1+1", "a;=1+1"),
        ("'quoted'", "'quoted'"),
        ("", ""),
    ],
)
def test_a_text_that_may_be_taken_for_a_formula_begins_with_a_quote(text: str, cell: str) -> None:
    assert exported(text, "after") == [cell, "after"]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("one\r\ntwo", r"one\r\ntwo"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("n\udcffght", r"n\xffght"),
        ("größe 東京", "größe 東京"),
    ],
)
def test_what_is_not_printable_is_written_out(text: str, cell: str) -> None:
    assert exported(text) == [cell]


def test_a_text_is_not_cut() -> None:
    assert exported("x" * 100_000) == ["x" * 100_000]


def test_numbers_are_written_as_numbers_and_texts_in_quotes() -> None:
    row = {
        "score": -1.5,
        "tiny": 1.25e-7,
        "rows": 1_234_567,
        "is_drifted": True,
        "text": "-1.5",
        "nothing": None,
        "night": date(2026, 11, 21),
        "at": datetime(2026, 11, 21, 4, 30, tzinfo=UTC),
    }
    assert render_csv([row], list(row)) == (
        '"score","tiny","rows","is_drifted","text","nothing","night","at"\r\n'
        '-1.5,1.25e-07,1234567,"true","\'-1.5","","2026-11-21",'
        '"2026-11-21T04:30:00+00:00"\r\n'
    )


def test_columns_are_written_in_the_order_asked_for_and_without_rows_too() -> None:
    assert render_csv([{"a": 1, "b": 2, "c": 3}], ["c", "a"]) == '"c","a"\r\n3,1\r\n'
    assert render_csv([], ["c", "a"]) == '"c","a"\r\n'


@given(HOSTILE_TEXTS, HOSTILE_TEXTS)
def test_no_text_is_a_formula_or_anything_but_one_printable_cell(text: str, other: str) -> None:
    row = render_csv([{"a": text, "b": other}], ["a", "b"]).removeprefix('"a","b"\r\n')
    assert row.removesuffix("\r\n").isprintable()
    cells = exported(text, other)
    assert len(cells) == 2
    for cell in cells:
        assert cell.lstrip(' "')[:1] not in {"=", "+", "-", "@", "\uff1d", "\t", "\r"}


@given(st.dictionaries(HOSTILE_TEXTS, HOSTILE_TEXTS | st.floats(allow_nan=False)))
def test_json_is_one_printable_cell_that_reads_as_the_same_value(value: dict[str, object]) -> None:
    (cell,) = exported([value])
    assert cell.isprintable()
    assert cell.startswith("[{")
    assert json.loads(cell) == [value]
