"""What a moment is, and what becomes of times that a clock shows twice or never."""

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest

from expectations.contract import Column
from tasks.intake.times import read_clock, read_times, settle_times
from tests.support.sources import column


def read(text: str, **declared: object) -> datetime | None:
    return read_times(pl.Series("at", [text, None]), column("at", "time", **declared))[0]


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2018-05-10T10:52:47.283479", at(2018, 5, 10, 10, 52, 47, 283_479)),
        ("2018-05-10 10:52:47", at(2018, 5, 10, 10, 52, 47)),
        ("2018-05-10 10:52", at(2018, 5, 10, 10, 52)),
        ("2018-05-10", at(2018, 5, 10)),
        ("2018-05-10T10:52:47Z", at(2018, 5, 10, 10, 52, 47)),
        ("2018-05-10t10:52:47.5z", at(2018, 5, 10, 10, 52, 47, 500_000)),
        ("2018-05-10T10:52:47+0200", at(2018, 5, 10, 8, 52, 47)),
        ("2018-05-10 10:52:47 -03:30", at(2018, 5, 10, 14, 22, 47)),
        ("2018-05-10 10:52:47,25", at(2018, 5, 10, 10, 52, 47, 250_000)),
        ("1421927414", at(2015, 1, 22, 11, 50, 14)),
        ("1421927414.123456", at(2015, 1, 22, 11, 50, 14, 123_456)),
        ("-1.5", at(1969, 12, 31, 23, 59, 58, 500_000)),
        ("0", at(1970, 1, 1)),
    ],
)
def test_a_column_without_formats_is_iso_or_seconds_since_1970(text: str, moment: datetime) -> None:
    assert read(text) == moment


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("epoch_ms", "1421927414123"),
        ("epoch_us", "1421927414123000"),
        ("epoch_ns", "1421927414123000000"),
        ("%Y/%m/%d %H:%M:%S%.f", "2015/01/22 11:50:14.123"),
        ("%d.%m.%Y %H:%M:%S%.f %z", "22.01.2015 12:50:14.123 +0100"),
    ],
)
def test_a_time_is_read_by_its_format(form: str, text: str) -> None:
    assert read(text, formats=(form,)) == at(2015, 1, 22, 11, 50, 14, 123_000)


def test_the_first_format_that_fits_counts() -> None:
    assert read("6/7/2017 10:15", formats=("iso", "%d/%m/%Y %H:%M")) == at(2017, 7, 6, 10, 15)
    assert read("6/7/2017 10:15", formats=("%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M")) == at(
        2017, 6, 7, 10, 15
    )


@pytest.mark.parametrize(
    ("text", "hour"), [("7/7/2017 8:05", 8), ("7/7/2017 12:05", 12), ("7/7/2017 1:05", 13)]
)
def test_hours_without_am_and_pm_before_the_first_of_the_morning_are_in_the_afternoon(
    text: str, hour: int
) -> None:
    assert read(text, formats=("%d/%m/%Y %H:%M",), first_hour=8) == at(2017, 7, 7, hour, 5)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2023-07-01 12:00:00", at(2023, 7, 1, 10)),
        ("2023-10-29 02:30:00", at(2023, 10, 29, 0, 30)),  # twice: 00:30 and 01:30
        ("2023-03-26 02:30:00", at(2023, 3, 26, 0, 30)),  # never: may mean 00:30 or 01:30
    ],
)
def test_a_time_that_occurs_twice_or_never_is_the_earlier_moment(
    text: str, moment: datetime
) -> None:
    assert read(text, zone="Europe/Berlin") == moment


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2018-13-10", "2018-05-10 25:00:00", "1e300", "inf", "nan", "99999999999999",
     "-99999999999999", "9223372036854775808", "12018-05-10T10:52:47", "0000-01-01T00:00:00"],
)  # fmt: skip
def test_what_is_no_moment_of_the_years_1_to_9999_is_not_read(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    ("held", "moment"),
    [
        (date(2023, 7, 1), at(2023, 6, 30, 22)),
        (datetime(2023, 7, 1, 12), at(2023, 7, 1, 10)),  # noqa: DTZ001 - without a zone
        (datetime(2023, 7, 1, 12, tzinfo=timezone(timedelta(hours=1))), at(2023, 7, 1, 11)),
    ],
)
def test_times_of_a_file_with_types_are_moments(held: object, moment: datetime) -> None:
    declared = Column(name="at", kind="time", meaning="", zone="Europe/Berlin", role="identifier")
    assert settle_times(pl.Series("at", [held, None]), declared).to_list() == [moment, None]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:00.000", 0.0), ("01:02:03.5", 3723.5), ("2:03", 123.0), ("-00:00:01", -1.0),
        ("100:00:00", 360_000.0), ("00:99:00", None), ("75", None), ("1:2:3:4", None),
    ],
)  # fmt: skip
def test_a_length_of_time_is_read_as_a_clock_shows_it(text: str, seconds: float | None) -> None:
    assert read_clock(pl.Series([text])).to_list() == [seconds]
