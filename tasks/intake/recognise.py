"""Recognition: which contract a delivered file has, told from its beginning.

Belongs here: what contracts find in the beginning of a file, and the choice among them. Does not
belong here: reading the beginning (``tasks.intake.beginnings``), or whether a file fits the chosen
contract in every point (``tasks.intake.layout``).

A contract claims a file that has at least half of its names. A file whose names nobody knows is
claimed by the contracts whose order of columns fits the first lines.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from expectations.contract import Column, Contract
from expectations.errors import InputRejectedError, PageError
from expectations.names import fold
from expectations.pages import read_bytes
from expectations.registry import find_users_page, own_contracts
from tasks.intake.beginnings import Beginning, read_beginning
from tasks.intake.fields import NAMED, name_separator
from tasks.intake.header import is_number, name_in_files
from tasks.wording import plural, some_of

FIT: Final = 1 / 2
"""Least share of lines whose values must be of a column's kind. A guess: half of a file may be
damaged."""
NEAR: Final = 1 / 10
"""Least share of its names by which a contract is called the closest. A guess."""
SHOWN_CANDIDATES: Final = 4
"""Contracts that a message describes. A guess: more would be a page of text."""
SHOWN_NAMES: Final = 90
"""Characters of names in one part of a message."""
SHOWN_PAGES: Final = 2
"""Broken pages of which a message says what is wrong; it names the others. A guess."""

_NUMBERS: Final = frozenset({"number", "count", "ratio", "flag", "port"})
"""Kinds whose values are numbers in every file."""
_TOLD: Final = _NUMBERS | {"address"}
"""Kinds of which the first lines tell whether a column has it: no address is a number."""


@dataclass(frozen=True)
class Candidate:
    """What one contract finds in the beginning of a file."""

    contract: Contract
    has: tuple[str, ...]
    """Declared columns that the file names, or that the order of its fields gives."""
    lacks: tuple[str, ...]
    """Needed features that are not there, by their names in files."""
    misfits: tuple[str, ...]
    """Columns whose first values are mostly of another kind, by their names in files."""
    is_claim: bool
    """Whether the file may be of this contract."""
    share: float
    """Which share of the names by which the contract recognises a file are there, 0..1."""

    @property
    def fits(self) -> bool:
        """Whether all needed features are there, and hold what they must."""
        return self.is_claim and not self.lacks and not self.misfits

    @property
    def described(self) -> str:
        """The contract, and what the file lacks for it, in words."""
        faults = []
        if self.lacks:
            faults.append(f"lacks {some_of(self.lacks, SHOWN_NAMES)}")
        if self.misfits:
            faults.append(f"has values of another kind in {some_of(self.misfits, SHOWN_NAMES)}")
        return f"{self.contract.name} ({'; '.join(faults) or 'lacks nothing'})"


def recognise_contract(
    path: Path, contracts: Mapping[str, Contract], broken: Iterable[PageError] = ()
) -> Contract:
    """Return the contract of a file, from its beginning.

    Args:
        path: of the file.
        contracts: those that it may have, by name.
        broken: what is wrong with the pages that could not be read, for messages.

    Raises:
        InputRejectedError: the file cannot be read, or no contract or several contracts claim it.
    """
    beginning = read_beginning(path)
    candidates = find_candidates(beginning, contracts)
    claims = [one for one in candidates if one.is_claim]
    strict = [one for one in claims if one.fits]
    for chosen in (claims, strict):
        if len(chosen) == 1:
            return chosen[0].contract
    unread = _describe_broken(broken, beginning)
    if claims:
        named = " or ".join(one.described for one in claims[:SHOWN_CANDIDATES])
        more = len(claims) - SHOWN_CANDIDATES
        named += f" or {plural(more, 'other')}" if more > 0 else ""
        message = (
            f"Cannot read {path}: it may be a file of {named}. Say which: --contract"
            f" {claims[0].contract.name}, or the setting NOCTULE_CONTRACT."
            f"{unread and f' {unread[0].upper()}{unread[1:]}'} None of it is stored."
        )
        raise InputRejectedError(message)
    known = some_of([one.contract.name for one in candidates])
    closest = max(candidates, key=lambda one: one.share, default=None)
    near = f" The closest is {closest.described}." if closest and closest.share > NEAR else ""
    message = (
        f"Cannot read {path}: {unread and f'{unread} If it is the page of this file, correct it.'}"
        f"{' Else ' if unread else ''}no contract knows it. {beginning.described}"
        f"{_find_hint(beginning, contracts)} Known contracts: {known or 'none'}.{near} Correct the"
        " names, say which contract it has (--contract NAME, or the setting NOCTULE_CONTRACT), or"
        f" write one for it: noctule contracts draft {path.name}. None of it is stored."
    )
    raise InputRejectedError(message)


def _describe_broken(broken: Iterable[PageError], beginning: Beginning) -> str:
    """Return what is wrong with broken pages, those first that hold most names of the file."""
    pages = list(broken)
    if not pages:
        return ""
    names = {name.strip() for name in beginning.first_names} - {""}

    def count_names(error: PageError) -> int:
        try:
            text = read_bytes(error.path).decode("utf-8", "replace")
        except PageError:
            return 0
        return sum(name in text for name in names)

    pages.sort(key=lambda error: (-count_names(error), error.path.name))
    told = " ".join(map(str, pages[:SHOWN_PAGES]))
    others = [error.path.name for error in pages[SHOWN_PAGES:]]
    more = f" These are broken too: {some_of(others, SHOWN_NAMES)}." if others else ""
    which = "this page is" if len(pages) == 1 else "these pages are"
    return f"{which} broken and cannot be tried: {told}{more}"


def _find_hint(beginning: Beginning, contracts: Mapping[str, Contract]) -> str:
    """Return what may be wrong with a text that no contract claims, a sentence; or nothing.

    The contracts of a user come before ours.
    """
    ours = own_contracts()
    ordered = sorted(contracts.values(), key=lambda one: one.name in ours)
    for contract in ordered if beginning.form == "text" else ():
        text = beginning.lines_for(contract.form)
        if any("\0" in line for line in text.lines):
            return " It holds NUL bytes, which no text does: it may be of another format."
        ways, own = _ways(contract), contract.form.separators
        for separator in NAMED if contract.form.kind == "text" else ():
            if separator not in own and any(
                2 * _share(ways, text.fold(place, separator)) >= 1 for place in text.header_places
            ):
                held = f" It has the names of {contract.name}. Its fields are separated by"
                declared = " or ".join(map(name_separator, own))
                if page := find_users_page(contract.name):
                    return (
                        f"{held} {NAMED[separator]}, and the page says {declared}: correct"
                        f" separators under [form] in {page}."
                    )
                return f"{held} {NAMED[separator]}: deliver it with {declared}."
    return ""


def examine_contracts(path: Path, contracts: Mapping[str, Contract]) -> tuple[Candidate, ...]:
    """Return what each contract finds in the beginning of a file, in the order of ``contracts``.

    Raises:
        InputRejectedError: the file cannot be read.
    """
    return find_candidates(read_beginning(path), contracts)


def find_candidates(
    beginning: Beginning, contracts: Mapping[str, Contract]
) -> tuple[Candidate, ...]:
    """Return what each contract finds in a beginning; orders count if no names are known."""
    found = tuple(_match_names(beginning, contract) for contract in contracts.values())
    if beginning.form != "text":
        return found
    has_claim = any(one.is_claim for one in found)
    return tuple(
        _match_order(beginning, one)
        if not has_claim or (one.is_claim and one.contract.form.header == "ignored")
        else one
        for one in found
    )


def _match_names(beginning: Beginning, contract: Contract) -> Candidate:
    """Return what a contract finds by names: in a header, in keys, or among Parquet's columns."""
    names = beginning.names_for(contract)
    if names is not None:
        if beginning.form == "JSON" and contract.form.kind != "json":
            return _judge(contract, frozenset())
        return _judge(contract, frozenset(map(fold, names)))
    if contract.form.kind != "text":
        return _judge(contract, frozenset())
    text = beginning.lines_for(contract.form)
    best: tuple[float, int, str] | None = None
    ways = _ways(contract)
    for separator in contract.form.separators:
        for place in text.header_places:
            share = _share(ways, text.fold(place, separator))
            if share and (best is None or share > best[0]):
                best = (share, place, separator)
    if best is None:
        return _judge(contract, frozenset())
    _, place, separator = best
    places = text.fold(place, separator)
    rows = [text.split(below, separator) for below in range(place + 1, len(text.lines))]
    by_column = {
        column.name: at
        for column in contract.columns
        for at in (places.get(one) for one in _names_of(column))
        if at is not None
    }
    misfits = _find_misfits(rows, len(text.split(place, separator)), by_column, contract)
    return _judge(contract, frozenset(places), misfits)


