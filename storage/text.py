"""Escapes: any text or bytes become text that both databases can store and a person can read.

Belongs here: escaping. Does not belong here: anything about tables. PostgreSQL refuses NUL in text
and JSONB, and aborts a whole COPY at the first one. Neither database accepts the lone surrogates
that Python uses for file names that are not UTF-8. Both are stored as backslash escapes.

Text that is shown needs more: a terminal obeys control characters, and bidirectional marks reorder
a line. Code that prints text from outside, or passes it to a display, uses ``printable``.
"""

import json
import re
from typing import Final

NUL: Final = "\0"
ESCAPED_NUL: Final = r"\x00"

SHOWN_CHARACTERS: Final = 2_000
"""The longest text shown in one place. A guess: about a screen. SQL and ``--json`` give it all."""

_SURROGATE = re.compile("[\ud800-\udfff]")

# The characters that JSON does not escape and that may be unprintable.
_NOT_ASCII = re.compile(r"[^\n -~]")

# Python represents byte b of a name that is not UTF-8 as U+DC00 + b (PEP 383).
_CARRIED_BYTES = range(0xDC80, 0xDD00)

# \u0000 in JSON text is a NUL only after an even number of backslashes.
_JSON_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def storable(text: str) -> str:
    r"""Return the text with NUL and lone surrogates escaped, such as ``\x00``."""
    text = text.replace(NUL, ESCAPED_NUL)
    return text if text.isascii() else _SURROGATE.sub(lambda found: _write_out(found[0]), text)


def _write_out(character: str) -> str:
    """Return the backslash escape of a character, or of the byte that a lone surrogate means."""
    code = ord(character)
    if code in _CARRIED_BYTES:
        return rf"\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def storable_json(text: str) -> str:
    r"""Return JSON text without NUL in its strings: ``\u0000`` becomes ``\\x00``."""
    return _JSON_NUL.sub(r"\1\\\\x00", text) if r"\u0000" in text else text


def dump_json(value: object) -> str:
    """Serialise a value as JSON that both databases can store."""
    text = storable_json(json.dumps(value, ensure_ascii=False))
    if text.isascii():
        return text
    return _SURROGATE.sub(lambda found: "\\" + _write_out(found[0]), text)


def printable_json(value: object) -> str:
    """Serialise a value as indented JSON that is safe to show on a terminal.

    Unprintable characters become JSON escapes, so a JSON parser returns the same text; lone
    surrogates are escaped as they are stored. Values that JSON cannot hold, such as a date, become
    text.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    text = _SURROGATE.sub(lambda found: "\\" + _write_out(found[0]), text)
    return _NOT_ASCII.sub(
        lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text
    )


def printable(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    r"""Return text that is safe to show, on one line.

    Unprintable characters (control characters, line ends, bidirectional marks, lone surrogates) are
    escaped, such as ``\x1b``, ``\n`` or ``\u202e``. At most ``limit`` characters are kept; ``...``
    replaces the rest.
    """
    kept = text if len(text) <= limit else text[:limit] + "..."
    if kept.isprintable():
        return kept
    return "".join(one if one.isprintable() else _write_out(one) for one in kept)


def readable(raw: bytes) -> str:
    r"""Return bytes as printable text; bytes that are not UTF-8 or not printable become ``\x..``.

    The bytes themselves are stored too, so a backslash of the line is not doubled.
    """
    text = raw.decode("utf-8", "backslashreplace")
    return printable(text, limit=len(text))
