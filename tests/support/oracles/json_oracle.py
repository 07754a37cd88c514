"""An oracle in plain Python for JSON lines: which lines are rows, and the fields of each.

Belongs here: from the bytes of a text to its records, parsed character by character. Does not
belong here: what a value means in a column.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_ESCAPES: Final = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
_WORDS: Final = {"true": True, "false": False, "null": None}
_NUMBERS: Final = ("NaN", "Infinity", "-Infinity")


class NotJsonError(Exception):
    """A text is no JSON."""


@dataclass(frozen=True)
class ExpectedRecord:
    """One row of JSON lines."""

    row_number: int
    line_number: int
    raw: bytes
    fields: list[tuple[str, Any]] | None
    """Dotted names with values; None where the line is no object. A number is its text."""


def read_lines(
    content: bytes, records: Mapping[str, str] | None = None
) -> tuple[list[ExpectedRecord], int]:
    """Return the rows of a text, and how many of its lines are blank."""
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not lines[-1]:
        lines.pop()
    rows: list[ExpectedRecord] = []
    blank = 0
    for number, ended in enumerate(lines, start=1):
        line = ended.removesuffix(b"\r")
        if not line:
            blank += 1
            continue
        fields = read_fields(line)
        if fields is not None and any(
            next((held for key, held in fields if key == name), None) != value
            for name, value in (records or {}).items()
        ):
            continue
        rows.append(ExpectedRecord(len(rows) + 1, number, line, fields))
    return rows, blank


def read_fields(line: bytes) -> list[tuple[str, Any]] | None:
    """Return the fields of a line; None if it is no JSON object."""
    try:
        value, end = _value(line.decode() + "\0", 0)
    except (UnicodeDecodeError, NotJsonError):
        return None
    rest = line.decode()[end:]
    if rest.strip(" \t\r\n") or not isinstance(value, dict):
        return None
    return list(_flatten(value["fields"], ""))


def _flatten(fields: list[tuple[str, Any]], before: str) -> Iterator[tuple[str, Any]]:
    for key, value in fields:
        if isinstance(value, dict):
            yield from _flatten(value["fields"], f"{before}{key}.")
        else:
            yield before + key, value


def _value(text: str, at: int) -> tuple[Any, int]:
    """Return the value that begins at a place, and where it ends; an object is its fields."""
    at = _skip(text, at)
    if text[at] == "{":
        return _object(text, at)
    if text[at] == "[":
        return _list(text, at)
    if text[at] == '"':
        return _string(text, at)
    for word, value in _WORDS.items():
        if text.startswith(word, at):
            return value, at + len(word)
    for word in _NUMBERS:
        if text.startswith(word, at):
            return word, at + len(word)
    return _number(text, at)


def _object(text: str, at: int) -> tuple[dict[str, Any], int]:
    fields: list[tuple[str, Any]] = []
    at = _skip(text, at + 1)
    if text[at] == "}":
        return {"fields": fields}, at + 1
    while True:
        at = _skip(text, at)
        if text[at] != '"':
            raise NotJsonError
        key, at = _string(text, at)
        at = _skip(text, at)
        if text[at] != ":":
            raise NotJsonError
        value, at = _value(text, at + 1)
        fields.append((key, value))
        at = _skip(text, at)
        if text[at] == "}":
            return {"fields": fields}, at + 1
        if text[at] != ",":
            raise NotJsonError
        at += 1


def _list(text: str, at: int) -> tuple[list[Any], int]:
    values: list[Any] = []
    at = _skip(text, at + 1)
    if text[at] == "]":
        return values, at + 1
    while True:
        value, at = _value(text, at)
        values.append(value)
        at = _skip(text, at)
        if text[at] == "]":
            return values, at + 1
        if text[at] != ",":
            raise NotJsonError
        at += 1


def _string(text: str, at: int) -> tuple[str, int]:
    made = ""
    at += 1
    while text[at] != '"':
        if text[at] < " ":
            raise NotJsonError
        if text[at] != "\\":
            made += text[at]
            at += 1
        elif text[at + 1] == "u":
            code, at = _unicode(text, at)
            if 0xD800 <= code < 0xDC00 and text[at : at + 2] == "\\u":
                low, after = _unicode(text, at)
                if 0xDC00 <= low < 0xE000:
                    code, at = 0x10000 + ((code - 0xD800) << 10) + low - 0xDC00, after
            made += chr(code)
        elif text[at + 1] in _ESCAPES:
            made += _ESCAPES[text[at + 1]]
            at += 2
        else:
            raise NotJsonError
    return made, at + 1


def _unicode(text: str, at: int) -> tuple[int, int]:
    digits = text[at + 2 : at + 6]
    if len(digits) != 4 or any(one not in "0123456789abcdefABCDEF" for one in digits):
        raise NotJsonError
    return int(digits, 16), at + 6


def _number(text: str, at: int) -> tuple[str, int]:
    start = at
    at += text[at] == "-"
    first = at
    while text[at] in "0123456789":
        at += 1
    if at == first or (text[first] == "0" and at > first + 1):
        if at == first:
            raise NotJsonError
        at = first + 1  # a number has no leading zero: what follows is refused by the caller
    if text[at] == "." and text[at + 1] in "0123456789":
        at += 1
        while text[at] in "0123456789":
            at += 1
    if text[at] in "eE":
        sign = at + 1 + (text[at + 1] in "+-")
        if text[sign] in "0123456789":
            at = sign
            while text[at] in "0123456789":
                at += 1
    return text[start:at], at


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\n\r":
        at += 1
    return at
