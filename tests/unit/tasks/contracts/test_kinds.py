"""The kind of a column is told from its values, and from its name where values leave it open."""

import polars as pl
import pytest

from tasks.contracts.column_guess import ColumnGuess
from tasks.contracts.kinds import guess_column


def guess(name: str, *texts: str, times: int = 20) -> ColumnGuess:
    return guess_column(0, name, pl.Series([text or None for text in texts] * times))


@pytest.mark.parametrize(
    ("name", "texts", "kind"),
    [
        ("a", ("1.5", "2"), "number"),
        ("a", ("1", "2"), "count"),
        ("a", ("-1", "2"), "number"),
        ("a", ("18446744073709551615", "2"), "number"),
        ("mean size", ("1", "2"), "number"),
        ("bytes", ("1.0", "2.0"), "count"),
        ("error_rate", ("0.5", "1"), "ratio"),
        ("error_rate", ("0.5", "2"), "number"),
        ("is_tls", ("0", "1"), "flag"),
        ("tls", ("true", "False"), "flag"),
        ("Sport", ("80", "0x0303"), "port"),
        ("Source Port", ("80.0", "443.0"), "port"),
        ("report", ("80", "443"), "count"),
        ("proto", ("6", "17"), "protocol"),
        ("a", ("TCP", "udp"), "protocol"),
        ("a", ("10.0.0.1", "fe80::1"), "address"),
        ("src_host", ("10.0.0.1", "router"), "address"),
        ("a", ("10.0.0.1:80", "10.0.0.2:443"), "id"),
        ("service", ("http", "http,ssl", "ssl"), "set"),
        ("a", ("GET", "POST"), "category"),
        ("Dur", ("1", "2.5"), "interval"),
        ("a", ("00:00:01.5", "12:00:00"), "interval"),
        ("ts", ("1421927414.5", "1421927415"), "time"),
        ("x", ("1421927414.5", "1421927415"), "number"),
    ],
)
def test_kind(name: str, texts: tuple[str, ...], kind: str) -> None:
    assert guess(name, *texts).kind == kind


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("2019/04/04 16:23:00.325010", "%Y/%m/%d %H:%M:%S%.f"),
        ("2021-06-06T15:57:37.272281+0200", "iso"),
        ("2018-01-12 15:37:30", "iso"),
        ("25/12/2017 1:05", "%d/%m/%Y %H:%M"),
        ("12/25/2017 1:05", "%m/%d/%Y %H:%M"),
        ("25.12.2017 13:05:01", "%d.%m.%Y %H:%M:%S%.f"),
        ("7/25/2017 1:05:09 PM", "%m/%d/%Y %I:%M:%S%.f %p"),
    ],
)
def test_the_form_of_a_time(text: str, pattern: str) -> None:
    found = guess("when", text)

    assert (found.kind, found.formats) == ("time", (pattern,))


def test_a_time_whose_day_may_be_its_month_asks_a_person() -> None:
    open_looks = " ".join(guess("when", "7/7/2017 1:05", "5/7/2017 2:10").looks)
    clear_looks = " ".join(guess("when", "25/7/2017 1:05", "5/7/2017 2:10").looks)

    assert "day and month may be swapped" in open_looks
    assert "first_hour" in open_looks
    assert "day and month may be swapped" not in clear_looks


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("FLOW_DURATION_MILLISECONDS", 1e-3), ("duration_us", 1e-6), ("Flow Duration", 1e-6),
        ("event.duration", 1e-9), ("Dur", 1.0), ("td", 1.0), ("duration_seconds", 1.0),
    ],
)  # fmt: skip
def test_the_unit_of_an_interval_is_that_of_its_name(name: str, scale: float) -> None:
    found = guess(name, "1", "250")

    assert found.scale == scale
    assert bool(found.looks) == (name == "Dur")


def test_hexadecimal_digits_are_names_though_most_are_decimal() -> None:
    texts = [*(f"{number:02}" for number in range(10, 60)), "1b"] * 3

    assert guess_column(0, "tcp_flags", pl.Series(texts)).kind == "category"


def test_mostly_negative_lengths_of_time_are_numbers() -> None:
    assert guess("Dur", "-1", "2").kind == "number"


def test_words_for_no_value_are_told_from_names() -> None:
    numbers, names = guess("a", "1", "NA", "-", ""), guess("a", "dns", "none", "-")

    assert (numbers.kind, numbers.null_words, numbers.rows_null) == ("count", ("-", "NA"), 60)
    assert (names.kind, names.null_words, names.rows_null) == ("category", ("-",), 20)


def test_a_word_among_numbers_means_no_value_if_a_person_agrees() -> None:
    found = guess("a", "1", "2.5", "k.A.")

    assert (found.kind, found.null_words, found.rows_null) == ("number", ("k.A.",), 20)
    assert "does 'k.A.' mean that there is no value?" in found.looks


def test_many_addresses_are_all_read() -> None:
    texts = pl.Series([f"10.{number // 250}.{number % 250}.1" for number in range(5_000)])

    assert guess_column(0, "x", texts).evidence.startswith("5,000 of 5,000 values")


def test_infinity_among_numbers_is_counted() -> None:
    found = guess("a", "1.5", "Infinity", "NaN")

    assert (found.kind, found.non_finite, found.rows_null) == ("number", 40, 0)


def test_the_numbers_of_rows_and_constants_are_seen() -> None:
    rows = guess_column(0, "x", pl.Series([str(number) for number in range(7, 100)]))

    assert rows.is_row_number
    assert guess("a", "0", "0.0", times=30).is_constant
    assert not guess("a", "0", times=3).is_constant


def test_texts_that_tell_rows_apart_are_ids() -> None:
    assert guess_column(0, "x", pl.Series([f"C{number}" for number in range(60)])).kind == "id"


@pytest.mark.parametrize(
    ("texts", "word"), [(("1,5", "22,75"), "comma"), (("2019-01-02",), "date")]
)
def test_what_cannot_be_read_is_said_and_given_to_no_model(
    texts: tuple[str, ...], word: str
) -> None:
    found = guess("amount", *texts)

    assert found.is_unusable
    assert word in " ".join(found.looks)
