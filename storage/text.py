"""How any text or bytes become text that both databases can hold and a person can read.

Belongs here: escapes, and nothing that knows a table. PostgreSQL has no NUL in text or JSONB and
aborts a whole COPY at the first one; neither database takes the lone surrogates by which Python
carries file names that are not UTF-8. Both are written out in backslash form, so that a stored
text never fails a transaction and never hides what was there.
"""

import json
import re

NUL = "\0"
ESCAPED_NUL = r"\x00"

# \\u0000 in JSON text is a NUL only after an even number of backslashes.
_JSON_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def storable(text: str) -> str:
    """Return the text with NUL and lone surrogates written out."""
    return (
        text.replace(NUL, ESCAPED_NUL)
        .encode("utf-8", "surrogateescape")
        .decode("utf-8", "backslashreplace")
    )


def storable_json(text: str) -> str:
    r"""Return JSON text whose strings hold no NUL: ``\u0000`` becomes ``\\x00``."""
    if r"\u0000" not in text:
        return text
    return _JSON_NUL.sub(r"\1\\\\x00", text)


def dump_json(value: object) -> str:
    """Serialise a value as JSON that both databases can hold."""
    return storable_json(storable(json.dumps(value, ensure_ascii=False)))


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
