"""What must hold between the parts of a page: columns, labels, rules, bounds and orders.

Belongs here: checks that need more than one declaration. Does not belong here: reading a page
(``expectations.pages``), or checks of one key (``expectations.page_keys``) or column.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from expectations.contract import BatchBound, Column, Contract, Labels, RowRule
from expectations.names import fold
from expectations.page_text import Page, Place, did_you_mean
from expectations.rules import RuleError, find_columns, refuse_rule, require_conditions

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

BATCH_STATISTICS: Final = frozenset(
    {"rows_read", "rows_accepted", "quarantine_ratio", "unparsed_ratio", "null_ratio.highest",
     "constant_features"}
)  # fmt: skip
"""Statistics of a batch that concern no single column."""

_NUMBER_STATISTICS: Final = frozenset({"zero_ratio", "mean", "maximum"})
_TIME_STATISTICS: Final = frozenset({"earliest", "latest", "span_s"})
COLUMN_STATISTICS: Final = ("distinct", "share", "unseen_ratio", *sorted(_NUMBER_STATISTICS),
    *sorted(_TIME_STATISTICS))  # fmt: skip
"""Statistics of one column: ``<statistic>.<column>``, and ``share.<column>.<value>``."""


def require_columns(page: Page, columns: Sequence[tuple[Place, Column]]) -> None:
    """Refuse columns of one name, columns that read one name in files, and a page of no feature."""
    by_source: dict[str, str] = {}
    named: set[str] = set()
    for place, column in columns:
        if column.name in named:
            raise page.error(place, f"there is another column with the name {column.name}")
        named.add(column.name)
        for source in (column.name, *column.sources):
            other = by_source.setdefault(fold(source), column.name)
            if other != column.name:
                problem = f'the columns {other} and {column.name} both read "{source}" in files'
                raise page.error(place, problem)
    if not any(column.role == "feature" for _, column in columns):
        raise page.error(
            ("columns",), "there is no feature: a model needs at least one column of another kind "
            "than time, address, port and id",
        )  # fmt: skip


def require_labels(page: Page, labels: Labels, nulls: Collection[str]) -> None:
    """Refuse values with two meanings, or that are missing values, and techniques of no family."""
    meanings: dict[str, str] = {}
    for key in ("normal", "attacks", "ignored"):
        for value in getattr(labels, key):
            folded = value.strip().lower() if labels.folds_case else value.strip()
            other = meanings.setdefault(folded, key)
            if other != key:
                raise page.error(("labels", key), f'"{value}" is in {other} too')
    for key in ("normal", "attacks"):
        for value in getattr(labels, key):
            if value in nulls:
                problem = f'"{value}" is in nulls of [form] too: such a label is a missing value'
                raise page.error(("labels", key), problem)
    families = set((labels.families or {}).values())
    for family in labels.techniques or {}:
        if family not in families:
            guess = did_you_mean(family, sorted(families))
            problem = f"[labels.families] has no family of this name{guess}"
            raise page.error(("labels", "techniques", family), problem)


def require_rules(page: Page, contract: Contract) -> None:
    """Refuse rules of one name, over unknown columns, or that are no conditions."""
    named: set[str] = set()
    for ordinal, rule in enumerate(contract.row_rules):
        if rule.name in named or rule.name in contract.by_name:
            problem = f"there is another rule or column with the name {rule.name}"
            raise page.error(("rules", ordinal, "name"), problem)
        named.add(rule.name)
    try:
        _evaluate(contract.row_rules, contract)
    except RuleError:  # which of them?
        for ordinal, rule in enumerate(contract.row_rules):
            try:
                _evaluate([rule], contract)
            except RuleError as error:
                raise page.error(("rules", ordinal, "holds"), str(error)) from None


def _evaluate(rules: Sequence[RowRule], contract: Contract) -> None:
    """Raise RuleError if a rule is over unknown columns, over none, or no condition."""
    schema: dict[str, PolarsDataType] = {}
    for rule in rules:
        columns = find_columns(rule.holds)
        for column in columns:
            if column not in contract.by_name:
                guess = did_you_mean(column, list(contract.by_name))
                refuse_rule(f"there is no column {column[:60]}{guess}")
        if not columns:
            refuse_rule("expected a condition on columns, found none of them")
        schema |= {column: contract.by_name[column].dtype for column in columns}
    if rules:
        require_conditions([rule.holds for rule in rules], pl.Schema(schema))


def require_bounds(page: Page, contract: Contract) -> None:
    """Refuse two bounds of one statistic, or one of an unknown statistic or without a limit."""
    named: set[str] = set()
    for ordinal, bound in enumerate(contract.profile):
        place: Place = ("bounds", ordinal)
        if bound.name in named:
            raise page.error((*place, "statistic"), f"there is another bound of {bound.name}")
        named.add(bound.name)
        _require_statistic(page, (*place, "statistic"), bound.name, contract)
        _require_range(page, place, bound)


def _require_range(page: Page, place: Place, bound: BatchBound) -> None:
    """Refuse a bound without a limit, or with limits that no number keeps."""
    if bound.minimum is None and bound.maximum is None:
        raise page.error(place, "expected a minimum or a maximum, found neither")
    if bound.minimum is not None and bound.maximum is not None and bound.minimum > bound.maximum:
        problem = f"{bound.minimum} is above the maximum, {bound.maximum}"
        raise page.error((*place, "minimum"), problem)


def _require_statistic(page: Page, place: Place, name: str, contract: Contract) -> None:
    """Refuse a statistic that no batch has."""
    if name in BATCH_STATISTICS:
        return
    kind, _, subject = name.partition(".")
    if kind not in COLUMN_STATISTICS:
        known = [*sorted(BATCH_STATISTICS), *(f"{one}.COLUMN" for one in COLUMN_STATISTICS)]
        raise page.unfit(place, f"one of {', '.join(known)}", name)
    column_name, _, value = subject.partition(".") if kind == "share" else (subject, "", "")
    column = contract.by_name.get(column_name)
    if column is None:
        guess = did_you_mean(column_name, list(contract.by_name))
        raise page.error(place, f'there is no column "{column_name[:60]}"{guess}')
    if kind == "share":
        _require_value(page, place, name, value, column)
    elif kind == "unseen_ratio" and column.values is None:
        raise page.error(place, f"the column {column_name} declares no values to be seen")
    elif kind in _NUMBER_STATISTICS and not column.dtype.is_numeric():
        raise page.error(place, f"the values of {column_name} are no numbers")
    elif kind in _TIME_STATISTICS and column.kind != "time":
        raise page.error(place, f"the values of {column_name} are no times")


def _require_value(page: Page, place: Place, name: str, value: str, column: Column) -> None:
    """Refuse a share of no value, or of one that the column cannot have."""
    if not value:
        raise page.unfit(place, f"share.{column.name}.VALUE", name)
    if not column.is_categorical:
        try:
            pl.Series([value]).cast(column.dtype)
        except pl.exceptions.PolarsError:
            raise page.error(place, f'the column {column.name} has no value "{value}"') from None


def resolve_orders(
    page: Page, orders: Iterable[Sequence[str]], columns: Sequence[Column]
) -> tuple[tuple[str, ...], ...]:
    """Return the orders of ``[form]`` with the names of columns in place of names in files.

    ``*`` is all features in the order of the page. Names of no column stay.
    """
    place: Place = ("form", "orders")
    by_source = {fold(one): column.name for column in columns for one in _names_of(column)}
    features = [column.name for column in columns if column.role == "feature"]
    found: dict[int, tuple[str, ...]] = {}
    for order in orders:
        written = [name for one in order for name in (features if one == "*" else [one])]
        names = tuple(by_source.get(fold(name), name) for name in written)
        if len(set(names)) < len(names):
            (repeated, _), *_ = Counter(names).most_common(1)
            raise page.error(place, f'an order has "{repeated}" twice')
        if len(names) in found:
            problem = f"two orders have {len(names)} columns; their number tells orders apart"
            raise page.error(place, problem)
        missing = _find_missing(names, columns)
        if missing is not None:
            problem = f"an order lacks the column {missing}, which is not optional"
            raise page.error(place, problem)
        found[len(names)] = names
    return tuple(found.values())


def _find_missing(names: Iterable[str], columns: Iterable[Column]) -> str | None:
    """Return the first column that every file must have and that an order lacks."""
    known = set(names)
    needed = (column.name for column in columns if not column.optional)
    return next((name for name in needed if name not in known), None)


def _names_of(column: Column) -> tuple[str, ...]:
    """Return all names that a column has in files."""
    return (column.name, *column.sources)


def turn_round(page: Page, families: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return attack -> family from family -> its attacks; refuse an attack of two families."""
    found: dict[str, str] = {}
    for family, attacks in families.items():
        for attack in attacks:
            if found.setdefault(attack, family) != family:
                problem = f'"{attack}" is in the family {found[attack]} too'
                raise page.error(("labels", "families", family), problem)
    return found
