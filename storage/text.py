"""How any text or bytes become text that both databases can hold and a person can read.

Belongs here: escapes, and nothing that knows a table. PostgreSQL has no NUL in text or JSONB and
aborts a whole COPY at the first one; neither database takes the lone surrogates by which Python
carries file names that are not UTF-8. Both are written out in backslash form, so that a stored
text never fails a transaction and never hides what was there.
"""

import json
import re
from typing import Final

NUL: Final = "\0"
ESCAPED_NUL: Final = r"\x00"

_SURROGATE = re.compile("[\ud800-\udfff]")

# Python carries byte b of a name that is not UTF-8 as U+DC00 + b (PEP 383).
_CARRIED_BYTES = range(0xDC80, 0xDD00)

# \u0000 in JSON text is a NUL only after an even number of backslashes.
_JSON_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def storable(text: str) -> str:
    r"""Return the text with NUL and lone surrogates written out, as ``\x00`` and the like."""
    text = text.replace(NUL, ESCAPED_NUL)
    return text if text.isascii() else _SURROGATE.sub(_write_out, text)


def _write_out(surrogate: re.Match[str]) -> str:
    """Write a lone surrogate as the byte it carries, or by its own number."""
    code = ord(surrogate.group())
    return rf"\x{code - 0xDC00:02x}" if code in _CARRIED_BYTES else rf"\u{code:04x}"


def storable_json(text: str) -> str:
    r"""Return JSON text whose strings hold no NUL: ``\u0000`` becomes ``\\x00``."""
    return _JSON_NUL.sub(r"\1\\\\x00", text) if r"\u0000" in text else text


def dump_json(value: object) -> str:
    """Serialise a value as JSON that both databases can hold."""
    text = storable_json(json.dumps(value, ensure_ascii=False))
    if text.isascii():
        return text
    return _SURROGATE.sub(lambda found: "\\" + _write_out(found), text)


def readable(raw: bytes) -> str:
    r"""Return bytes as printable text: what is no UTF-8 or not printable becomes ``\x..``.

    The bytes themselves are stored beside it, so a backslash of the line stays a single one.
    """
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
