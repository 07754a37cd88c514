"""What one value is, in text and in Parquet alike, and in words why it is none."""

import dataclasses
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from expectations.contract import Column, Form
from expectations.errors import InputRejectedError
from tasks.intake.cells import cast_cells
from tasks.intake.faults import find_bad_cells
from tasks.intake.layout import Layout
from tasks.intake.numerals import round_to_resolution
from tests.support.sources import NSL_KDD

COUNT = Column(name="cell", kind="count", meaning="", resolution=1)
FLAG = Column(name="cell", kind="count", meaning="", values=(0, 1))
TRIED = NSL_KDD.by_name["su_attempted"]
RATE = Column(name="cell", kind="number", meaning="", resolution=1e-6)
SPEED = Column(name="cell", kind="number", meaning="")
NAME = Column(name="cell", kind="category", meaning="")
LABEL = Column(name="cell", kind="category", meaning="", role="label")
RANK = Column(name="cell", kind="count", meaning="", role="ignored")


def read(column: Column, *cells: object, dtype: object = None) -> list:
    held = pl.Series(column.name, cells, dtype=dtype).to_frame()
    return cast_cells(held, [column], Form(), "night.parquet")[column.name].to_list()


def reason(column: Column, cell: object, dtype: object = pl.String) -> str:
    held = pl.Series(column.name, [cell], dtype=dtype).to_frame()
    values = cast_cells(held, [column], Form(), "night.parquet")
    assert values[column.name].to_list() == [None]
    [words] = find_bad_cells(held, values, Layout((column,), (0,), (column.name,), (), 0))[0]
    return words.removeprefix(f"{column.name}: ")


# Whole numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("14", 14), ("14.0", 14), ("14.", 14), ("14.000", 14), (".0", 0), ("-0.0", 0),
        ("+5", 5), ("007", 7), ("1.2e3", 1200), ("1.2E+3", 1200), ("1e18", 10**18),
        ("13.999999999999998", 14), ("14.0000000001", 14), ("-13.9999999999", -14),
        ("1e-17", 0), ("-1e-17", 0), ("5e-7", 0),
        (" 5", 5), ("5\t", 5), ("\u00a05\u00a0", 5), (" 14.0 ", 14),
        ("9007199254740993.0", 9007199254740993),
        ("9007199254740993.0000000001", 9007199254740993),
        ("9223372036854775807.0", 2**63 - 1), ("-9223372036854775808.0", -(2**63)),
    ],
)  # fmt: skip
def test_a_whole_number_is_read_however_it_is_written(text: str, number: int) -> None:
    assert read(COUNT, text, "3") == [number, 3]
    assert read(COUNT, text, "3", dtype=pl.Categorical) == [number, 3]


@pytest.mark.parametrize(
    ("cell", "dtype", "number"),
    [
        (14.0, pl.Float64, 14), (13.999999999999998, pl.Float64, 14), (-1e-17, pl.Float64, 0),
        (14.0, pl.Float32, 14), (14.0, pl.Float16, 14), (2.0**62, pl.Float64, 2**62),
        (Decimal("14.00"), pl.Decimal(30, 2), 14),
        (Decimal("9007199254740993.00"), pl.Decimal(30, 2), 9007199254740993),
        (255, pl.UInt8, 255), (True, pl.Boolean, 1),
    ],
)  # fmt: skip
def test_a_whole_number_of_parquet_is_the_one_that_its_text_is(
    cell: object, dtype: object, number: int
) -> None:
    assert read(COUNT, cell, dtype=dtype) == [number]


@pytest.mark.parametrize("column", [FLAG, TRIED], ids=["a flag", "a flag that holds more"])
def test_true_and_false_are_1_and_0_in_a_flag_alone(column: Column) -> None:
    assert read(column, "True", "false", "TRUE", " False ", "1.0", "0") == [1, 0, 1, 0, 1, 0]
    assert read(column, *[True, False]) == [1, 0]
    assert read(column, 1.0, 0.0) == [1, 0]
    assert read(column, "yes", "T", "true.0", "truefalse") == [None] * 4
    assert reason(COUNT, "True") == "'True' is not an integer: only a flag is true or false"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("14.5", "is not an integer"),
        ("0.000001", "is not an integer"),
        ("9007199254740993.25", "is not an integer"),
        ("0x10", "is not an integer"),
        ("1_000", "is not an integer"),
        ("1 234", "is not an integer"),
        ("", "empty"),
        (" \t\u00a0", "empty"),
        ("9223372036854775808", "does not fit in 64 bits"),
        ("9223372036854775808.0", "does not fit in 64 bits"),
        ("9" * 5_000, "does not fit in 64 bits"),
        ("1e999", "does not fit in 64 bits"),
        ("1e99999999999999999999", "is not an integer"),
        ("9" * 60_000 + "x", "is not an integer"),  # with backtracking this took minutes
        ("1,234", "is not an integer: write it without a comma, and decimals with a point"),
        ("33%", "is not an integer: write 33% as 0.33"),
        ("NULL", "is not an integer: it stands for no value; a row without it is not scored"),
        ("?", "is not an integer: it stands for no value; a row without it is not scored"),
        ("\u22125", "is not an integer: U+2212 (MINUS SIGN) is no part of a number"),
        ("١٤", "is not an integer: U+0661 (ARABIC-INDIC DIGIT ONE) is no part of a number"),
        ("b'5'", "it is what Python shows of bytes; write it without b and quotes"),
    ],
)  # fmt: skip
def test_what_is_no_whole_number_is_named_with_what_to_do(text: str, words: str) -> None:
    assert reason(COUNT, text).endswith(words)


