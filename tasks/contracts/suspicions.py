"""What is suspicious about a file that fits its contract: overflows, duplicates, odd times ...

Belongs here: each suspicion, a sentence for a person. Does not belong here: rules that a contract
declares (``tasks.validation``), or features that tell the label (``tasks.contracts.check``).
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import polars as pl

from expectations.contract import Column
from tasks.contracts.column_report import COUNTED, ColumnReport, ColumnTally
from tasks.wording import clause, plural, some_of

LIMITS: Final = (
    (2.0**31 - 1, "2^31-1"), (2.0**31, "2^31"), (2.0**32 - 1, "2^32-1"), (2.0**32, "2^32"),
    (2.0**63 - 1, "2^63"), (2.0**64 - 1, "2^64"),
    ((2.0**32 - 1) / 1000, "2^32/1000"), (2.0**32 / 1000, "2^32/1000"),
    ((2.0**31 - 1) / 1000, "2^31/1000"), (2.0**31 / 1000, "2^31/1000"),
)  # fmt: skip
"""Ends of the numbers that a counter of 32 or 64 bits holds, and of milliseconds as seconds: a
column that is not declared as a length of time may be one."""
TIMER_LIMITS: Final = (
    (2.0**32 / 1000, "2^32/1000"), (2.0**32, "2^32"), (2.0**31 / 1000, "2^31/1000"),
    (2.0**31, "2^31"),
)  # fmt: skip
"""Lengths of time that a timer of 32 bits reaches, in the file's unit or in a thousandth of it."""
NEAR: Final = 0.999
"""From which share of such a length on a value is suspicious: a negative length, read without its
sign, is somewhat below the limit. A guess: three seconds of a timer in milliseconds."""
FEWEST: Final = 3
"""Fewest rows with such values that are suspicious. A guess: one may be chance."""
SHORT_COUNTER: Final = 65_535
SHORT_SHARE: Final = 0.01
"""Share of rows at the end of a 16-bit counter that is suspicious. A guess."""
GLUED_FROM: Final = 1e5
"""Numbers below it are too short to look glued together."""
GLUED_SHARE: Final = 0.02
FEWEST_GLUED: Final = 5
"""Least share, and least number, of different large numbers that repeat their own digits. Of random
numbers of six digits one in a thousand does."""
HASHED_ROWS: Final = 2_000_000
"""Rows that are compared with each other: 32 MB of hashes."""
OLD: Final = datetime(1990, 1, 1, tzinfo=UTC)
"""No record of a network is older."""
PRIVATE: Final = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8",
         "fc00::/7", "fe80::/10", "::1/128"),
    )
)  # fmt: skip
"""Networks without connections to the internet: RFC 1918, 3927, 4193 and 4291."""
FEW_ROWS: Final = 50
"""In fewer rows, a column of one value is no surprise. A guess."""
MOST_DAY: Final = 12
"""A day above it cannot be a month."""

_GLUED: Final = re.compile(r"(\d{2,}?)\1+")
_DAY_FIRST: Final = re.compile(r"%d\W%m|%m\W%d")


