"""Headers: which line of a text names its columns, and which declared column each name means.

Belongs here: splitting one line, telling names from values, matching names with a contract. Does
not belong here: what the columns of a file are, with a header or without (see
``tasks.intake.layout``).
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from expectations.contract import Contract
from tasks.intake.lines import BYTE_ORDER_MARK
from tasks.wording import some_of

_QUOTED = r'"[^"]*+(?:""[^"]*+)*+"'
_FIELD = re.compile(rf',({_QUOTED}|[^",]*+)')
_LINE = re.compile(rf'(?:,(?:{_QUOTED}|[^",]*+))++')

_UNCOUNTED = re.compile(r"[\s'\"`.#_-]+")
_UNCOUNTED_CATEGORIES = frozenset({"Cf", "Pc", "Pd", "Pf", "Pi"})
"""Categories of Unicode: marks without width, underscores, dashes, opening and closing quotes."""

_NUMBER = re.compile(
    r"[+-]?(?:\d[\d,_]*+(?:\.\d*+)?|\.\d++)(?:e[+-]?\d++)?%?|[+-]?(?:nan|inf(?:inity)?)|0x[0-9a-f]+"
    r"|true|false",
    re.ASCII | re.IGNORECASE,
)
"""The ways in which sensors write a number, readable or not."""
_NOTHING = re.compile(r"[\W_]*|#?n/?a|\\n|null|none|nil", re.IGNORECASE)
"""Marks for a missing value: neither a number nor a name."""

VOTING_LINES = 100
"""Lines whose field counts decide which headerless layout a file has, so that one ragged line does
not decide alone. A guess."""

FEW_WORDS = 4
"""Fewest words in the header of an unknown table. A guess: prose has fewer commas, and tables of
connections have more columns."""

OTHER_SEPARATORS = {
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
"""Other separators of tables. Noctule does not read such a table; its message names the
separator."""

_COMMENT = re.compile(r'\s*(?:#|%|//|--|"?sep=)', re.IGNORECASE)
"""The start of a line that may stand above a header: a comment, or Excel's line ``sep=``."""

FEW_NUMBERS = 10
"""Fewest different numbers that mark a line as numbers of columns. A guess: so many numbers of one
connection always include equal ones."""

ALIKE = 0.8
"""Least similarity, of 1, to suggest a name for a missing one. A guess: one letter of five
differs."""
COMPARED = 100
"""Names that are compared with missing ones. A guess; a pair takes some 30 us."""
SUGGESTED = 3
"""Names that are suggested in one message. A guess."""
HALF_MESSAGE = 90
"""Characters of names in each of the two lists of a message."""


@dataclass(frozen=True)
class Header:
    """The line of a text that names its columns, known or not."""

    line_number: int
    """Physical."""
    names: tuple[str, ...]
    separator: str
    below: str | None
    """The first line above it that is neither blank nor a comment."""


def split_fields(line: str) -> list[str] | None:
    """Split one CSV line by RFC 4180, where a field never contains a line end.

    Returns:
        The fields without their quotes; None if a quote is not closed, or stands inside a field
        that is not quoted as a whole.
    """
    if '"' not in line:
        return line.split(",")
    prefixed = f",{line}"
    if not _LINE.fullmatch(prefixed):
        return None
    return [
        field[1:-1].replace('""', '"') if field.startswith('"') else field
        for field in _FIELD.findall(prefixed)
    ]


def split_names(line: str, separator: str = ",") -> list[str]:
    """Return the fields of a line as column names.

    Quotes that break RFC 4180, or that enclose the whole line, are left out.
    """
    fields = split_fields(line) if separator == "," else None
    if fields is None or len(fields) == 1:
        fields = line.replace('"', "").split(separator)
    return [name.strip() for name in fields]


def join_names(names: Sequence[str]) -> str:
    """Return names as a header that ``split_names`` reads; a line end in one becomes a blank."""
    plain = (" ".join(name.splitlines()) for name in names)
    return ",".join(
        '"{}"'.format(name.replace('"', '""')) if {",", '"'} & set(name) else name for name in plain
    )


def fold(name: str) -> str:
    """Return a name without case, blanks, dashes, underscores, dots and quotes, for comparison."""
    text = name
    if not name.isascii():
        known = unicodedata.normalize("NFKC", name)
        text = "".join(
            one for one in known if unicodedata.category(one) not in _UNCOUNTED_CATEGORIES
        )
    return _UNCOUNTED.sub("", text).casefold()


def find_columns(names: Sequence[str], contract: Contract) -> Mapping[str, list[int]]:
    """Find the declared columns among names.

    Returns:
        Declared name -> the places, from 0, of the names that are equal to it after ``fold``.
        Columns that no name fits are absent.
    """
    declared = {fold(column.name): column.name for column in contract.columns}
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        meant = declared.get(fold(name))
        if meant is not None:
            found.setdefault(meant, []).append(place)
    return found


def call_as_declared(names: Sequence[str], contract: Contract) -> tuple[str, ...]:
    """Return a file's names, with the contract's spelling of declared columns."""
    meant = {
        place: name for name, places in find_columns(names, contract).items() for place in places
    }
    return tuple(meant.get(place, name) for place, name in enumerate(names))


