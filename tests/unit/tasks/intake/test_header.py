"""What a name means, and what tells a header from a connection."""

import pytest

from tasks.intake.fields import join_names, split_names
from tasks.intake.header import (
    counts_columns,
    find_columns,
    fold,
    is_number,
    is_wordy,
    show_unknown,
)
from tests.support.sources import NSL_KDD

NAMES = NSL_KDD.feature_names


@pytest.mark.parametrize(
    "name",
    [
        "src_bytes", "SRC_BYTES", "Src Bytes", "srcBytes", "src-bytes", "src.bytes", " src_bytes\t",
        "'src_bytes'", "`src_bytes`", '"src_bytes"', "# src_bytes", "\ufeffsrc_bytes",
        "“src_bytes”", "src\u00a0bytes", "src\u2010bytes",
    ],
)  # fmt: skip
def test_case_blanks_dashes_underscores_dots_and_quotes_do_not_count(name: str) -> None:
    assert fold(name) == "srcbytes"


@pytest.mark.parametrize("name", ["src_byte", "src_bytes2", "src bytes (kB)", "src/bytes", "", "_"])
def test_whatever_else_differs_is_another_name(name: str) -> None:
    assert fold(name) != "srcbytes"


def test_no_two_declared_columns_are_one_name() -> None:
    assert len({fold(name) for name in NSL_KDD.by_name}) == len(NSL_KDD.columns)


def test_every_place_of_a_declared_name_is_found() -> None:
    assert find_columns(["Src Bytes", "x", "CLASS", "src_bytes", ""], NSL_KDD) == {
        "src_bytes": [0, 3],
        "class": [2],
    }


@pytest.mark.parametrize(
    "cell",
    [
        "0", "-1", "+5", "14.0", ".5", "5.", "1.2e3", " 5 ", '"5"', "'5'", "1,234", "0,5", "1_000",
        "5%", "0x1F", "nan", "-inf", "Infinity", "True", "false",
    ],
)  # fmt: skip
def test_what_a_sensor_writes_for_a_number_is_one(cell: str) -> None:
    assert is_number(cell)


@pytest.mark.parametrize("cell", ["", "-", "f1", "1st", "e5", "5 s", "duration", "tcp", "1.2.3"])
def test_whatever_else_is_none(cell: str) -> None:
    assert not is_number(cell)


def test_a_cell_as_long_as_a_line_is_told_without_backtracking() -> None:
    digits = "1" * 60_000  # with backtracking this took minutes
    assert is_number(digits)
    assert not any(map(is_number, (f"{digits}x", f"{digits}.{digits}x", f"0.{digits}e{digits}x")))


ROW = [str(number % 3) for number in range(41)]
ROW[1:4] = ["tcp", "http", "SF"]


@pytest.mark.parametrize(
    ("fields", "is_one"),
    [
        (list(NAMES), True),
        ([f"f{number}" for number in range(41)], True),
        ([f"Spalte {number}" for number in range(43)], True),
        (["soon"] + [""] * 40, True),
        (["", "tcp", "http", "SF"] + [""] * 37, False),
        (["word"] + ["-"] * 40, True),
        (ROW, False),
        (["soon", *ROW[1:]], False),
        ([""] * 41, False),
        (["-"] * 41, False),
        (["NULL"] * 41, False),
        (["\\N"] * 41, False),
        (["#N/A"] * 41, False),
        (["N/A", "tcp", "http", "SF"] + ["?"] * 37, False),
        (["True"] * 41, False),
        (["tcp", "http"], False),
    ],
)
def test_words_where_connections_have_numbers_are_a_header(
    fields: list[str], *, is_one: bool
) -> None:
    assert is_wordy(fields, NSL_KDD, 20) == is_one


def test_columns_that_are_numbered_are_no_connection() -> None:
    zero, one = ([str(first + number) for number in range(41)] for first in (0, 1))
    assert all(counts_columns(names, NSL_KDD) for names in (zero, one, ["", *zero], ["", *one]))
    quoted = [f'"{name}"' for name in zero]
    floats = [f"{name}.0" for name in zero]
    shuffled = [*zero[:4], "5", "4", *zero[6:]]
    named = (
        shuffled,
        ["duration", "flag", *zero[5:]],
        [*zero, "class"],
        ["", *one, "attack", "difficulty"],
        ["row", *zero[:30]],
    )
    assert all(counts_columns(names, NSL_KDD) for names in (quoted, floats, *named))
    others = (
        [],
        [""],
        ["0"],
        zero[:20],
        [*zero[:-1], "7"],
        ["0.5", *zero[1:]],
        ROW,
        [*ROW, "normal"],
    )
    assert not any(counts_columns(names, NSL_KDD) for names in others)


def test_a_name_that_is_like_a_missing_one_is_suggested() -> None:
    shown = show_unknown(["dst_byte", "x" * 500, "Count"], ["dst_bytes"], NSL_KDD)
    assert shown == f"dst_byte, {'x' * 37}.... dst_byte: did you mean dst_bytes?"
    many = show_unknown([f"name {number}" for number in range(9_000)], ["dst_bytes"], NSL_KDD)
    assert many.endswith(" and 8,986 more.")


def test_names_that_are_written_are_read_again() -> None:
    names = ["duration", "", 'say "so"', "a,b", "x\ny"]
    assert split_names(join_names(names)) == ["duration", "", 'say "so"', "a,b", "x y"]
    assert split_names('"a", "b","c') == ["a", "b", "c"]
