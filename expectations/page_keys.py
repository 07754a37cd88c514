"""The keys of a page's tables: which there are, and what the value of each must be.

Belongs here: readers of one value, and reading all keys of a table with them. Does not belong here:
which keys a table has (``expectations.pages``, ``expectations.page_columns``).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn, TypeAlias

from expectations.names import NAME_LENGTH, PLAIN_NAME, RESERVED_COLUMNS
from expectations.page_text import Page, Place, did_you_mean

TEXT_LIMIT: Final = 1_000
"""Longest text in a page, in characters. A guess."""


class Unfit(Exception):  # noqa: N818 - never reaches a user: it becomes a PageError with its place
    """A value is not what its key needs; the message says what that is."""

    def __init__(self, expected: str, inner: Place = (), *found: object) -> None:
        """Take what was expected and, of a part of the value, its keys and what it is."""
        super().__init__(expected)
        self.inner = inner
        self.found = found


Toml: TypeAlias = Any
"""A value as ``tomllib`` gives it."""

Reader = Callable[[Toml], Any]
"""Returns a value of a page in the form that a contract keeps. Raises Unfit."""


def refuse(expected: str, *found: object) -> NoReturn:
    """Raise Unfit; ``found`` is the part of the value that is wrong, if it is not all of it."""
    raise Unfit(expected, (), *found)


def text(value: Toml) -> str:
    """Return a text that is not blank."""
    if not isinstance(value, str) or not value.strip() or len(value) > TEXT_LIMIT:
        refuse(f"a text of at most {TEXT_LIMIT:,} characters")
    return value


def any_text(value: Toml) -> str:
    """Return a text, which may be empty."""
    if not isinstance(value, str) or len(value) > TEXT_LIMIT:
        refuse(f"a text of at most {TEXT_LIMIT:,} characters")
    return value


def texts(value: Toml) -> tuple[str, ...]:
    """Return one text, or a list of different texts, as a tuple."""
    found = value if isinstance(value, list) else [value]
    if not found:
        refuse("a text, or a list of texts")
    seen = set()
    for one in found:
        if not isinstance(one, str) or not one.strip():
            refuse("a text, or a list of texts", one)
        if one in seen:
            refuse("a list of different texts", f"{one} twice")
        seen.add(one)
    return tuple(map(text, found))


def yes_or_no(value: Toml) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        refuse("true or false")
    return value


def number(value: Toml) -> float:
    """Return a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse("a number")
    try:
        is_finite = math.isfinite(value)
    except OverflowError:
        is_finite = False
    if not is_finite:
        refuse("a finite number")
    return value


def factor(value: Toml) -> float:
    """Return a finite number above 0."""
    if number(value) <= 0:
        refuse("a number above 0")
    return float(value)


def power_of_ten(value: Toml) -> float:
    """Return a power of ten, such as 0.001."""
    exponent = math.log10(factor(value))
    if not math.isclose(exponent, round(exponent), abs_tol=1e-9):
        refuse("a power of ten, such as 0.001")
    return float(value)


def whole(least: int, most: int) -> Reader:
    """Return a reader of whole numbers in a range."""

    def read(value: Toml) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            refuse(f"a whole number from {least:,} to {most:,}")
        return value

    return read


def one_of(*words: str) -> Reader:
    """Return a reader of one of some words."""

    def read(value: Toml) -> str:
        if not isinstance(value, str) or value not in words:
            guess = did_you_mean(value, list(words)) if isinstance(value, str) else ""
            refuse(f"one of {', '.join(words)}{guess}")
        return value

    return read


def plain(value: Toml) -> str:
    """Return a plain name."""
    if not isinstance(value, str) or not PLAIN_NAME.fullmatch(value) or len(value) > NAME_LENGTH:
        refuse(
            f"a name of small letters, digits and _, with a letter first and at most {NAME_LENGTH} "
            "characters"
        )
    return value


def column_name(value: Toml) -> str:
    """Return a plain name that is none of our own columns."""
    name = plain(value)
    if name in RESERVED_COLUMNS:
        refuse("another name: Noctule has a column of its own with this one")
    return name


def table(read: Reader) -> Reader:
    """Return a reader of a table with any keys, whose values have one form."""

    def read_table(value: Toml) -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            refuse("a table")
        found = {}
        for key, one in value.items():
            try:
                found[text(key)] = read(one)
            except Unfit as unfit:
                raise Unfit(str(unfit), (key, *unfit.inner), *(unfit.found or (one,))) from None
        return found

    return read_table


def read_keys(
    page: Page, place: Place, content: Toml, readers: Mapping[str, Reader], needed: Iterable[str]
) -> dict[str, Any]:
    """Read all keys of a table.

    Args:
        page: for the place of an error.
        place: of the table.
        content: of the table.
        readers: one for each key that the table may have.
        needed: the keys that it must have.

    Raises:
        PageError: it is no table, has an unknown key, lacks a needed one, or has a wrong value.
    """
    if not isinstance(content, dict):
        raise page.unfit(place, "a table", content)
    found = {}
    for key, value in content.items():
        if key not in readers:
            guess = did_you_mean(key, list(readers)) or f"; the keys are {', '.join(readers)}"
            raise page.error((*place, key), f"there is no such key{guess}")
        found[key] = read_value(page, (*place, key), value, readers[key])
    for key in needed:
        if key not in found:
            raise page.error(place, f"expected the key {key}, found no such key")
    return found


def read_value(page: Page, place: Place, value: Toml, read: Reader) -> Toml:
    """Return a value as a reader gives it, or raise PageError with the place."""
    try:
        return read(value)
    except Unfit as unfit:
        (found,) = unfit.found or (value,)
        raise page.unfit((*place, *unfit.inner), str(unfit), found) from None