def names_columns(names: Sequence[str], contract: Contract) -> bool:
    """Return whether half of the names are declared, or half as many as there are features."""
    named = sum(map(len, find_columns(names, contract).values()))
    return named > 0 and 2 * named >= min(len(names), len(contract.features))


def is_wordy(fields: Sequence[str], contract: Contract, least: int) -> bool:
    """Return whether a line holds words where connections have numbers.

    Args:
        fields: of the line. If a headerless layout has as many, only the fields of its numeric
            columns count.
        contract: of the source.
        least: fewest words, if all fields count.
    """
    layout = next((names for names in contract.headerless if len(names) == len(fields)), None)
    cells = fields
    if layout is not None:
        pairs = zip(fields, layout, strict=True)
        cells = [cell for cell, name in pairs if not contract.by_name[name].is_categorical]
        least = 1
    numbers = sum(map(is_number, cells))
    words = sum(not is_number(cell) and not _NOTHING.fullmatch(_bare(cell)) for cell in cells)
    return words >= least and words > numbers


def counts_columns(fields: Sequence[str], contract: Contract) -> bool:
    """Return whether a line numbers columns, as pandas does for columns without names.

    Its numbers are whole and all different, in any order; a connection has the same number in many
    columns. Some columns, such as the label, may have names.
    """
    numbers = [_bare(field).removesuffix(".0") for field in fields if is_number(field)]
    is_whole = all(number.isascii() and number.isdigit() for number in numbers)
    all_of_them = len(contract.features)
    least = min(all_of_them, max(FEW_NUMBERS, all_of_them / 2))
    return is_whole and len(set(numbers)) == len(numbers) >= least


def is_number(cell: str) -> bool:
    """Return whether a cell is written as a number."""
    return _NUMBER.fullmatch(_bare(cell)) is not None


def _bare(cell: str) -> str:
    """Return a cell without surrounding blanks and quotes."""
    return cell.strip(" \t'\"")


def show_unknown(names: Sequence[str], missing: Sequence[str], contract: Contract) -> str:
    """Return a file's undeclared names in words, and which missing names they resemble."""
    known = {place for places in find_columns(names, contract).values() for place in places}
    unknown = [name for place, name in enumerate(names) if name and place not in known]
    by_fold = {fold(name): name for name in missing}
    alike = [
        f"{some_of([name], HALF_MESSAGE // SUGGESTED)}: did you mean {by_fold[like]}?"
        for name in unknown[:COMPARED]
        for like in get_close_matches(fold(name), by_fold, 1, ALIKE)
    ]
    return f"{some_of(unknown, HALF_MESSAGE)}. {' '.join(alike[:SUGGESTED])}".rstrip()


def find_header(head: bytes, contract: Contract) -> Header | None:
    """Find the line that names the columns of a text, known or not.

    A line is the header if half of its fields, or half as many as there are features, are declared
    names; if it has words where connections have numbers, and more of them than a piece of a
    damaged line; or if it numbers the columns, as pandas does.
    It stands before the first connection. Comments may stand above it; if most lines have as many
    fields as a headerless layout, so may any line with another number of fields.

    Args:
        head: the first whole lines of the text, as ``read_head`` gives them.
        contract: of the source that the file should come from.
    """
    filled = filled_lines(head)
    layout = vote([line for _, line in filled], contract)
    least = FEW_WORDS if layout is None else (len(contract.features) + 1) // 2
    below = None
    for number, line in filled:
        is_comment = _COMMENT.match(line) is not None
        commas = line.count(",")
        others = [one for one in OTHER_SEPARATORS if not is_comment and line.count(one) > commas]
        for separator in (",", *others):
            names = split_names(line, separator)
            if layout is None:
                may_be = not is_comment and _is_text(line)
            else:
                may_be = not is_comment or len(names) == len(layout)
            if names_columns(names, contract) or (
                may_be and (is_wordy(names, contract, least) or counts_columns(names, contract))
            ):
                return Header(number, tuple(names), separator, below)
        if is_comment:
            continue
        if layout is None or count_fields(line) == len(layout):
            return None
        below = below or line
    return None


def _is_text(line: str) -> bool:
    """Return whether a line is text: it has no NUL, and few characters could not be decoded."""
    return "\0" not in line and 8 * line.count("\ufffd") <= len(line)


def filled_lines(head: bytes) -> list[tuple[int, str]]:
    """Return the first lines that are not blank, and their numbers."""
    text = head.removeprefix(BYTE_ORDER_MARK).decode(errors="replace")
    lines = enumerate((line.removesuffix("\r") for line in text.split("\n")), start=1)
    return [(number, line) for number, line in lines if line][:VOTING_LINES]


def vote(lines: Sequence[str], contract: Contract) -> tuple[str, ...] | None:
    """Return the headerless layout that fits the field counts of most lines; None if none does."""
    known = {len(layout): layout for layout in contract.headerless}
    widths = Counter(map(count_fields, lines))
    return next((known[width] for width, _ in widths.most_common() if width in known), None)


def count_fields(line: str) -> int:
    """Return the number of fields of a line; 0 if it is not CSV."""
    return len(split_fields(line) or ())
