"""Headers: the fields of a line as names, and which declared column each name means.

Belongs here: splitting one line, telling names from values, matching names with a contract. Does
not belong here: which line of a file is its header, or what a file without one holds (see
``tasks.layout``).
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from expectations.contract import Contract
from tasks.shown import some_of

_QUOTED = r'"[^"]*+(?:""[^"]*+)*+"'
_FIELD = re.compile(rf',({_QUOTED}|[^",]*+)')
_LINE = re.compile(rf'(?:,(?:{_QUOTED}|[^",]*+))++')

_UNCOUNTED = re.compile(r"[\s'\"`.#_-]+")
_UNCOUNTED_CATEGORIES = frozenset({"Cf", "Pc", "Pd", "Pf", "Pi"})
"""Of Unicode: marks without width, underscores, dashes, opening and closing quotes."""

_NUMBER = re.compile(
    r"[+-]?(?:\d[\d,_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?%?|[+-]?(?:nan|inf(?:inity)?)|0x[0-9a-f]+"
    r"|true|false",
    re.ASCII | re.IGNORECASE,
)
"""What some sensor writes for a number, whether it can be read as one or not."""
_NOTHING = re.compile(r"[\W_]*|#?n/?a|\\n|null|none|nil", re.IGNORECASE)
"""What is written where there is no value: it is neither a number nor a name."""

ALIKE = 0.8
"""How alike a name must be to a missing one to be suggested, of 1. A guess: one letter of five."""
COMPARED = 100
"""Names that are compared with missing ones. A guess; each takes some 30 us a missing name."""
SUGGESTED = 3
"""Names that are suggested in one message. A guess."""
HALF_MESSAGE = 90
"""Characters of a file's names that each of the two lists of a message shows."""


def split_fields(line: str) -> list[str] | None:
    """Split one CSV line by RFC 4180, where a field never contains a line end.

    Returns:
        The fields without their quotes; None where a quote is not closed, or stands inside a field
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


def read_names(line: str, separator: str = ",") -> list[str]:
    """Split a line into what would be column names.

    Quotes that break RFC 4180, or that are around the whole line, are left out.
    """
    fields = split_fields(line) if separator == "," else None
    if fields is None or len(fields) == 1:
        fields = line.replace('"', "").split(separator)
    return [name.strip() for name in fields]


def join_names(names: Sequence[str]) -> str:
    """Write names as the header that ``read_names`` reads; a line end in one becomes a blank."""
    plain = (" ".join(name.splitlines()) for name in names)
    return ",".join(
        '"{}"'.format(name.replace('"', '""')) if {",", '"'} & set(name) else name for name in plain
    )


def fold(name: str) -> str:
    """Return what counts of a name: not its case, blanks, dashes, underscores, dots or quotes."""
    text = name
    if not name.isascii():
        known = unicodedata.normalize("NFKC", name)
        text = "".join(
            one for one in known if unicodedata.category(one) not in _UNCOUNTED_CATEGORIES
        )
    return _UNCOUNTED.sub("", text).casefold()


def find_columns(names: Sequence[str], contract: Contract) -> Mapping[str, list[int]]:
    """Find the declared columns that names mean.

    Returns:
        Declared name -> the places, from 0, of the names that are it but for what ``fold`` leaves
        out; columns without one are absent.
    """
    declared = {fold(column.name): column.name for column in contract.columns}
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        meant = declared.get(fold(name))
        if meant is not None:
            found.setdefault(meant, []).append(place)
    return found


def call_as_declared(names: Sequence[str], contract: Contract) -> tuple[str, ...]:
    """Return a file's names, those of declared columns as the contract has them."""
    meant = {
        place: name for name, places in find_columns(names, contract).items() for place in places
    }
    return tuple(meant.get(place, name) for place, name in enumerate(names))


def names_columns(names: Sequence[str], contract: Contract) -> bool:
    """Tell whether half of some names, or half as many as there are features, are declared."""
    named = sum(map(len, find_columns(names, contract).values()))
    return named > 0 and 2 * named >= min(len(names), len(contract.features))


def is_wordy(fields: Sequence[str], contract: Contract, least: int) -> bool:
    """Tell whether a line holds words where connections have numbers.

    Args:
        fields: of the line. If a headerless layout has as many, those of its columns of numbers
            count; else all of them do.
        contract: the source.
        least: fewest words, where all fields count.
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
    """Tell whether a line numbers columns, from 0 or 1: as pandas writes those without names."""
    numbers = [_bare(field) for field in fields[not _bare(fields[0]) :]] if fields else []
    if len(numbers) < len(contract.features) or numbers[0] not in {"0", "1"}:
        return False
    first = int(numbers[0])
    return numbers == [str(number) for number in range(first, first + len(numbers))]


def is_number(cell: str) -> bool:
    """Tell whether a cell is meant for a number."""
    return _NUMBER.fullmatch(_bare(cell)) is not None


def _bare(cell: str) -> str:
    """Return a cell without the blanks and quotes around it."""
    return cell.strip(" \t'\"")


def show_unknown(names: Sequence[str], missing: Sequence[str], contract: Contract) -> str:
    """List a file's names that are not declared, and the missing ones that some are like."""
    known = {place for places in find_columns(names, contract).values() for place in places}
    unknown = [name for place, name in enumerate(names) if place not in known]
    by_fold = {fold(name): name for name in missing}
    alike = [
        f"{some_of([name], HALF_MESSAGE // SUGGESTED)}: did you mean {by_fold[like]}?"
        for name in unknown[:COMPARED]
        for like in get_close_matches(fold(name), by_fold, 1, ALIKE)
    ]
    return f"{some_of(unknown, HALF_MESSAGE)}. {' '.join(alike[:SUGGESTED])}".rstrip()