def _match_order(beginning: Beginning, named: Candidate) -> Candidate:
    """Return what a contract finds by the number of fields of most lines and by their values.

    ``named`` is what it found by names.
    """
    contract = named.contract
    if contract.form.kind != "text":
        return named
    comment = contract.form.comment
    text = beginning.lines_for(contract.form)
    places = [
        place
        for place, line in enumerate(text.lines)
        if not comment or not line.startswith(comment)
    ]
    orders = {len(order): order for order in contract.form.orders}
    for separator in contract.form.separators if orders else ():
        rows = [text.split(place, separator) for place in places]
        widths = Counter(map(len, rows)).most_common()
        width = next((one for one, _ in widths if one in orders), None)
        if width is None:
            continue
        by_column = {name: at for at, name in enumerate(orders[width]) if name in contract.by_name}
        is_told = any(contract.by_name[name].kind in _TOLD for name in by_column)
        below = [row for row in rows if len(row) == width]
        below = below[1:] or below  # the first may be a header
        if is_told and not _find_misfits(below, width, by_column, contract):
            return _judge(contract, frozenset(map(fold, by_column)), is_claim=True)
    return named


def _judge(
    contract: Contract,
    folded: frozenset[str],
    misfits: tuple[str, ...] = (),
    *,
    is_claim: bool | None = None,
) -> Candidate:
    """Return what a contract finds in a file that has these names, as ``fold`` writes them.

    By default, half of the names by which the contract recognises a file make a claim.
    """
    has = {column.name for column in contract.columns if folded & _names_of(column)}
    needed = [column for column in contract.features if not column.optional]
    share = _share(_ways(contract), folded)
    return Candidate(
        contract,
        has=tuple(name for name in contract.by_name if name in has),
        lacks=tuple(name_in_files(column) for column in needed if column.name not in has),
        misfits=misfits,
        is_claim=2 * share >= 1 if is_claim is None else is_claim,
        share=share,
    )


