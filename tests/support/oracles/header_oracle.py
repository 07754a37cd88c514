"""An oracle in plain Python for the header of a text: its line, and the columns that it names.

Belongs here: names, and splitting one line into fields. Does not belong here: the values of the
fields (see ``file_oracle``).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from tasks.intake.header import VOTING_LINES
from tasks.intake.lines import LINE_BYTES
from tests.support.sources import NSL_KDD

MARK: Final = b"\xef\xbb\xbf"
FEATURES: Final = NSL_KDD.feature_names
_FEW_WORDS: Final = 4
_COMMENTS: Final = ("#", "%", "//", "--", "sep=", '"sep=')
_NO_VALUE: Final = {"na", "n/a", "#na", "#n/a", "\\n", "null", "none", "nil"}


@dataclass(frozen=True)
class HeaderLine:
    """The line that names the columns, or tries to."""

    index: int
    names: tuple[str, ...]
    is_understood: bool
    """Whether it has comma-separated declared names, and only comments above it."""


def first_lines(head: bytes) -> list[tuple[int, str]]:
    """Return the first lines that are not blank, with their indexes."""
    lines = head.removeprefix(MARK).split(b"\n")
    bare = ((i, line.removesuffix(b"\r").decode(errors="replace")) for i, line in enumerate(lines))
    return [(i, line) for i, line in bare if line][:VOTING_LINES]


def _vote(lines: Sequence[tuple[int, str]]) -> tuple[str, ...] | None:
    """Return the columns of a file without a header, from the most common number of fields."""
    widths = Counter(len(_fields(line) or ()) for _, line in lines)
    known = {len(names): names for names in NSL_KDD.form.orders}
    return next((known[width] for width, _ in widths.most_common() if width in known), None)


def find_header_line(lines: Sequence[tuple[int, str]]) -> HeaderLine | None:
    """Find the line that names columns, up to the first line that may be a row."""
    columns = _vote(lines)
    is_first = True
    for index, line in lines:
        is_comment = line.lstrip().lower().startswith(_COMMENTS)
        for separator in ",;\t| :^~\x01\x1f":
            names = _names(line, separator)
            if separator != "," and (is_comment or line.count(separator) <= line.count(",")):
                continue
            is_named = _names_columns(names)
            least = _FEW_WORDS if columns is None else (len(FEATURES) + 1) // 2
            is_meant = _is_wordy(names, least) or _is_counted(names)
            if is_comment and (columns is None or len(names) != len(columns)):
                is_meant = False
            if columns is None and ("\0" in line or line.count("\ufffd") > len(line) / 8):
                is_meant = False  # it is no text
            if is_named or is_meant:
                is_understood = is_named and separator == "," and is_first
                return HeaderLine(index, tuple(names), is_understood)
        if is_comment:
            continue
        if columns is None or len(_fields(line) or ()) == len(columns):
            return None
        is_first = False
    return None


def _names(line: str, separator: str) -> list[str]:
    """Split a line that may be a header."""
    fields = _fields(line) if separator == "," else None
    if fields is None or len(fields) == 1:
        fields = line.replace('"', "").split(separator)
    return [name.strip() for name in fields]


def plain(name: str) -> str:
    """Return a name in the form in which names are compared."""
    known = unicodedata.normalize("NFKC", name)
    kept = [one for one in known if unicodedata.category(one) not in {"Cf", "Pc", "Pd", "Pf", "Pi"}]
    return "".join(one for one in kept if not one.isspace() and one not in "'\"`.#").casefold()


DECLARED: Final = {plain(name): name for name in NSL_KDD.by_name}


def _names_columns(names: Sequence[str]) -> bool:
    """Tell whether half of the names, or as many as half of the features, are declared."""
    named = sum(plain(name) in DECLARED for name in names)
    return named > 0 and named >= min(len(names), len(FEATURES)) / 2


def _is_wordy(fields: Sequence[str], least: int) -> bool:
    """Tell whether fields that should be numbers are mostly words."""
    for names in NSL_KDD.form.orders:
        if len(names) == len(fields):
            least = 1
            pairs = zip(names, fields, strict=True)
            fields = [cell for name, cell in pairs if NSL_KDD.by_name[name].dtype != pl.String]
            break
    bare = [field.strip(" \t'\"").lower() for field in fields]
    numbers = sum(map(_is_number, bare))
    words = [
        cell
        for cell in bare
        if not _is_number(cell) and cell not in _NO_VALUE and any(map(str.isalnum, cell))
    ]
    return len(words) >= least and len(words) > numbers


def _is_number(bare: str) -> bool:
    """Tell whether a cell looks like a number."""
    if re.fullmatch("[+-]?(nan|inf|infinity)|true|false|0x[0-9a-f]+", bare):
        return True
    whole, point, rest = bare.removesuffix("%").partition(".")
    digits = re.sub("(?<=[0-9,_])[,_]", "", whole) + point + rest
    return re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", digits) is not None


def _is_counted(names: Sequence[str]) -> bool:
    """Tell whether most names are distinct numbers; a few may be words."""
    bare = [name.strip(" \t'\"").lower() for name in names]
    times = Counter(name for name in bare if _is_number(name))
    return times.total() * 2 >= len(FEATURES) and all(
        re.fullmatch(r"[0-9]+(\.0)?", name)
        and count == 1
        and float(name) <= max(len(names), len(FEATURES))
        for name, count in times.items()
    )


def match_names(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return names as they are declared; None if one repeats or a feature is missing."""
    called = tuple(DECLARED.get(plain(name), name) for name in names)
    meant = [name for name in called if name in DECLARED.values()]
    is_twice = any(times > 1 for name, times in Counter(names).items() if name)
    is_unclear = is_twice or len(set(meant)) < len(meant)
    return None if is_unclear or not set(FEATURES) <= set(meant) else called


def find_names(
    lines: Sequence[tuple[int, str]], header: HeaderLine | None
) -> tuple[str, ...] | None:
    """Return the names of the fields; None if they cannot be known."""
    if header is None:
        return _vote(lines)
    return match_names(header.names) if header.is_understood else None


def is_other_header(line: bytes, names: Sequence[str]) -> bool:
    """Tell whether a later line names the columns in another order."""
    fields = [] if len(line) > LINE_BYTES else fields_of(line) or []
    if len(fields) != len(names) or not _names_columns(fields):
        return False
    meant = (DECLARED.get(plain(field)) for field in fields)
    return any(
        name in names and name != here for name, here in zip(meant, names, strict=True) if name
    )


def fields_of(line: bytes) -> list[str] | None:
    """Split a line that may not be UTF-8."""
    try:
        return _fields(line.decode())
    except UnicodeDecodeError:
        return None


def _fields(line: str) -> list[str] | None:
    """Split a line by RFC 4180, one character at a time; None if its quotes are wrong."""
    if '"' not in line:
        return line.split(",")
    fields, cell, state = [], "", "start"
    for character in f"{line},":
        if state == "quoted":
            state = "closed" if character == '"' else state
            cell += "" if character == '"' else character
        elif character == ",":
            fields.append(cell)
            cell, state = "", "start"
        elif character == '"' and state == "start":
            state = "quoted"
        elif character == '"' and state == "closed":
            cell, state = f'{cell}"', "quoted"
        elif character == '"' or state == "closed":
            return None
        else:
            cell, state = cell + character, "plain"
    return fields if state == "start" else None