def test_a_word_for_nothing_in_a_column_that_may_be_empty_is_to_be_left_out() -> None:
    words = "'NA' is not an integer: it stands for no value; leave the field empty"
    assert reason(RANK, "NA") == words


# Rates


@pytest.mark.parametrize(
    ("number", "rate"),
    [
        (1e-17, 0.0), (-1e-17, 0.0), (-0.0, 0.0), (-3e-7, 0.0),
        (1.0000000000000002, 1.0), (0.9999999999999999, 1.0),
        (0.1 + 0.2, 0.3), (1 / 3, 0.333333), (2 / 3, 0.666667), (1e-7, 0.0), (1e-6, 1e-6),
        (1 / 128, 0.007813), (1 / 128 - 1e-17, 0.007813), (-2e-6, -2e-6), (1.7, 1.7),
    ],
)  # fmt: skip
def test_a_rate_is_the_nearest_multiple_of_its_resolution(number: float, rate: float) -> None:
    for found in (read(RATE, number), read(RATE, repr(number))):
        assert found == [rate]
        assert not np.signbit(found).any() or rate < 0
    assert read(SPEED, number) == [number], "no resolution is declared"


@pytest.mark.parametrize("dust", [0.0, 1e-17, -1e-17, 2e-16, -2e-16, 1e-10, -1e-10])
def test_a_written_rate_with_dust_is_the_double_that_its_digits_are_read_as(dust: float) -> None:
    written = [f"{step / 100:.2f}" for step in range(101)]
    written += [f"{step / 1_000_000:.6f}" for step in range(1_000_000)]
    exact = [float(text) for text in written]
    noisy = pl.DataFrame({"cell": np.array(exact) + dust})
    assert round_to_resolution(noisy, [RATE])["cell"].to_list() == exact


def test_columns_are_settled_each_for_itself() -> None:
    names = [f"rate {place}" for place in range(9)]
    columns = [dataclasses.replace(RATE, name=name) for name in names]
    numbers = np.random.default_rng(0).integers(0, 101, (100_000, len(names))) / 100
    settled = round_to_resolution(pl.DataFrame(numbers + 1e-17, schema=names), columns)
    assert (settled.to_numpy() == numbers).all()


def test_every_ratio_of_a_window_keeps_its_place_and_dust_does_not_move_it() -> None:
    ratios = np.unique([part / whole for whole in range(1, 512) for part in range(whole + 1)])
    settled = round_to_resolution(pl.DataFrame({"cell": ratios}), [RATE])["cell"]
    assert settled.n_unique() == len(ratios)
    assert settled.is_sorted()
    for dust in (1e-16, -1e-16, 2e-10, -2e-10):
        assert round_to_resolution(pl.DataFrame({"cell": ratios + dust}), [RATE])["cell"].equals(
            settled
        )


def test_what_has_no_such_digits_stays_as_it_is() -> None:
    found = read(RATE, 1e300, 1.7e308, float("inf"), -float("inf"), 123456789012.25, None)
    assert found == [1e300, 1.7e308, float("inf"), -float("inf"), 123456789012.25, None]
    assert np.isnan(read(RATE, float("nan"))).all()
    assert read(RATE, "1e999", "word") == [float("inf"), None]


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float16, pl.Decimal(10, 2), pl.String])
def test_a_rate_of_another_type_is_the_rate(dtype: object) -> None:
    rates = [step / 100 for step in range(101)]
    held = pl.Series("cell", rates).round(2).cast(dtype).to_frame()
    assert cast_cells(held, [RATE], Form(), "night.parquet")["cell"].to_list() == rates


def test_every_number_of_the_contract_declares_its_resolution() -> None:
    declared = {column.name: column.resolution for column in NSL_KDD.columns}
    for column in NSL_KDD.columns:
        expected = None if column.is_categorical else 1 if column.dtype.is_integer() else 1e-6
        assert declared[column.name] == expected


# Names


def test_blanks_around_a_name_are_no_part_of_it() -> None:
    assert read(NAME, " tcp", "tcp\t", "\u00a0tcp ", "ftp data", "TCP", "") == [
        "tcp", "tcp", "tcp", "ftp data", "TCP", None,
    ]  # fmt: skip
    assert read(NAME, " tcp", "tcp", dtype=pl.Categorical) == ["tcp", "tcp"]
    assert reason(NAME, " ") == "empty"
    assert reason(NAME, "t\ncp") == "'t\\ncp' holds a line end or NUL"
    assert read(LABEL, " normal", " ") == ["normal", None]


@pytest.mark.parametrize(
    ("column", "dtype", "expected"),
    [(NAME, pl.Float64, "text"), (NAME, pl.Boolean, "text"), (COUNT, pl.Date, "numbers")],
)
def test_a_column_of_a_type_that_cannot_hold_its_values_is_named(
    column: Column, dtype: object, expected: str
) -> None:
    with pytest.raises(InputRejectedError, match=rf"column cell is .*, expected {expected}\."):
        read(column, None, dtype=dtype)
