"""The form of times in a column of texts.

Belongs here: patterns that are tried, and which one fits. Does not belong here: reading times
under a contract (``tasks.intake``).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import polars as pl

_DATES: Final = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%Y%m%d", "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%b %d %Y",
    "%b %d, %Y",
)  # fmt: skip
_JOINTS: Final = (" ", "T", ":", "-", "")
_CLOCKS: Final = (
    "%H:%M:%S%.f%z", "%H:%M:%S%.fZ", "%H:%M:%S%.f", "%H:%M", "%I:%M:%S%.f %p", "%I:%M %p",
)  # fmt: skip
"""A fraction of a second may be missing where ``%.f`` stands."""
_SWAPPED: Final = (("%d/%m", "%m/%d"), ("%d-%m", "%m-%d"))
"""Orders of day and month that the values may leave open."""

_COMPACT: Final = "%Y%m%d%H%M%S"
_CLOCK_OR_DIGITS: Final = r"^\w.*\d{1,2}:\d{2}|^(19|20)\d{12}$"
"""What every time has in it, so that other columns cost no trials."""
TRIED_VALUES: Final = 200
"""Values on which every pattern is tried first. A guess: those that fit are tried on all."""

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
LATEST: Final = datetime(2040, 1, 1, tzinfo=UTC).timestamp()
"""Numbers between them may be seconds since 1970. A guess: no flow record is older."""
_EPOCHS: Final = (("epoch_s", 1.0), ("epoch_ms", 1e3), ("epoch_us", 1e6), ("epoch_ns", 1e9))


@dataclass(frozen=True)
class TimeForm:
    """How the times of a column are written."""

    formats: tuple[str, ...]
    """As a page names them, the first that fits first."""
    fitting: int
    """Values that have one of them."""
    has_zone: bool
    """Whether the values say their zone."""
    is_ambiguous: bool = False
    """Whether day and month may be swapped: both orders fit as many values."""
    hours: tuple[int, ...] = ()
    """The hours seen, where the values have no am or pm, no seconds and no hour before 1."""


def parse_times(texts: pl.Series, pattern: str) -> pl.Series:
    """Return times of one pattern of ``strptime``, without a zone or in UTC; null where none."""
    if "%z" in pattern:
        return texts.str.to_datetime(pattern, time_unit="us", strict=False, time_zone="UTC")
    return texts.str.to_datetime(pattern, time_unit="us", strict=False)


def read_seconds(texts: pl.Series, form: str) -> pl.Series:
    """Return times of one form as seconds; null where a text has another. Zones are left out."""
    for name, factor in _EPOCHS:
        if form == name:
            return texts.cast(pl.Float64, strict=False) / factor
    if form == "iso":
        plain = texts.str.replace("T", " ").str.replace(r"(Z|[+-]\d{2}:?\d{2})$", "")
        found = _parse(plain, "%Y-%m-%d %H:%M:%S%.f")
    else:
        found = _parse(texts, form)
    return found.dt.epoch("us").cast(pl.Float64) / 1e6


def find_times(texts: pl.Series) -> TimeForm | None:
    """Return the form of a column of texts that are times; None if most of them are none."""
    first = texts.unique(maintain_order=True).head(TRIED_VALUES)
    if not first.str.contains(_CLOCK_OR_DIGITS).all():
        return None
    iso = _count(texts, "iso")
    if iso == len(texts):
        return TimeForm(("iso",), iso, has_zone=bool(_zoned(first)))
    fitting = {
        pattern: hits
        for pattern in _patterns()
        if (hits := len(first) - _parse(first, pattern).null_count())
    }
    if not fitting:
        return None
    best = max(fitting, key=lambda pattern: fitting[pattern])
    counts = {
        pattern: _count(texts, pattern)
        for pattern, hits in fitting.items()
        if hits == fitting[best]
    }
    best = max(counts, key=lambda pattern: counts[pattern])
    swapped = _swap(best)
    return TimeForm(
        formats=(best,),
        fitting=counts[best],
        has_zone="%z" in best or best.endswith("Z"),
        is_ambiguous=swapped is not None and counts.get(swapped) == counts[best],
        hours=_hours(texts, best),
    )


def find_epochs(numbers: pl.Series) -> str | None:
    """Return which unit of time since 1970 makes recent times of all numbers; None if none."""
    low, high = numbers.min(), numbers.max()
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    return next(
        (name for name, factor in _EPOCHS if low >= EARLIEST * factor and high <= LATEST * factor),
        None,
    )


def _patterns() -> list[str]:
    clocks = [f"{joint}{clock}" for joint in _JOINTS for clock in _CLOCKS]
    return [_COMPACT, *(f"{date}{clock}" for date in _DATES for clock in clocks)]


def _parse(texts: pl.Series, pattern: str) -> pl.Series:
    try:
        return parse_times(texts, pattern)
    except pl.exceptions.PolarsError:
        return pl.repeat(None, len(texts), dtype=pl.Datetime("us"), eager=True)


def _count(texts: pl.Series, pattern: str) -> int:
    if pattern == "iso":
        is_iso = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?$"
        return int(texts.str.contains(is_iso).sum())
    return len(texts) - _parse(texts, pattern).null_count()


def _zoned(texts: pl.Series) -> bool:
    return bool(texts.str.contains(r"(Z|[+-]\d{2}:?\d{2})$").all())


def _swap(pattern: str) -> str | None:
    """Return a pattern with day and month swapped; None if their order is clear."""
    for one, other in _SWAPPED:
        if one in pattern:
            return pattern.replace(one, other)
        if other in pattern:
            return pattern.replace(other, one)
    return None


def _hours(texts: pl.Series, pattern: str) -> tuple[int, ...]:
    """Return the hours of times that may be of 12 hours: none is before 1 or after 12."""
    if "%H" not in pattern:
        return ()
    hours = sorted(set(_parse(texts, pattern).dt.hour().drop_nulls().to_list()))
    most = 12
    is_half = bool(hours) and hours[0] >= 1 and hours[-1] <= most and not _has_zero(texts)
    return tuple(hours) if is_half else ()


def _has_zero(texts: pl.Series) -> bool:
    """Return whether an hour is written with a leading zero, as 24-hour times have it."""
    return bool(texts.str.contains(r"[ T]0\d:").any())
