"""Patterns of texts in which ``*`` stands for any characters.

Belongs here: the one matcher of such patterns. Does not belong here: the meaning of what matches.
"""

from typing import Final

ANY: Final = "*"
"""Any characters, or none."""


def matches(pattern: str, text: str) -> bool:
    """Return whether a text fits a pattern as a whole.

    The time is linear in the text, however many ``*`` the pattern has: each piece between two of
    them is found once, as early as possible, which never costs a later piece its place.
    """
    first, *pieces = pattern.split(ANY)
    if not pieces:
        return pattern == text
    last = pieces.pop()
    if not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in pieces:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return place <= end
