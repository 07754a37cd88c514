"""Patterns of texts in which ``*`` stands for any characters.

Belongs here: the one matcher of such patterns. Does not belong here: the meaning of what matches.
"""

import re
from collections.abc import Callable
from typing import Final

ANY: Final = "*"
"""Any characters, or none."""


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return a predicate that is true for the texts that fit a pattern as a whole.

    Its time is linear in the text, however many ``*`` the pattern has: each piece between two of
    them is found once, as early as possible, which never costs a later piece its place.
    """
    first, *between = pattern.split(ANY)
    if not between:
        return pattern.__eq__
    *pieces, last = between

    def fits(text: str) -> bool:
        if len(text) < len(first) + len(last) or not text.startswith(first):
            return False
        end = len(text) - len(last)
        place = len(first)
        for piece in pieces:
            place = text.find(piece, place, end)
            if place < 0:
                return False
            place += len(piece)
        return text.endswith(last)

    return fits


def matches(pattern: str, text: str) -> bool:
    """Return whether a text fits a pattern as a whole."""
    return compile_pattern(pattern)(text)


def as_regex(pattern: str) -> str:
    """Return the pattern for polars, whose regular expressions take linear time."""
    return rf"(?s)\A{'.*'.join(map(_escape, pattern.split(ANY)))}\z"


def _escape(text: str) -> str:
    """Escape every character that means something in a regular expression of Rust or Python."""
    return (
        re.sub(r"([^\w\s])", r"\\\1", text, flags=re.ASCII) if text.isascii() else re.escape(text)
    )
