"""The columns of a page: ``[columns]`` and ``[[alike]]``, with the defaults of each kind.

Belongs here: reading a declaration of a column, and what a column may not say. Does not belong
here: what joins several columns (``expectations.page_checks``).
"""

import zoneinfo
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, get_args

import polars as pl

from expectations.contract import DTYPES, IDENTIFIER_KINDS, Column, Kind
from expectations.names import fold, plain_name
from expectations.page_keys import (
    Reader,
    Toml,
    Unfit,
    column_name,
    factor,
    number,
    one_of,
    power_of_ten,
    read_keys,
    read_value,
    refuse,
    text,
    texts,
    whole,
    yes_or_no,
)
from expectations.page_text import Page, Place

KIND_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "count": {"minimum": 0, "resolution": 1},
    "interval": {"minimum": 0, "unit": "s"},
    "ratio": {"minimum": 0, "maximum": 1, "unit": "ratio"},
    "flag": {"values": (0, 1), "resolution": 1},
    "port": {"minimum": 0, "maximum": 65_535, "resolution": 1},
}
"""What a page need not say of a column, by its kind."""

CANONICAL_MEANINGS: Final[Mapping[str, str]] = {
    "started_at": "When the connection began.",
    "duration_s": "Length of the connection.",
    "src_ip": "Address of the host that began the connection.",
    "src_port": "Port of the host that began the connection.",
    "dst_ip": "Address of the host that was asked.",
    "dst_port": "Port of the host that was asked.",
    "proto": "Transport protocol.",
    "service": "Application protocol.",
    "conn_state": "State in which the connection ended.",
    "src_bytes": "Data sent from source to destination.",
    "dst_bytes": "Data sent from destination to source.",
    "src_packets": "Packets sent from source to destination.",
    "dst_packets": "Packets sent from destination to source.",
    "uid": "Identifier of the connection in the sensor's logs.",
}
"""The names that all contracts share, and their meanings where a page gives none."""

_WORDS: Final = {"src": "source", "dst": "destination", "ip": "IP", "tcp": "TCP", "icmp": "ICMP"}
"""Words of names in full."""

COLUMN_LIMIT: Final = 1_500
"""Most columns of a contract. PostgreSQL allows 1,664 in a view, and ours has 20 more."""

_NUMBERS = frozenset({"number", "count", "ratio", "interval", "port"})
_KINDS_OF_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "unit": _NUMBERS - {"port"},
    "scale": _NUMBERS - {"port"},
    "resolution": _NUMBERS - {"port"},
    "minimum": _NUMBERS,
    "maximum": _NUMBERS,
    "formats": frozenset({"time", "interval"}),
    "zone": frozenset({"time"}),
    "first_hour": frozenset({"time"}),
    "separator": frozenset({"set"}),
    "values": frozenset({"count", "flag", "port", "category", "protocol"}),
}
"""The kinds for which a key means something; all other keys are for every kind."""

TIME_FORMATS: Final = ("iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns")
INTERVAL_FORMATS: Final = ("clock",)

_A_MOMENT: Final = datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
"""A moment whose day, month and year differ; a pattern must read it as it wrote it."""


def read_columns(page: Page, labels: frozenset[str]) -> list[tuple[Place, Column]]:
    """Return the declared columns and their places, in the order of the page.

    Args:
        page: with the tables ``columns`` and ``alike``.
        labels: what ``[labels]`` calls its columns; those that it names here are labels.
    """
    declared = list(islice(_read_columns(page, labels), COLUMN_LIMIT + 1))
    if len(declared) > COLUMN_LIMIT:
        raise page.error(("columns",), f"a contract has at most {COLUMN_LIMIT:,} columns")
    return declared


