"""Headers: which line of a text names its columns, and which declared column each name means.

Belongs here: telling names from values, matching names with a contract, and the separator of the
first lines. Does not belong here: cutting a line (``tasks.intake.fields``), or what the columns of
a file are, with a header or without (``tasks.intake.layout``).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from expectations.contract import Column, Contract, Form
from expectations.names import fold
from storage.text import printable
from tasks.intake.fields import BLANK_RUNS, NAMED, cut_line, show_line, split_fields, split_names
from tasks.intake.lines import BYTE_ORDER_MARK
from tasks.wording import some_of

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
"""Fewest words in the header of an unknown table. A guess: prose has fewer separators, and tables
of connections have more columns."""

_COMMENT = re.compile(r'\s*(?:#|%|//|--|"?sep=)', re.IGNORECASE)
"""The start of a line that may stand above a header: a comment, or Excel's line ``sep=``."""

FEW_NUMBERS = 10
"""Fewest different numbers, none above the number of columns, that mark a line as their numbers in
any order. A guess: so many such numbers of one connection include equal ones. Fewer numbers mark it
only if they count the fields."""

ALIKE = 0.8
"""Least similarity, of 1, to suggest a name for a missing one. A guess: one letter of five
differs."""
COMPARED = 100
"""Names that are compared with missing ones. A guess; a pair takes some 30 us."""
SUGGESTED = 3
"""Names that are suggested in one message. A guess."""
NAME_CHARACTERS = 30
"""Characters of a name of a file beside the declared one in a reason. A guess."""
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


@dataclass(frozen=True)
class Order:
    """The columns of a file whose header does not name them."""

    names: tuple[str, ...]
    separator: str


def name_in_files(column: Column) -> str:
    """Return the name that a column has in files, for a message that asks for it."""
    return column.sources[0] if column.sources else column.name


def call_column(name: str, held: str) -> str:
    """Return how a reason calls a column: with its name in the file where that differs."""
    if fold(held) in {fold(name), ""}:
        return name
    return f"{name} ({printable(held, NAME_CHARACTERS)})"


def call_columns(names: Sequence[str], contract: Contract) -> Mapping[str, str]:
    """Return how reasons call the declared columns among a file's names, by declared name."""
    places = find_columns(names, contract)
    return {name: call_column(name, names[places[name][0]]) for name in places}