def _share(ways: Sequence[frozenset[str]], folded: "frozenset[str] | Mapping[str, int]") -> float:
    """Return which share of the names are there, each in one of its ways."""
    return sum(any(way in folded for way in one) for one in ways) / max(1, len(ways))


def _ways(contract: Contract) -> list[frozenset[str]]:
    """Return, for each name by which a contract recognises a file, how it may be written.

    A name of ``match`` stands for itself: other names of its column may be common words, such as
    ``duration``, that many sources have.
    """
    if not contract.match:
        return [_names_of(column) for column in contract.features]
    return [frozenset({fold(name)}) for name in contract.match]


def _names_of(column: Column) -> frozenset[str]:
    """Return the names of a column in files, as ``fold`` writes them."""
    return frozenset(map(fold, (column.name, *column.sources)))


def _find_misfits(
    rows: Sequence[Sequence[str]],
    width: int,
    places: Mapping[str, int],
    contract: Contract,
) -> tuple[str, ...]:
    """Return the columns whose values are of another kind in most rows of the width."""
    whole = [row for row in rows if len(row) == width]
    nothing = {"", *contract.form.nulls}
    misfits = []
    for name, place in places.items():
        column = contract.by_name[name]
        if column.kind in _TOLD and whole:
            are_numbers = column.kind in _NUMBERS
            cells = (row[place] for row in whole)
            right = sum(cell in nothing or is_number(cell) == are_numbers for cell in cells)
            if right < FIT * len(whole):
                misfits.append(name_in_files(column))
    return tuple(misfits)
