"""Records of JSON lines: one line is one object, whose values become fields with dotted names.

Belongs here: reading one line, and which names the first records of a text have. Does not belong
here: which field is which column, and what a value means (``tasks.intake.json_lines``).

The parser is Python's own: it keeps every digit of a number, reads NaN and Infinity, and shows a
name that occurs twice. orjson does none of these; it takes 1.5 us for an event of Suricata, and
Python's parser 4.8 us.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tasks.intake.lines import BYTE_ORDER_MARK

MOST_DEPTH: Final = 8
"""Objects in objects whose fields are read; fields below are not. A guess: Suricata has 3."""
MOST_NAME: Final = 200
"""Most characters of a dotted name; a longer one is not read. A guess, far above any sensor's."""
SAMPLE_BYTES: Final = 2 << 20
"""How much of a text is read to find the names of its fields: 4,000 events of Suricata, which take
40 ms."""
MOST_NAMES: Final = 2_000
"""Most names that a text's first records have together. A guess: a log of Suricata has 300."""
_FIRST_LINES: Final = 20
"""Lines by which JSON is recognised. A guess: a cut line must not decide alone."""

Value = str | bool | list[object] | None
"""What a field holds. Numbers are texts, with the digits of the file."""


class _Object(tuple[tuple[str, object], ...]):
    """The names and values of an object, in the order of the line."""

    __slots__ = ()


class BrokenRecordError(Exception):
    """A line is not one JSON object; the text says why."""


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=str, parse_float=str, parse_constant=str
)


def read_record(line: str) -> list[tuple[str, Value]]:
    """Return the fields of a line, each with its dotted name, in the order of the line.

    A name may occur more than once. A field that holds an object is left out for the fields of that
    object.

    Raises:
        BrokenRecordError: the line is no JSON, or no object.
    """
    try:
        found = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg.lower()} at character {error.pos + 1}"
        raise BrokenRecordError(message) from None
    except RecursionError:
        message = "not read as JSON: its objects or lists are nested too deeply"
        raise BrokenRecordError(message) from None
    if not isinstance(found, _Object):
        message = f"expected a JSON object, found {name_type(found)}"
        raise BrokenRecordError(message)
    return list(_flatten(found, "", 1))


def _flatten(found: _Object, before: str, depth: int) -> Iterator[tuple[str, Value]]:
    """Yield the fields of an object whose names begin with ``before``."""
    for key, value in found:
        name = before + key
        if len(name) > MOST_NAME:
            continue
        if not isinstance(value, _Object):
            yield name, value  # type: ignore[misc]
        elif depth < MOST_DEPTH:
            yield from _flatten(value, f"{name}.", depth + 1)


def name_type(value: object) -> str:
    """Return what a JSON value is, in words. A number is a text here, so the two are not told."""
    if isinstance(value, list):
        return "a list"
    if isinstance(value, tuple):
        return "an object"
    return "a single value"


def counts(record: Mapping[str, Value], records: Mapping[str, str] | None) -> bool:
    """Return whether a record is one of those that ``Form.records`` asks for."""
    return all(record.get(name) == value for name, value in (records or {}).items())


def looks_json(head: bytes) -> bool:
    """Return whether a text holds JSON lines: at least half of its first lines begin an object."""
    text = head.removeprefix(BYTE_ORDER_MARK)[: 1 << 16]
    lines = [line for line in map(bytes.lstrip, text.split(b"\n")) if line][:_FIRST_LINES]
    return bool(lines) and 2 * sum(line.startswith(b"{") for line in lines) >= len(lines)


@dataclass(frozen=True)
class FirstRecords:
    """The first records of a text of JSON lines."""

    records: tuple[Mapping[str, Value], ...]
    """Dotted name -> value; of a name that occurs twice the first."""

    def names(self, records: Mapping[str, str] | None) -> tuple[str, ...]:
        """Return the names of those that count, or of all if none does, as they first occur."""
        chosen = [one for one in self.records if counts(one, records)] or self.records
        names = dict.fromkeys(name for record in chosen for name in record)
        return tuple(islice(names, MOST_NAMES))


def read_first(pieces: Iterator[bytes]) -> FirstRecords:
    """Read the records in the first ``SAMPLE_BYTES`` of a text; broken lines are passed over."""
    read = bytearray()
    is_whole = True
    for piece in pieces:
        read += piece
        if len(read) > SAMPLE_BYTES:
            is_whole = False
            break
    text = bytes(read[: SAMPLE_BYTES if not is_whole else len(read)])
    if not is_whole:
        text = text[: text.rfind(b"\n") + 1]
    lines = text.removeprefix(BYTE_ORDER_MARK).decode(errors="replace").split("\n")
    found = []
    for line in lines:
        try:
            fields = read_record(line)
        except BrokenRecordError:
            continue
        record: dict[str, Value] = {}
        for name, value in fields:
            if _is_text(name):
                record.setdefault(name, value)
        found.append(record)
    return FirstRecords(tuple(found))


def _is_text(name: str) -> bool:
    """Return whether a name can be written as UTF-8; JSON may hold half of a surrogate pair."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
