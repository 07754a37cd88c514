"""How any text or bytes become text that both databases can hold and a person can read.

Belongs here: escapes, and nothing that knows a table. PostgreSQL has no NUL in text or JSONB and
aborts a whole COPY at the first one; neither database takes the lone surrogates by which Python
carries file names that are not UTF-8. Both are written out in backslash form, so that a stored
text never fails a transaction and never hides what was there.

What is shown is stricter: a terminal obeys control characters, and bidirectional marks reorder a
line. Whatever prints outside text, or hands it to something that displays it, uses ``printable``.
"""

import json
import re
from typing import Final

NUL: Final = "\0"
ESCAPED_NUL: Final = r"\x00"

SHOWN_CHARACTERS: Final = 2_000
"""Longest text that is shown in one place. A guess: a screenful; SQL and ``--json`` have all."""

_SURROGATE = re.compile("[\ud800-\udfff]")

# Of what JSON leaves as it is, all that could be unprintable.
_NOT_ASCII = re.compile(r"[^\n -~]")

# Python carries byte b of a name that is not UTF-8 as U+DC00 + b (PEP 383).
_CARRIED_BYTES = range(0xDC80, 0xDD00)

# \u0000 in JSON text is a NUL only after an even number of backslashes.
_JSON_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def storable(text: str) -> str:
    r"""Return the text with NUL and lone surrogates written out, as ``\x00`` and the like."""
    text = text.replace(NUL, ESCAPED_NUL)
    return text if text.isascii() else _SURROGATE.sub(lambda found: _write_out(found[0]), text)


def _write_out(character: str) -> str:
    """Write a character in backslash form; a lone surrogate as the byte it carries, if any."""
    code = ord(character)
    if code in _CARRIED_BYTES:
        return rf"\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def storable_json(text: str) -> str:
    r"""Return JSON text whose strings hold no NUL: ``\u0000`` becomes ``\\x00``."""
    return _JSON_NUL.sub(r"\1\\\\x00", text) if r"\u0000" in text else text


def dump_json(value: object) -> str:
    """Serialise a value as JSON that both databases can hold."""
    text = storable_json(json.dumps(value, ensure_ascii=False))
    if text.isascii():
        return text
    return _SURROGATE.sub(lambda found: "\\" + _write_out(found[0]), text)


def printable_json(value: object) -> str:
    """Serialise a value for a pipe or a terminal: indented, and nothing a terminal would obey.

    A JSON escape stands for each character that is not printable, so that a reader gets the text
    itself; a lone surrogate is written out, as it is stored. What JSON has no form for, such as a
    date, becomes its text.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    text = _SURROGATE.sub(lambda found: "\\" + _write_out(found[0]), text)
    return _NOT_ASCII.sub(
        lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text
    )


def printable(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    r"""Return text that is safe to show: on one line, and as it reads.

    Args:
        text: any text. What is not printable (control characters, line ends, bidirectional marks,
            lone surrogates) is written out, as ``\x1b``, ``\n`` or ``\u202e``.
        limit: most characters of it that are kept; of a longer one the rest is ``...``.
    """
    kept = text if len(text) <= limit else text[:limit] + "..."
    if kept.isprintable():
        return kept
    return "".join(one if one.isprintable() else _write_out(one) for one in kept)


def readable(raw: bytes) -> str:
    r"""Return bytes as printable text: what is no UTF-8 or not printable becomes ``\x..``.

    The bytes themselves are stored beside it, so a backslash of the line stays a single one.
    """
    text = raw.decode("utf-8", "backslashreplace")
    return printable(text, limit=len(text))
