"""Records of JSON lines: one line is one object, whose values become fields with dotted names.

Belongs here: reading one line, and which names the first records of a text have. Does not belong
here: which field is which column, and what a value means (``tasks.intake.json_lines``).

The parser is Python's own: it keeps every digit of a number, reads NaN and Infinity, and shows a
name that occurs twice. orjson does none of these; it takes 1.5 us for an event of Suricata, and
Python's parser 4.8 us.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from expectations.names import fold
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
MEMORISED_NAMES: Final = 10_000
"""Names that are kept in memory with what they mean. A guess, as above."""
_FIRST_LINES: Final = 20
"""Lines by which JSON is recognised. A guess: a cut line must not decide alone."""

_OBJECT: Final = re.compile(rb'\{\s*(?:"|\}|$)')
"""How an object begins."""

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
        what = error.msg.lower().removesuffix(" at")
        message = f"not JSON: {what} at character {error.pos + 1}"
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


def write_value(value: object) -> str | None:
    """Return a value that is no list as text; ValueError says why it has none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            message = "holds half of a surrogate pair, which is no text"
            raise ValueError(message) from None
        return value
    if value is None:
        return None
    message = "holds a list of lists or of objects"
    raise ValueError(message)


def _plain(value: Value) -> Value:
    """Return a value with true and false as texts."""
    return str(value).lower() if isinstance(value, bool) else value


class RecordFilter:
    """Tells the records that count, by ``Form.records``."""

    def __init__(self, records: Mapping[str, str] | None) -> None:
        """Let all records count if ``records`` is None."""
        self._wanted = {fold(name): value for name, value in (records or {}).items()}
        self._folds: dict[str, str] = {}
        self._patterns = [
            (re.compile(rf'"{re.escape(name)}"\s*+:\s*+"([^"\\]*+)"'.encode()), value.encode())
            for name, value in (records or {}).items()
        ]

    def counts(self, fields: Iterable[tuple[str, Value]]) -> bool:
        """Return whether a record counts; of a name that occurs twice the first value decides."""
        if not self._wanted:
            return True
        said: dict[str, Value] = {}
        for name, value in fields:
            if (known := self._fold(name)) in self._wanted:
                said.setdefault(known, value)
        return all(_plain(said.get(name)) == value for name, value in self._wanted.items())

    def may_count(self, raw: bytes) -> bool:
        """Return whether a broken line may count: it does not say that it is of another type."""
        found = ((pattern.search(raw), value) for pattern, value in self._patterns)
        return all(said is None or said[1] == value for said, value in found)

    def _fold(self, name: str) -> str:
        """Return ``fold`` of a name, from memory where it is known."""
        folded = self._folds.get(name)
        if folded is None:
            folded = fold(name)
            if len(self._folds) < MEMORISED_NAMES:
                self._folds[name] = folded
        return folded


def looks_json(head: bytes) -> bool:
    """Return whether a text holds JSON lines: at least half of its first lines begin an object."""
    text = head.removeprefix(BYTE_ORDER_MARK)[: 1 << 16]
    lines = [line for line in map(bytes.strip, text.split(b"\n")) if line][:_FIRST_LINES]
    return bool(lines) and 2 * sum(map(bool, map(_OBJECT.match, lines))) >= len(lines)


@dataclass(frozen=True)
class FirstRecords:
    """The first records of a text of JSON lines."""

    records: tuple[Mapping[str, Value], ...]
    """Dotted name -> value; of a name that occurs twice the first."""
    are_all: bool
    """Whether the text ends with them."""

    def choose(self, records: Mapping[str, str] | None) -> list[Mapping[str, Value]]:
        """Return the records that count."""
        which = RecordFilter(records)
        return [one for one in self.records if which.counts(one.items())]

    def names(self, records: Mapping[str, str] | None) -> tuple[str, ...]:
        """Return the names of those that count, or of all if none does, as they first occur."""
        chosen = self.choose(records) or self.records
        names = dict.fromkeys(name for record in chosen for name in record)
        return tuple(islice(names, MOST_NAMES))


def read_first(pieces: Iterator[bytes]) -> tuple[FirstRecords, Iterator[bytes]]:
    """Read the records in the first ``SAMPLE_BYTES`` of a text; broken lines are passed over.

    Returns:
        The records, and the whole text again.
    """
    read: list[bytes] = []
    size = 0
    for piece in pieces:
        read.append(piece)
        size += len(piece)
        if size > SAMPLE_BYTES:
            break
    text = b"".join(read)
    if size > SAMPLE_BYTES:
        text = text[: text.rfind(b"\n", 0, SAMPLE_BYTES) + 1]
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
    return FirstRecords(tuple(found), size <= SAMPLE_BYTES), chain(read, pieces)


def _is_text(name: str) -> bool:
    """Return whether a name can be written as UTF-8; JSON may hold half of a surrogate pair."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
