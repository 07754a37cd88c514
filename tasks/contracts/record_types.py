"""Records of JSON lines of which nobody has said which are connections.

Belongs here: the first records as texts, and the choice of one type among several. Does not belong
here: reading one line (``tasks.intake.json_records``).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tasks.intake.json_records import BrokenRecordError, Value, read_record

KEYS: Final = ("event_type", "record_type", "event_kind", "type", "_path", "log_type", "kind")
"""Keys by which programs tell the records of a mixed file."""
MOST_TYPES: Final = 30
"""Most values of such a key. A guess: Suricata has some twenty."""
_FLOW_WORDS: Final = ("flow", "netflow", "conn", "connection")

Record = dict[str, str | None]


@dataclass(frozen=True)
class Records:
    """The first records of a file."""

    found: list[Record]
    lists: frozenset[str]
    """Names of which some value is a list."""


def read_records(lines: Iterable[str], most: int) -> Records:
    """Return at most so many records, each as texts by dotted names; other lines are left out."""
    records: list[Record] = []
    lists: set[str] = set()
    for line in lines:
        try:
            fields = read_record(line)
        except BrokenRecordError:
            continue  # ingest quarantines such a line
        record: Record = {}
        for name, value in fields:
            record.setdefault(name, _as_text(value))
            if isinstance(value, list):
                lists.add(name)
        records.append(record)
        if len(records) == most:
            break
    return Records(records, frozenset(lists))


def choose_records(
    records: Sequence[Record],
) -> tuple[dict[str, str] | None, dict[str, int]]:
    """Return which records of a mixed file are connections, and how many there are of each type.

    Returns:
        None and no types where all records have the same names.
    """
    for key in KEYS:
        types = Counter(value for record in records if (value := record.get(key)))
        if not 1 < len(types) <= MOST_TYPES or types.total() < len(records):
            continue
        names: dict[str, set[str]] = {value: set() for value in types}
        for record in records:
            names[record[key] or ""] |= set(record)
        if len(set(map(frozenset, names.values()))) == 1:
            continue  # a column as any other
        named = next((word for word in _FLOW_WORDS if word in types), None)
        return {key: named or types.most_common(1)[0][0]}, dict(types.most_common())
    return None, {}


def keep_records(records: Sequence[Record], chosen: Mapping[str, str] | None) -> list[Record]:
    """Return the records of the chosen type; all if none is chosen."""
    return [
        record
        for record in records
        if all(record.get(key) == value for key, value in (chosen or {}).items())
    ]


def _as_text(value: Value) -> str | None:
    """Return a value of JSON as text; lists as their elements with commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        plain = all(isinstance(one, str | bool) for one in value)
        return ",".join(sorted(str(one) for one in value)) if plain else None
    return value
