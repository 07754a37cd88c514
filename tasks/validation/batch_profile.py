"""The statistics of a whole batch, added up chunk by chunk: one row for the profile suite.

Belongs here: what each statistic's name means and how it is computed in bounded memory. Does not
belong here: which statistics a source bounds, and how (its contract).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import add
from typing import Final

import polars as pl

from expectations.contract import Column, Contract
from tasks.ratios import ratio

Value = float | str | None

DISTINCT_LIMIT = 10_000
"""Most distinct values that are counted, so that a hostile file cannot fill the memory. A guess:
two orders of magnitude above the 70 services of NSL-KDD. A bound above it is never exceeded."""

_MERGE: Final[Mapping[str, Callable[[float, float], float]]] = {
    "minimum": min,
    "maximum": max,
    "earliest": min,
    "latest": max,
}
"""How the partial results of two chunks combine, by kind; all other kinds are added."""


class BatchProfile:
    """Adds up the statistics that are asked for.

    A statistic is named ``<kind>``, ``<kind>.<column>`` or ``<kind>.<column>.<value>``; the value
    may have dots too:

    - ``rows_read``, ``rows_accepted``: counts;
    - ``quarantine_ratio``, ``unparsed_ratio``: shares of the rows read;
    - ``null_ratio.highest``: the share of parsed rows with null or NaN, of the worst feature that
      may not be null;
    - ``constant_features``: the number of features with a single value, or without any; one that
      may be null and always is does not count;
    - ``distinct.<column>``: the number of values, counted up to 10,000;
    - ``share.<column>.<value>``, ``zero_ratio.<column>``, ``unseen_ratio.<column>``: the share of
      parsed rows with this value, with 0, with a value the contract does not know;
    - ``mean.<column>``, ``maximum.<column>``: of the finite values;
    - ``earliest.<column>``, ``latest.<column>``: of times, in seconds since 1970;
    - ``span_s.<column>``: the seconds between these two.

    A ratio whose denominator is 0 is None, and so is a statistic of a column that the batch lacks.
    """

    def __init__(self, contract: Contract, names: Iterable[str], columns: Collection[str]) -> None:
        """Prepare for some statistics, by name; ``columns`` are those of the batch."""
        self._contract = contract
        self._asked = tuple(dict.fromkeys(names))
        self._features = [one for one in contract.features if one.name in columns]
        self._names = [name for name in self._asked if _column_of(name) in {None, *columns}]
        self._partial: dict[str, float] = {}
        self._distinct: dict[str, set[str]] = {
            name.partition(".")[2]: set() for name in self._names if name.startswith("distinct.")
        }
        self._parsed = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Add one chunk; grain: one parsed connection, accepted or not, with its columns."""
        self._parsed += frame.height
        partial = frame.select(**self._partials()).row(0, named=True)
        for name, value in partial.items():
            if value is not None:
                merge: Callable[[float, float], float] = _MERGE.get(name.partition(".")[0], add)
                held = self._partial.get(name)
                self._partial[name] = value if held is None else merge(held, value)
        for column, seen in self._distinct.items():
            if len(seen) < DISTINCT_LIMIT:
                names = frame[column].drop_nulls().unique().head(DISTINCT_LIMIT).cast(pl.String)
                seen.update(names.to_list())

    def statistics(
        self, *, rows_read: int, rows_unparsed: int, rows_accepted: int
    ) -> dict[str, Value]:
        """Return every statistic asked for, by name; the counts are of the batch's new rows."""
        given: dict[str, Value] = {
            "rows_read": rows_read,
            "rows_accepted": rows_accepted,
            "quarantine_ratio": ratio(rows_read - rows_accepted, rows_read),
            "unparsed_ratio": ratio(rows_unparsed, rows_read),
            "null_ratio.highest": max(
                (
                    ratio(self._sum("nulls", one.name), self._parsed) or 0.0
                    for one in self._features
                    if not one.nullable
                ),
                default=0.0,
            ),
            "constant_features": sum(map(self._is_constant, self._features)),
        }
        found = {name: self._statistic(name) for name in self._names if name not in given}
        return {name: given.get(name, found.get(name)) for name in self._asked}

    def _is_constant(self, feature: Column) -> bool:
        """Return whether a feature has a single value, or none although it needs one."""
        lowest = self._partial.get(f"minimum.{feature.name}")
        if lowest is None:
            return not feature.nullable
        return lowest == self._partial.get(f"maximum.{feature.name}")

    def _statistic(self, name: str) -> Value:
        """Return a statistic of one column."""
        kind, _, subject = name.partition(".")
        if kind == "distinct":
            return len(self._distinct[subject])
        if kind in {"maximum", "earliest", "latest"}:
            return self._partial.get(name)
        if kind == "span_s":
            first, last = (self._partial.get(f"{one}.{subject}") for one in ("earliest", "latest"))
            return None if first is None or last is None else last - first
        if kind == "mean":
            return ratio(self._sum("sum", subject), self._sum("finite", subject))
        return ratio(self._sum(kind, subject), self._parsed)

    def _sum(self, kind: str, subject: str) -> float:
        return self._partial.get(f"{kind}.{subject}", 0)

    def _partials(self) -> dict[str, pl.Expr]:
        """Return the expressions of one chunk's partial results, by kind and subject."""
        partials: dict[str, pl.Expr] = {}
        for column in self._features:
            value = pl.col(column.name)
            if column.dtype == pl.Float64():
                partials[f"nulls.{column.name}"] = (value.is_null() | value.is_nan()).sum()
                value = _finite(column.name)
            else:
                partials[f"nulls.{column.name}"] = value.null_count()
            partials[f"minimum.{column.name}"] = value.min()
            partials[f"maximum.{column.name}"] = value.max()
        for name in self._names:
            kind, _, subject = name.partition(".")
            if kind == "share":
                column_name, _, wanted = subject.partition(".")
                dtype = self._contract.by_name[column_name].dtype
                partials[name] = (pl.col(column_name) == pl.lit(wanted).cast(dtype)).sum()
            elif kind == "zero_ratio":
                partials[name] = (pl.col(subject) == 0).sum()
            elif kind == "unseen_ratio":
                known = list(self._contract.by_name[subject].values or ())
                partials[name] = (~pl.col(subject).is_in(known)).sum()
            elif kind in {"earliest", "latest", "span_s"}:
                seconds = pl.col(subject).dt.epoch("us") / 1e6
                partials[f"earliest.{subject}"] = seconds.min()
                partials[f"latest.{subject}"] = seconds.max()
            elif kind == "maximum":
                partials[name] = _finite(subject).max()
            elif kind == "mean":
                partials[f"sum.{subject}"] = _finite(subject).sum()
                partials[f"finite.{subject}"] = _finite(subject).count()
        return partials


def _column_of(name: str) -> str | None:
    """Return the column that a statistic is of; None if it is of the whole batch."""
    column = name.split(".")[1:2]
    return column[0] if column and name != "null_ratio.highest" else None


def _finite(column: str) -> pl.Expr:
    """Return a column with null in place of NaN and infinity."""
    return pl.when(pl.col(column).is_finite()).then(pl.col(column))