def _read_columns(page: Page, labels: frozenset[str]) -> Iterator[tuple[Place, Column]]:
    """Yield the declared columns and their places, in the order of the page."""
    columns = page.content.get("columns", {})
    if not isinstance(columns, dict):
        raise page.unfit(("columns",), "a table", columns)
    for name, content in columns.items():
        place: Place = ("columns", name)
        read_value(page, place, name, column_name)
        declared = {"kind": content} if isinstance(content, str) else content
        keys = read_keys(page, place, declared, {"from": texts, **_READERS}, ("kind",))
        yield place, _make_column(page, place, name, keys.pop("from", ()), keys, labels)
    groups = page.content.get("alike", [])
    if not isinstance(groups, list):
        raise page.unfit(("alike",), "tables, each as [[alike]]", groups)
    for ordinal, group in enumerate(groups):
        place = ("alike", ordinal)
        keys = read_keys(page, place, group, {"columns": _named, **_READERS}, ("kind", "columns"))
        for name, sources in keys.pop("columns").items():
            of_columns = (*place, "columns")
            yield of_columns, _make_column(page, of_columns, name, sources, keys, labels)


def make_label(name: str, source: str) -> Column:
    """Return the column of a label that the page does not declare."""
    sources = () if source == name else (source,)
    return Column(
        name=name, kind="category", sources=sources, meaning=_meaning(name, ""), role="label",
        nullable=True, optional=True, severity="advisory",
    )  # fmt: skip


def _make_column(
    page: Page,
    place: Place,
    name: str,
    sources: tuple[str, ...],
    declared: Mapping[str, Any],
    labels: frozenset[str],
) -> Column:
    """Return a column with the defaults of its kind and role."""
    kind: Kind = declared["kind"]
    for key, kinds in _KINDS_OF_KEYS.items():
        if key in declared and kind not in kinds:
            raise page.error((*place, key), f"a column of kind {kind} has no such key")
    is_label = not labels.isdisjoint({fold(one) for one in (name, *sources)})
    role = declared.get("role")
    if role is None:
        usual = "identifier" if kind in IDENTIFIER_KINDS else "feature"
        role = "label" if is_label else usual
    if is_label != (role == "label"):
        raise page.error(
            (*place, "role"), f"[labels] names {name}, so its role is label" if is_label
            else "only the columns that [labels] names have the role label",
        )  # fmt: skip
    if role == "feature" and kind in IDENTIFIER_KINDS:
        raise page.error(
            (*place, "role"), f"no model gets a column of kind {kind}: its role can be identifier "
            "or ignored",
        )  # fmt: skip
    is_feature = role == "feature"
    optional = declared.get("optional", not is_feature)
    defaults = dict(KIND_DEFAULTS.get(kind, {}))
    if "values" in declared:
        defaults = {key: value for key, value in defaults.items() if key == "resolution"}
    column = {
        "meaning": _meaning(name, declared.get("unit", defaults.get("unit", ""))),
        "optional": optional,
        "nullable": optional,
        "severity": "required" if is_feature else "advisory",
        **defaults,
        **declared,
        "role": role,
        "name": name,
        "sources": tuple(one for one in sources if one != name),
    }
    _require_sense(page, place, column)
    return Column(**column)


def _require_sense(page: Page, place: Place, column: Mapping[str, Any]) -> None:
    """Refuse a column whose keys contradict each other."""
    minimum, maximum = column.get("minimum"), column.get("maximum")
    if minimum is not None and maximum is not None and minimum > maximum:
        raise page.error((*place, "minimum"), f"{minimum} is above the maximum, {maximum}")
    if "values" in column:
        _require_values(page, place, column)
    if column["optional"] and column["role"] == "feature" and not column["nullable"]:
        raise page.error(
            (*place, "nullable"), "a feature that a file may lack is null there, so it is nullable"
        )
    for pattern in column.get("formats", ()):
        if column["kind"] == "interval" and pattern not in INTERVAL_FORMATS:
            raise page.unfit((*place, "formats"), '"clock", or no such key', pattern)
        if column["kind"] == "time" and pattern not in TIME_FORMATS:
            read_value(page, (*place, "formats"), pattern, _time_pattern)