class Suspicions:
    """Looks at each part of a parsed file, in bounded memory."""

    def __init__(self, columns: Sequence[Column], label: str | None) -> None:
        """Begin with no row.

        Args:
            columns: the declared columns that the file has.
            label: the column of ``_is_attack``, where rows have labels; else None.
        """
        self._columns = columns
        self._label = label
        self._rows = 0
        self._at_limit: dict[tuple[str, str], int] = {}
        self._short: dict[str, int] = {}
        self._large: dict[str, set[int]] = {}
        self._times: dict[str, tuple[int, int, int]] = {}  # old, future, largest day
        self._hashes: list[pl.DataFrame] = []
        self._hashed = 0

    def add(self, frame: pl.DataFrame, now: datetime) -> None:
        """Look at one part; ``now`` tells which times lie in the future."""
        self._rows += frame.height
        for column in self._columns:
            values = frame[column.name]
            if column.kind in {"count", "number", "interval"}:
                self._look_at_numbers(column, values.drop_nulls())
            elif column.kind == "time":
                self._look_at_times(column, values.drop_nulls(), now)
        if self._hashed < HASHED_ROWS:
            self._hash(frame.head(HASHED_ROWS - self._hashed))

    def _look_at_numbers(self, column: Column, values: pl.Series) -> None:
        """Count numbers at the limits of counters, and keep large ones."""
        raw = values.cast(pl.Float64) / column.scale
        if raw.is_empty():
            return
        limits = TIMER_LIMITS if column.kind == "interval" else LIMITS
        top = raw.max()
        for limit, name in limits:
            low = NEAR * limit if column.kind == "interval" else limit
            if not isinstance(top, float) or top < low:
                continue
            found = int(raw.is_between(low, limit).sum())
            if found:
                key = (column.name, name)
                self._at_limit[key] = self._at_limit.get(key, 0) + found
        if column.kind == "count":
            short = int((raw == SHORT_COUNTER).sum())
            self._short[column.name] = self._short.get(column.name, 0) + short
        if column.kind in {"count", "number"}:
            large = raw.filter(raw.is_between(GLUED_FROM, 2.0**53)).unique().head(COUNTED)
            kept = self._large.setdefault(column.name, set())
            if len(kept) < COUNTED:
                kept.update(int(value) for value in large if value == int(value))

    def _look_at_times(self, column: Column, values: pl.Series, now: datetime) -> None:
        """Count times that cannot be, and find the largest day."""
        if values.is_empty():
            return
        old, future, day = self._times.get(column.name, (0, 0, 0))
        local = values.dt.convert_time_zone(column.zone)
        largest = local.dt.day().max()
        self._times[column.name] = (
            old + int((values < OLD).sum()),
            future + int((values > now + timedelta(days=1)).sum()),
            max(day, largest if isinstance(largest, int) else 0),
        )

    def _hash(self, frame: pl.DataFrame) -> None:
        """Keep a hash of each row, and of its features."""
        features = [one.name for one in self._columns if one.role == "feature"]
        every = [one.name for one in self._columns]
        hashes = pl.DataFrame(
            {
                "row": frame.select(every).hash_rows() if every else [0] * frame.height,
                "features": frame.select(features).hash_rows() if features else [0] * frame.height,
                "label": frame[self._label] if self._label else [None] * frame.height,
            },
            schema_overrides={"label": pl.Boolean},
        )
        self._hashes.append(hashes)
        self._hashed += frame.height

    def describe(
        self, reports: Sequence[ColumnReport], tallies: Sequence[ColumnTally]
    ) -> tuple[str, ...]:
        """Return all suspicions, a sentence each."""
        return (
            *self._describe_limits(),
            *self._describe_glued(),
            *self._describe_times(),
            *_describe_lost_times(tallies),
            *_describe_constants(reports, self._rows),
            *_describe_addresses(tallies),
            *self._describe_duplicates(),
        )

    def _describe_limits(self) -> Iterator[str]:
        named = {column.name: column for column in self._columns}
        for (name, limit), rows in self._at_limit.items():
            if rows >= FEWEST:
                how = "near" if named[name].kind == "interval" else "at"
                yield (
                    f"{name}: {plural(rows, 'value')} {how} {limit}, where a counter ends: it may"
                    " have overflowed"
                )
        for name, rows in self._short.items():
            if rows >= max(FEWEST, SHORT_SHARE * self._rows):
                yield (f"{name}: {plural(rows, 'value')} at 65535, where a counter of 16 bits ends")

    def _describe_glued(self) -> Iterator[str]:
        for name, values in self._large.items():
            glued = sorted(
                value
                for value in values
                if (found := _GLUED.fullmatch(str(value))) and len(set(found[1])) > 1
            )
            if len(glued) >= max(FEWEST_GLUED, GLUED_SHARE * len(values)):
                yield (
                    f"{name}: {plural(len(glued), 'value')} repeat their own digits, such as"
                    f" {glued[-1]}: numbers may have been glued together"
                )

    def _describe_times(self) -> Iterator[str]:
        named = {column.name: column for column in self._columns}
        for name, (old, future, day) in self._times.items():
            if old:
                times = plural(old, "time")
                yield f"{name}: {times} before 1990: a clock was not set, or the unit is wrong"
            if future:
                times = plural(future, "time")
                yield f"{name}: {times} in the future: check the format and the zone"
            is_open = any(map(_DAY_FIRST.match, named[name].formats))
            if is_open and 0 < day <= MOST_DAY:
                yield (
                    f"{name}: no day is above 12, so day and month may be swapped in"
                    f" {some_of(named[name].formats)}"
                )

    def _describe_duplicates(self) -> Iterator[str]:
        if not self._hashes:
            return
        hashes = pl.concat(self._hashes)
        repeated = hashes.height - hashes["row"].n_unique()
        if repeated:
            yield (
                f"{clause(repeated, 'row', 'repeats', 'repeat')} an earlier one, of"
                f" {hashes.height:,} ({repeated / hashes.height:.1%})"
            )
        both = (
            hashes.drop_nulls("label")
            .group_by("features")
            .agg(pl.len().alias("rows"), pl.col("label").n_unique().alias("labels"))
            .filter(pl.col("labels") > 1)
        )
        if both.height:
            rows = int(np.sum(both["rows"].to_numpy()))
            yield f"{plural(rows, 'row')} have features that occur as normal and as attack"


def _describe_lost_times(tallies: Sequence[ColumnTally]) -> Iterator[str]:
    """Say how many rows have no time: one that no format reads is empty, and keeps its row."""
    for tally in tallies:
        if tally.column.kind == "time" and tally.rows_null:
            yield (
                f"{tally.column.name}: {plural(tally.rows_null, 'row')} without a time, or with"
                f" one that does not fit {some_of(tally.column.formats)}"
            )


def _describe_constants(reports: Sequence[ColumnReport], rows: int) -> Iterator[str]:
    if rows < FEW_ROWS:
        return
    constant = [one.name for one in reports if one.role == "feature" and one.is_constant]
    if constant:
        yield f"the same in every row, so of no use to a model: {some_of(constant)}"


def _describe_addresses(tallies: Sequence[ColumnTally]) -> Iterator[str]:
    """Say where all addresses of a column are unset, and where all of a file are private."""
    private = []
    for tally in tallies:
        if tally.column.kind != "address" or not tally.counts:
            continue
        found = [_read_address(text) for text in tally.counts]
        known = [one for one in found if one is not None]
        if known and all(one.is_unspecified for one in known):
            yield f"{tally.column.name}: every address is unset, such as {next(iter(tally.counts))}"
        elif known:
            private.append(all(map(_is_private, known)) and not tally.is_cut)
    if private and all(private):
        yield "all addresses are private: the file shows no connection with the internet"


def _is_private(address: "ipaddress.IPv4Address | ipaddress.IPv6Address") -> bool:
    """Return whether an address is of a network of one's own, and not of a manual's example."""
    return any(address in network for network in PRIVATE)


def _read_address(text: str) -> "ipaddress.IPv4Address | ipaddress.IPv6Address | None":
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
