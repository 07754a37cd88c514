"""Fields: how one line of a text is cut at its separators.

Belongs here: separators, quotes, and the names of separators in messages. Does not belong here:
which separator a file has (``tasks.intake.header``), and what a field means.

A separator is one character, or ``BLANK_RUNS``: any number of blanks, of which those at the ends of
a line separate nothing.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from expectations.contract import Form

BLANK_RUNS: Final = "blanks"
"""The word for any number of blanks and tabs, as in ``contract.Form``."""
_RUN = re.compile(r"[ \t]+")

NAMED: Final = {
    ",": "commas",
    ";": "semicolons",
    "\t": "tabs",
    "|": "vertical bars",
    " ": "blanks",
    ":": "colons",
    "^": "carets",
    "~": "tildes",
    "\x01": "control characters",
    "\x1f": "control characters",
}
"""Usual separators of tables, and their names in messages."""

_CP1252: Final = {
    byte: decoded
    for byte in range(0x80, 0xA0)
    if (decoded := bytes([byte]).decode("cp1252", errors="ignore"))
}
"""The characters in which cp1252 differs from latin-1."""

_QUOTED = r'"[^"]*+(?:""[^"]*+)*+"'


def name_separator(separator: str) -> str:
    """Return a separator's name in a message."""
    return (
        separator if separator == BLANK_RUNS else NAMED.get(separator, f"the character {separator}")
    )


def cut_line(line: str, separator: str) -> list[str]:
    """Return what stands between the separators of a line, where quotes mean nothing."""
    if separator == BLANK_RUNS:
        return _RUN.split(line.strip(" \t"))
    return line.split(separator)


def split_fields(line: str, separator: str = ",", *, has_quotes: bool = True) -> list[str] | None:
    """Split one line by RFC 4180, where a field never contains a line end.

    Args:
        line: without its line end.
        separator: between two fields.
        has_quotes: whether a field may be in quotes; otherwise a quote is a character as any other.

    Returns:
        The fields without their quotes; None if a quote is not closed, or stands inside a field
        that is not quoted.
    """
    if not has_quotes or '"' not in line:
        return cut_line(line, separator)
    whole, field = _patterns(separator)
    prefixed = " " + line.strip(" \t") if separator == BLANK_RUNS else separator + line
    if not whole.fullmatch(prefixed):
        return None
    return [
        one[1:-1].replace('""', '"') if one.startswith('"') else one
        for one in field.findall(prefixed)
    ]


@lru_cache(maxsize=16)
def _patterns(separator: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of a line, and of a field, with a separator before each field."""
    between, other = "[ \t]+", '[^" \t]*+'
    if separator != BLANK_RUNS:
        between, other = re.escape(separator), f'[^"{re.escape(separator)}]*+'
    one = f"{_QUOTED}|{other}"
    return re.compile(f"(?:{between}(?:{one}))++"), re.compile(f"{between}({one})")


def split_names(line: str, separator: str = ",", *, has_quotes: bool = True) -> list[str]:
    """Return the fields of a line as column names.

    Quotes that break RFC 4180, or that enclose the whole line, are left out.
    """
    fields = split_fields(line, separator, has_quotes=has_quotes)
    if fields is None or len(fields) == 1:
        fields = cut_line(line.replace('"', ""), separator)
    return [name.strip() for name in fields]


def join_names(names: Sequence[str], separator: str = ",", *, has_quotes: bool = True) -> str:
    """Return names as a header that ``split_names`` reads; a line end in one becomes a blank.

    Where fields have no quotes, a separator within a name becomes a low line, and with
    ``BLANK_RUNS`` an empty name too: ``tasks.intake.header.fold`` leaves it out.
    """
    between = "\t" if separator == BLANK_RUNS else separator
    is_apart = {'"', " ", "\t"} if separator == BLANK_RUNS else {'"', separator}
    plain = [" ".join(name.splitlines()) for name in names]
    if not has_quotes:
        apart = is_apart - {'"'}
        plain = ["".join("_" if one in apart else one for one in name) for name in plain]
        return between.join(name or ("_" if separator == BLANK_RUNS else "") for name in plain)
    return between.join(
        '"{}"'.format(name.replace('"', '""'))
        if is_apart & set(name) or (separator == BLANK_RUNS and not name)
        else name
        for name in plain
    )


def decode_line(line: bytes, form: Form) -> str:
    """Return a line as text.

    The five bytes that cp1252 leaves open are control characters, as in web pages.

    Raises:
        UnicodeDecodeError: it is not UTF-8, and the contract names no other encoding.
    """
    try:
        return line.decode()
    except UnicodeDecodeError:
        if form.encoding == "utf-8":
            raise
        return decode_other(line, form.encoding)


def show_line(line: bytes, form: Form) -> str:
    """Return a line as text, with a mark in place of what cannot be decoded."""
    try:
        return decode_line(line, form)
    except UnicodeDecodeError:
        return line.decode(errors="replace")


def decode_other(text: bytes, encoding: str) -> str:
    """Return a text that is in latin-1 or cp1252."""
    latin = text.decode("latin-1")
    return latin.translate(_CP1252) if encoding == "cp1252" else latin