def _require_values(page: Page, place: Place, column: Mapping[str, Any]) -> None:
    """Refuse values of another type than the column's, or beside bounds."""
    values, is_text = column["values"], DTYPES[column["kind"]] == pl.String
    for key in ("minimum", "maximum"):
        if key in column:
            raise page.error((*place, key), "a column has values or bounds, not both")
    if isinstance(values[0], str) is not is_text:
        wanted = "texts" if is_text else "whole numbers"
        raise page.unfit((*place, "values"), f"a list of {wanted}", values[0])
    if column["kind"] == "flag" and not {0, 1}.issuperset(values):
        raise page.unfit((*place, "values"), "0 and 1, the values of a flag", list(values))


def _time_pattern(pattern: str) -> str:
    """Return a pattern of ``strptime`` that polars can use, and that tells the day."""
    moment = pl.Series([_A_MOMENT], dtype=DTYPES["time"])
    try:
        written = moment.dt.strftime(pattern)
        read = written.str.to_datetime(pattern, strict=False, time_unit="us").dt.date().item()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        read = None
    if read != _A_MOMENT.date():
        refuse(
            f"{', '.join(TIME_FORMATS)} or a pattern that polars knows and that tells the day, such"
            " as %Y-%m-%d %H:%M:%S",
        )
    return pattern


def _zone(value: Toml) -> str:
    """Return the name of a zone of the IANA database."""
    try:
        return zoneinfo.ZoneInfo(text(value)).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        refuse("a zone of the IANA database, such as Europe/Berlin")


def _values(value: Toml) -> tuple[int, ...] | tuple[str, ...]:
    """Return the known values of a column."""
    if not isinstance(value, list) or not value:
        refuse("a list of values")
    if any(isinstance(one, bool) or not isinstance(one, int | str) for one in value):
        refuse("a list of texts, or of whole numbers")
    if len({type(one) for one in value}) > 1:
        refuse("a list of texts, or of whole numbers, not of both")
    if len(set(value)) < len(value):
        refuse("a list of different values")
    if isinstance(value[0], int) and not all(-(2**63) <= one < 2**63 for one in value):
        refuse("a list of numbers of 64 bits")
    return tuple(value)


def _named(value: Toml) -> dict[str, tuple[str, ...]]:
    """Return canonical name -> names in files, from names in files or from such a table."""
    if isinstance(value, dict) and value:
        return {column_name(name): texts(sources) for name, sources in value.items()}
    if not isinstance(value, list) or not value:
        refuse("a list of names in files, or a table of name = name in files")
    named: dict[str, tuple[str, ...]] = {}
    for source in texts(value):
        try:
            name = column_name(plain_name(source))
        except Unfit:
            refuse(f'a table with a plain name for "{source}"')
        if name in named:
            refuse(f"a table with other names: two of these become {name}")
        named[name] = (source,)
    return named


def _separator(value: Toml) -> str:
    """Return what stands between the names of a set: some characters, no letters or digits."""
    if not isinstance(value, str) or not value or any(one.isalnum() for one in value):
        refuse("a separator of the names in a set, without letters and digits")
    return value


def _meaning(name: str, unit: str) -> str:
    """Return a meaning of a column from its name, for a page that gives none."""
    if name in CANONICAL_MEANINGS:
        return CANONICAL_MEANINGS[name]
    words = name.removesuffix(f"_{unit}") if unit == "s" else name
    is_told = not unit or words.endswith(unit)
    told = " ".join(_WORDS.get(word, word) for word in words.split("_"))
    return f"{told[:1].upper()}{told[1:]}{'' if is_told else f', in {unit}'}."


_READERS: Final[Mapping[str, Reader]] = {
    "kind": one_of(*get_args(Kind)),
    "unit": text,
    "scale": factor,
    "formats": texts,
    "zone": _zone,
    "first_hour": whole(1, 12),
    "separator": _separator,
    "resolution": power_of_ten,
    "role": one_of("feature", "label", "identifier", "ignored"),
    "nullable": yes_or_no,
    "optional": yes_or_no,
    "minimum": number,
    "maximum": number,
    "values": _values,
    "severity": one_of("required", "advisory"),
    "meaning": text,
}