def find_columns(names: Sequence[str], contract: Contract) -> Mapping[str, list[int]]:
    """Find the declared columns among names.

    Returns:
        Declared name -> the places, from 0, of the names that are equal, after ``fold``, to the
        first of the column's names that any name of the file is equal to: its sources in their
        order, then its own name. Columns that no name fits are absent.
    """
    known = {
        fold(source): (column.name, rank)
        for column in contract.columns
        for rank, source in reversed(list(enumerate(column.sources)))
    }
    for column in contract.columns:
        known.setdefault(fold(column.name), (column.name, len(column.sources)))
    found: dict[str, tuple[int, list[int]]] = {}
    for place, name in enumerate(names):
        if (key := known.get(fold(name))) is None:
            continue
        meant, rank = key
        best, places = found.get(meant, (rank, []))
        if rank < best:
            best, places = rank, []
        if rank == best:
            places.append(place)
        found[meant] = best, places
    return {meant: places for meant, (_, places) in found.items()}


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
        fields: of the line. If one of the contract's orders has as many, only the fields of its
            columns of numbers count.
        contract: of the source.
        least: fewest words, if all fields count.
    """
    order = next((names for names in contract.form.orders if len(names) == len(fields)), None)
    cells = fields
    if order is not None:
        places = find_columns(order, contract)
        numeric = {
            place
            for name, at in places.items()
            if contract.by_name[name].dtype.is_numeric()
            for place in at
        }
        cells = [cell for place, cell in enumerate(fields) if place in numeric]
        least = 1
    numbers = sum(map(is_number, cells))
    words = sum(not is_number(cell) and not is_nothing(cell) for cell in cells)
    return words >= least and words > numbers


def counts_columns(fields: Sequence[str], contract: Contract) -> bool:
    """Return whether a line numbers columns, as pandas does for columns without names.

    Its numbers are whole, all different and in any order; a connection has the same number in many
    columns. Some columns, such as the label, may have names. A line of few fields must have the
    numbers from 0 or 1 on in their order.
    """
    numbers = [_bare(field).removesuffix(".0") for field in fields if is_number(field)]
    if not all(number.isascii() and number.isdigit() for number in numbers):
        return False
    if len(numbers) >= max(FEW_NUMBERS, len(contract.features) / 2):
        most = max(len(fields), len(contract.features))
        return len(set(numbers)) == len(numbers) and all(
            len(number) <= len(str(most)) and int(number) <= most for number in numbers
        )
    counted = [[str(first + at) for at in range(len(fields))] for first in (0, 1)]
    least = max(FEW_WORDS, len(contract.features) / 2)
    return len(fields) >= least and numbers in counted


def is_number(cell: str) -> bool:
    """Return whether a cell is written as a number."""
    return _NUMBER.fullmatch(_bare(cell)) is not None


def is_nothing(cell: str) -> bool:
    """Return whether a cell is empty, or a usual mark for a missing value."""
    return _NOTHING.fullmatch(_bare(cell)) is not None


def _bare(cell: str) -> str:
    """Return a cell without surrounding blanks and quotes."""
    return cell.strip(" \t'\"")


def show_unknown(names: Sequence[str], missing: Sequence[str], contract: Contract) -> str:
    """Return a file's undeclared names in words, and which missing names they resemble."""
    known = {place for places in find_columns(names, contract).values() for place in places}
    unknown = [name for place, name in enumerate(names) if name and place not in known]
    by_fold = {
        fold(one): name for name in missing for one in (name, *contract.by_name[name].sources)
    }
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
    fields as one of the contract's orders, so may any line with another number of fields.

    Args:
        head: the first whole lines of the text, as ``read_head`` gives them.
        contract: of the source that the file should come from.
    """
    form = contract.form
    filled = filled_lines(head, form)
    order = vote([line for _, line in filled], contract)
    least = FEW_WORDS if order is None else (len(contract.features) + 1) // 2
    below = None
    for number, line in filled:
        is_remark = is_comment(line, form)
        may_be = not is_remark
        if order is None:
            may_be &= _is_text(line)
        is_whole = order is not None and count_fields(line, order.separator, form) == len(
            order.names
        )
        for separator in _possible_separators(line, form, is_cut=is_remark or is_whole):
            names = split_names(line, separator, has_quotes=form.has_quotes)
            is_meant = may_be or (order is not None and len(names) == len(order.names))
            if names_columns(names, contract) or (
                is_meant and (is_wordy(names, contract, least) or counts_columns(names, contract))
            ):
                return Header(number, tuple(names), separator, below)
        if is_remark:
            continue
        if order is None or is_whole:
            return None
        below = below or line
    return None


def is_comment(line: str, form: Form) -> bool:
    """Return whether a line is a comment, by the contract or by its usual beginning."""
    is_declared = form.comment is not None and line.startswith(form.comment)
    return is_declared or _COMMENT.match(line) is not None


def _possible_separators(line: str, form: Form, *, is_cut: bool) -> list[str]:
    """Return the separators that a header may have: the contract's, then those of other tables.

    Those that occur more often come first. Others count only where they occur at least as often as
    any of the contract's, and not if ``is_cut``: the line is a comment, or one of the contract's
    cuts it into as many fields as the rows have.
    """
    times = {one: len(cut_line(line, one)) for one in form.separators}
    declared = sorted(times, key=lambda one: -times[one])
    if is_cut:
        return declared
    covered = {*times, *((" ", "\t") if BLANK_RUNS in times else ())}
    most = max(times.values())
    return [*declared, *(one for one in NAMED if one not in covered and line.count(one) >= most)]


def _is_text(line: str) -> bool:
    """Return whether a line is text: it has no NUL, and few characters could not be decoded."""
    return "\0" not in line and 8 * line.count("\ufffd") <= len(line)


def filled_lines(head: bytes, form: Form) -> list[tuple[int, str]]:
    """Return the first lines that are not blank, and their numbers.

    Declared comments are among them, and do not count to their number.
    """
    found = []
    left = VOTING_LINES
    for number, raw in enumerate(head.removeprefix(BYTE_ORDER_MARK).split(b"\n"), start=1):
        line = raw.removesuffix(b"\r")
        if not line:
            continue
        found.append((number, show_line(line, form)))
        left -= not (form.comment is not None and line.startswith(form.comment.encode()))
        if not left:
            break
    return found


def vote(lines: Sequence[str], contract: Contract) -> Order | None:
    """Return the one of the contract's orders that fits most lines; None if none does."""
    form = contract.form
    known = {len(order): order for order in form.orders}
    widths = Counter(
        (separator, count_fields(line, separator, form))
        for separator in form.separators
        for line in lines
    )
    return next(
        (
            Order(known[width], separator)
            for (separator, width), _ in widths.most_common()
            if width in known
        ),
        None,
    )


def count_fields(line: str, separator: str, form: Form) -> int:
    """Return the number of fields of a line; 0 if its quotes break RFC 4180."""
    return len(split_fields(line, separator, has_quotes=form.has_quotes) or ())
