"""The text of a contract's page: reading it as TOML, and telling where something in it stands.

Belongs here: the limits of a page, its content as dictionaries, and the error that names file, line
and key. Does not belong here: the meaning of a key (``expectations.pages``).
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from expectations.errors import PageError

SIZE_LIMIT: Final = 1_000_000
"""Largest page, in bytes. A guess: 500 times that of NSL-KDD's 41 columns."""
LINE_LIMIT: Final = 10_000
"""Longest line, in characters. Python's reader takes quadratic time for a key of many parts, and a
key stands on one line. A guess: a list of a thousand names fits."""
SHOWN: Final = 60
"""Most characters of a value in a message. A guess."""

Place = tuple[str | int, ...]
"""The keys that lead to a value; the tables of an array are counted from 0."""

_LINE_OF_ERROR = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)")
_TOKEN: Final = re.compile(
    r'(?P<skip>"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|#[^\n]*|[ \t\r]+)'
    r"|(?P<text>\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*')|(?P<bare>[A-Za-z0-9_-]+)|(?P<mark>.|\n)",
    re.DOTALL,
)


class Page:
    """The text of one page and its content."""

    def __init__(self, path: Path, content: bytes) -> None:
        """Read a page as TOML.

        Raises:
            PageError: it is too large, no UTF-8 or no TOML.
        """
        self.path = path
        if len(content) > SIZE_LIMIT:
            raise PageError(path, None, "", f"a page has at most {SIZE_LIMIT:,} bytes")
        try:
            self._text = content.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise PageError(path, line, "", "expected UTF-8") from None
        for number, line_text in enumerate(self._text.split("\n"), start=1):
            if len(line_text) > LINE_LIMIT:
                problem = f"a line has at most {LINE_LIMIT:,} characters; break it after a comma"
                raise PageError(path, number, "", problem)
        try:
            self.content: Mapping[str, Any] = tomllib.loads(self._text)
        except RecursionError:
            raise PageError(path, None, "", "lists or tables are nested too deeply") from None
        except ValueError as error:  # TOMLDecodeError, and numbers with too many digits
            raise self._syntax_error(str(error)) from None

    def error(self, place: Place, problem: str) -> PageError:
        """Return the error that something is wrong at a place."""
        key = ".".join(f"[{one}]" if isinstance(one, int) else one for one in place)
        return PageError(self.path, self._find_line(place), key.replace(".[", "["), problem)

    def unfit(self, place: Place, expected: str, found: object) -> PageError:
        """Return the error that a value is not what was expected."""
        return self.error(place, f"expected {expected}, found {show(found)}")

    def _syntax_error(self, told: str) -> PageError:
        """Return the error of a text that is no TOML, from the words of ``tomllib``."""
        match = _LINE_OF_ERROR.search(told)
        if match is None:
            return PageError(self.path, None, "", f"this is no TOML: {told[:200]}")
        line = int(match[1]) if match[1] else self._text.count("\n") + 1
        return PageError(self.path, line, "", f"this is no TOML: {told[: match.start()]}")

    def _find_line(self, place: Place) -> int | None:
        """Return the line where the longest known part of a place begins; None if none is."""
        lines: dict[Place, int] = {}
        for found, line in _key_lines(self._text):
            for length in range(1, len(found) + 1):
                lines.setdefault(found[:length], line)
        known = (place[:length] for length in range(len(place), 0, -1))
        return next((lines[one] for one in known if one in lines), None)


def show(value: object) -> str:
    """Return a value of a page as a person would write it, shortened."""
    if isinstance(value, str):
        return f'"{value if len(value) <= SHOWN else value[:SHOWN] + "..."}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return str(value)[:SHOWN]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question after the known word that is most like another, or nothing."""
    alike = get_close_matches(word[:SHOWN], list(known), 1)
    return f" (did you mean {alike[0]}?)" if alike else ""


def _key_lines(text: str) -> Iterator[tuple[Place, int]]:
    """Yield each key of a text that is TOML, with the line where it begins.

    Keys of tables within a value are left out: they are on the line of its key, or soon after.
    """
    table: Place = ()
    tables_of: dict[Place, int] = {}
    for key, line in _statements(text):
        if key.startswith("["):
            table = _parts(key.strip("[]"), tables_of)
            if key.startswith("[["):
                tables_of[table] = tables_of.get(table, -1) + 1
                table = (*table, tables_of[table])
            yield table, line
        else:
            yield (*table, *_parts(key, {})), line


def _statements(text: str) -> Iterator[tuple[str, int]]:
    """Yield the key of each statement, or the header of a table with its brackets, and its line."""
    key, begun, line, depth, is_value = "", 1, 1, 0, False
    for match in _TOKEN.finditer(f"{text}\n"):
        mark = match["mark"]
        if mark == "\n" and depth <= 0:
            if key:
                yield key, begun
            key, depth, is_value = "", 0, False
        elif is_value:
            depth += (mark in {"[", "{"}) - (mark in {"]", "}"})
        elif mark == "=":
            is_value = True
        elif not match["skip"]:
            begun = begun if key else line
            key += match[0]
        line += match[0].count("\n")


def _parts(key: str, tables_of: Mapping[Place, int]) -> Place:
    """Return the parts of a dotted key; a part that is an array of tables means its last one."""
    parts: Place = ()
    inner: Any = tomllib.loads(f"{key}=0")
    while isinstance(inner, dict):
        (part,) = inner
        inner = inner[part]
        parts = (*parts, part)
        if parts in tables_of and isinstance(inner, dict):
            parts = (*parts, tables_of[parts])
    return parts
