"""Times in cells: moments in UTC, and lengths of time as a clock shows them.

Belongs here: the formats of ``contract.Column``. Does not belong here: blanks and missing values
(``tasks.intake.cells``).

- ``iso`` is a date as in 2026-11-28, a time of day if it has one, and a zone if it has one.
- A time without a zone is in the zone of its column. A time that occurs twice, as a clock is set
  back, is the earlier; one that does not occur, as a clock is set forward, is the earlier of the
  two moments that it may mean.
- Moments have microseconds. What is finer is left out; a decimal number of a unit since 1970 is
  rounded, because it is only near what was meant. Moments lie in the years 1 to 9999, as databases
  require; any other is not read.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from expectations.contract import Column

USUAL: Final = ("iso", "epoch_s")
"""The formats of a column that declares none."""

MOMENT = pl.Datetime("us", "UTC")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST = (datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC) - _EPOCH) // timedelta(microseconds=1)
"""Microseconds since 1970 of the first and the last moment."""

_UNITS: Final[Mapping[str, float]] = {
    "epoch_s": 1_000_000,
    "epoch_ms": 1_000,
    "epoch_us": 1,
    "epoch_ns": 1 / 1_000,
}
"""Microseconds in the unit of each format that counts from 1970."""

_ISO_LOCAL = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_ISO_ZONED = ("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z")
_ISO_DATE = r"^(\d{4}-\d{2}-\d{2})[Tt]"
_ISO_ZONE = r":\d{2}(?:[.,]\d*)? ?(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"
_NAMES_ZONE = re.compile(r"%(?:[:#]*z|s|\+)")
"""Directives of ``strptime`` after which a time needs no zone."""
_HALF_DAY = pl.duration(hours=12)
_DAY = pl.duration(hours=24)
"""Longer than any clock was ever set forward."""

_CLOCK = (
    r"^(?P<sign>-)?(?:(?P<hours>\d{1,9}):)?(?P<minutes>[0-5]?\d):(?P<seconds>[0-5]?\d(?:\.\d*)?)$"
)


def read_times(texts: pl.Series, column: Column) -> pl.Series:
    """Return moments; null for a text that none of the column's formats fits.

    Args:
        texts: without blanks around them; null for no value.
        column: of kind ``time``.

    Returns:
        Datetime in microseconds and UTC, under the same name.
    """
    found = pl.Series(texts.name, [None] * len(texts), dtype=MOMENT)
    for form in column.formats or USUAL:
        is_left = found.is_null() & texts.is_not_null()
        if not is_left.any():
            break
        left = texts if is_left.all() else texts.zip_with(is_left, _nulls(texts))
        found = found.fill_null(_read_format(left, form, column))
    return found


def settle_times(times: pl.Series, column: Column) -> pl.Series:
    """Return dates, or times with a zone or without, as moments; null outside the years 1 to 9999.

    Returns:
        As ``read_times``.
    """
    held = times.dtype
    if not isinstance(held, pl.Datetime):
        times = times.cast(pl.Datetime("us"))
    elif held.time_zone is not None:
        return _bound(times.dt.convert_time_zone("UTC").cast(MOMENT))
    return _locate(times.cast(pl.Datetime("us")), column.zone)


def read_clock(texts: pl.Series) -> pl.Series:
    """Return lengths of time in seconds, Float64; null for a text unlike ``01:02:03.5``."""
    parts = texts.str.extract_groups(_CLOCK).struct.unnest()
    length = (
        pl.col("hours").fill_null("0").cast(pl.Float64) * 3600
        + pl.col("minutes").cast(pl.Float64) * 60
        + pl.col("seconds").cast(pl.Float64, strict=False)
    )
    signed = pl.when(pl.col("sign").is_null()).then(length).otherwise(-length)
    return parts.select(signed.alias(texts.name)).to_series()


def _nulls(texts: pl.Series) -> pl.Series:
    return pl.Series(texts.name, [None] * len(texts), dtype=texts.dtype)


def _read_format(texts: pl.Series, form: str, column: Column) -> pl.Series:
    """Return moments by one format."""
    if form in _UNITS:
        return _read_epoch(texts, form)
    if form == "iso":
        return _read_iso(texts, column)
    if _NAMES_ZONE.search(form):
        return _bound(texts.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False))
    local = texts.str.to_datetime(form, time_unit="us", strict=False)
    if column.first_hour is not None:
        is_afternoon = pl.col(texts.name).dt.hour() < column.first_hour
        moved = pl.when(is_afternoon).then(_HALF_DAY).otherwise(pl.duration())
        local = local.to_frame(texts.name).select(pl.col(texts.name) + moved).to_series()
    return _locate(local, column.zone)


def _read_iso(texts: pl.Series, column: Column) -> pl.Series:
    plain = texts.str.replace(_ISO_DATE, "$1 ")
    has_zone = plain.str.contains(_ISO_ZONE).fill_null(value=False)
    local = plain.zip_with(~has_zone, _nulls(plain))
    read = _try_all(local, _ISO_LOCAL, None)
    found = _locate(read, column.zone)
    if has_zone.any():
        zoned = plain.zip_with(has_zone, _nulls(plain)).str.replace(r" ?([Zz]|[+-][\d:]+)$", "$1")
        upper = zoned.str.to_uppercase()
        found = found.fill_null(_bound(_try_all(upper, _ISO_ZONED, "UTC")))
    return found


def _try_all(texts: pl.Series, patterns: tuple[str, ...], zone: str | None) -> pl.Series:
    """Return what the first pattern that fits a text makes of it."""
    points = texts.str.replace(r"(:\d{2}),(\d)", "$1.$2")
    found = points.str.to_datetime(patterns[0], time_unit="us", time_zone=zone, strict=False)
    for pattern in patterns[1:]:
        if not (found.is_null() & points.is_not_null()).any():
            break
        found = found.fill_null(
            points.str.to_datetime(pattern, time_unit="us", time_zone=zone, strict=False)
        )
    return found


def _read_epoch(texts: pl.Series, form: str) -> pl.Series:
    """Return moments that are counted from 1970; whole numbers are read exactly."""
    whole = pl.col("whole")
    if form == "epoch_ns":
        exact = whole // 1_000
    else:
        unit = int(_UNITS[form])
        is_small = whole.is_between(_FIRST // unit, _LAST // unit)
        exact = pl.when(is_small).then(whole * unit)
    number = pl.col("number") * _UNITS[form]
    near = pl.when(number.is_between(float(_FIRST), float(_LAST))).then(number.round())
    numbers = pl.DataFrame(
        {
            "whole": texts.cast(pl.Int64, strict=False),
            "number": texts.cast(pl.Float64, strict=False),
        }
    )
    micros = pl.when(whole.is_not_null()).then(exact).otherwise(near.cast(pl.Int64, strict=False))
    return _bound(numbers.select(micros.alias(texts.name)).to_series().cast(MOMENT))


def _locate(local: pl.Series, zone: str) -> pl.Series:
    """Return times of a zone as moments; see the module for those that occur twice or never."""
    within = local.cast(pl.Int64).is_between(_FIRST, _LAST)
    local = local.zip_with(within, _nulls(local))
    if zone == "UTC":
        return local.dt.replace_time_zone("UTC")
    found = _place(local, zone)
    if found.null_count() > local.null_count():
        later = local.to_frame("t").select(pl.col("t") + _DAY).to_series()
        moved = _place(later, zone).to_frame("t").select(pl.col("t") - _DAY).to_series()
        found = found.fill_null(moved)
    return _bound(found)


def _place(local: pl.Series, zone: str) -> pl.Series:
    """Return times of a zone in UTC: the earlier of two, and null for one that does not occur."""
    placed = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return placed.dt.convert_time_zone("UTC")


def _bound(moments: pl.Series) -> pl.Series:
    """Return moments; null outside the years 1 to 9999."""
    is_within = moments.cast(pl.Int64).is_between(_FIRST, _LAST)
    if is_within.all():
        return moments
    return moments.zip_with(is_within.fill_null(value=False), _nulls(moments))
