"""A draft of a contract for a file that nobody has described: every column, named and explained.

Belongs here: what the columns mean together. Does not belong here: the sample
(``tasks.contracts.sample``), the kind of one column (``tasks.contracts.kinds``), labels
(``tasks.contracts.label_guess``), the text of the page (``tasks.contracts.draft_page``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from expectations.contract import IDENTIFIER_KINDS, Kind
from expectations.names import RESERVED_COLUMNS, fold, plain_name
from tasks.contracts.column_guess import ColumnGuess
from tasks.contracts.kinds import find_null_words, guess_column
from tasks.contracts.known_names import CANONICAL, canonical_of, is_label, is_leak, is_row_number
from tasks.contracts.label_guess import LabelGuess, guess_labels
from tasks.contracts.sample import Sample
from tasks.contracts.units import tell_units

KINDS_OF: Final[Mapping[str, frozenset[Kind]]] = {
    "started_at": frozenset({"time"}),
    "duration_s": frozenset({"interval", "number"}),
    "src_ip": frozenset({"address"}),
    "dst_ip": frozenset({"address"}),
    "src_port": frozenset({"port"}),
    "dst_port": frozenset({"port"}),
    "proto": frozenset({"protocol"}),
    "service": frozenset({"category", "set"}),
    "conn_state": frozenset({"category"}),
    "src_bytes": frozenset({"count"}),
    "dst_bytes": frozenset({"count"}),
    "src_packets": frozenset({"count"}),
    "dst_packets": frozenset({"count"}),
    "uid": frozenset({"id"}),
}
"""The kinds that a column of a canonical name may have."""
_COUNTED: Final = frozenset({"src_bytes", "dst_bytes", "src_packets", "dst_packets"})
_MISFITS: Final[Mapping[str, frozenset[Kind]]] = {
    "proto": frozenset({"number", "address", "time"}),
    "service": frozenset({"number", "address", "time"}),
    "conn_state": frozenset({"number", "address", "time", "protocol"}),
    "src_ip": frozenset({"number", "time", "protocol", "interval"}),
    "dst_ip": frozenset({"number", "time", "protocol", "interval"}),
}
"""The kinds that contradict a canonical name."""
FEWEST_MISFITS: Final = 2
MISFIT_SHARE: Final = 1 / 3
"""A header is not the data's if so many of the columns whose names are known hold other things, and
at least two. A guess."""
NAME_CHARACTERS: Final = 50
"""Longest name of a column that is made from one in the file. A guess; databases take 63."""


@dataclass(frozen=True, kw_only=True)
class DraftColumn:
    """A column of a draft."""

    name: str
    """Its name in the contract."""
    guess: ColumnGuess
    reason: str = ""
    """Why it has this name, where it is a canonical one."""
    looks: tuple[str, ...] = ()
    is_declared: bool = True
    """Whether it is read; else it stands in a comment."""
    is_ignored: bool = False
    """Whether it is kept and never used: it may tell the label."""
    is_label: bool = False

    @property
    def is_feature(self) -> bool:
        """Whether a model gets it."""
        is_used = self.is_declared and not self.is_ignored and not self.is_label
        return is_used and self.guess.kind not in IDENTIFIER_KINDS


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a file's contract may be."""

    sample: Sample
    columns: tuple[DraftColumn, ...]
    """In the order of the file."""
    labels: LabelGuess | None
    has_names: bool
    """Whether the columns are named by the header."""
    looks: tuple[str, ...]
    """What a person must look at in the file as a whole."""


def draft_contract(sample: Sample) -> Draft:
    """Return a draft of the contract of a file, from its sample."""
    header = sample.text.header if sample.text else None
    has_names = sample.text is None or sample.names == header
    guesses = _guess_all(sample, has_names=has_names)
    looks = []
    misfits = _find_misfits(guesses) if header and has_names else []
    if misfits:
        looks.append(
            "the header does not seem to be the data's. See what stands below these names: "
            + "; ".join(f"{one.name!r} ({one.evidence})" for one in misfits[:3])
            + ". It is passed over, and the columns are named by their places: give them names"
        )
        sample = replace(
            sample, names=tuple(f"column_{place}" for place in range(1, len(guesses) + 1))
        )
        has_names = False
        guesses = _guess_all(sample, has_names=False)
    elif header is not None and not has_names:
        looks.append(
            f"the header has {len(header)} names and most rows have"
            f" {len(sample.names)} fields: it is passed over, and the columns are named by their"
            " places: give them names"
            if len(header) != len(sample.names)
            else "the header only numbers the columns: give them names in orders"
        )
    elif not has_names:
        looks.append("the file has no header: give the columns names, here and in orders")
    labels = guess_labels(sample, guesses)
    columns = _name_columns(guesses, labels, has_names=has_names)
    if labels is None and not has_names:
        columns = tuple(map(_ask_for_label, columns))
    if labels and not has_names:
        columns = tuple(_leave_out_after(column, labels.column) for column in columns)
    if not any(column.is_feature for column in columns):
        looks.append(
            "no column can be a feature, so a model has nothing to learn from: this page cannot be"
            " read until one is declared"
        )
    if sample.records:
        ((key, value),) = sample.records.items()
        types = ", ".join(f"{one} {rows:,}" for one, rows in sample.record_types.items())
        looks.append(f"are the records with {key} = {value!r} the connections? It has {types}")
    return Draft(
        sample=sample,
        columns=columns,
        labels=labels,
        has_names=has_names,
        looks=tuple(looks),
    )


def _guess_all(sample: Sample, *, has_names: bool) -> list[ColumnGuess]:
    """Return what each column seems to be.

    A word for no value counts in every column, as in the page. Without names, a number behind an
    address is a port.
    """
    guesses: list[ColumnGuess] = []
    nulls = {word for cells in sample.cells for word in find_null_words(cells)}
    for place, name in enumerate(sample.names):
        cells = sample.cells[str(place)]
        guess = guess_column(place, name if has_names else "", cells, nulls)
        guess = replace(guess, name=name)
        if place in sample.lists and guess.different:
            guess = replace(guess, kind="set", separator=",", unit="", formats=(), looks=(),
                            evidence=f"lists, {guess.evidence}")  # fmt: skip
        if place in sample.lengths and guess.different:
            guess = replace(guess, kind="interval", unit="s", scale=1.0, looks=(), formats=())
        is_behind = bool(guesses) and guesses[-1].kind == "address"
        if not has_names and is_behind and guess.kind == "count" and guess.may_be_port:
            look = "a whole number behind an address: is it a port?"
            guess = replace(guess, kind="port", looks=(*guess.looks, look))
        guesses.append(guess)
    return tell_units(sample, guesses)


def _find_misfits(guesses: Sequence[ColumnGuess]) -> list[ColumnGuess]:
    """Return the columns that cannot be what the header says; none if they are few."""
    known = [
        guess
        for guess in guesses
        if guess.different and (canonical_of(guess.name) or is_row_number(guess.name))
    ]
    misfits = [guess for guess in known if _is_misfit(guess)]
    is_other = len(misfits) >= max(FEWEST_MISFITS, MISFIT_SHARE * len(known))
    return misfits if is_other else []


def _is_misfit(guess: ColumnGuess) -> bool:
    """Return whether a column's values contradict its name."""
    canonical, _ = canonical_of(guess.name) or ("", 0)
    if canonical in _COUNTED:
        return guess.kind != "count" and not guess.is_constant
    if canonical == "duration_s":
        return guess.kind not in {"number", "count", "ratio", "interval"}
    if is_row_number(guess.name):
        return guess.kind in {"address", "protocol", "time"}
    return guess.kind in _MISFITS.get(canonical, frozenset())


def _name_columns(
    guesses: Sequence[ColumnGuess], labels: LabelGuess | None, *, has_names: bool
) -> tuple[DraftColumn, ...]:
    """Return the columns with the names they get in the contract."""
    told = {labels.column, labels.names} if labels else set()
    named = _find_canonical(guesses, told)
    if not has_names:
        named |= _name_by_values(guesses, told, named)
    folded = [fold(guess.name) for guess in guesses]
    taken = {name for name, _, _ in named.values()}
    columns = []
    for guess in guesses:
        is_repeated = fold(guess.name) in folded[: guess.place]
        is_unnamed = not guess.name.strip() or not _is_encodable(guess.name)
        name, reason, look = named.get(guess.place, ("", "", ""))
        if not name:
            others = set(folded) - {folded[guess.place]}
            name = _make_name(guess, taken, others)
            taken.add(name)
        column = DraftColumn(
            name=name, guess=guess, reason=reason, looks=(*((look,) if look else ()), *guess.looks)
        )
        if guess.place in told:
            column = replace(column, is_label=True, looks=())
        elif is_repeated:
            column = replace(
                column, is_declared=False, reason="an earlier column has the same name", looks=()
            )
        elif is_unnamed:
            column = replace(column, is_declared=False, reason="it has no name", looks=())
        else:
            column = _decide_use(column, labels)
        columns.append(column)
    return tuple(columns)


def _decide_use(column: DraftColumn, labels: LabelGuess | None) -> DraftColumn:
    """Return a column with what it is used for."""
    guess = column.guess
    is_identifier = guess.kind in IDENTIFIER_KINDS
    if guess.is_row_number:
        return replace(column, is_declared=False, reason="it numbers the rows", looks=())
    if not guess.different or (guess.is_constant and not is_identifier):
        return replace(column, is_declared=False, looks=())
    if is_identifier:
        return column
    look = ""
    if is_label(guess.name) or (labels is not None and guess.place in labels.others):
        look = "it seems to tell the label: a model must not see it"
    elif is_leak(guess.name) and labels is not None:
        look = "it seems to say how the data set was made: it may tell the label"
    if look or guess.is_unusable:
        return replace(column, is_ignored=True, looks=(look,) if look else column.looks)
    return column


def _ask_for_label(column: DraftColumn) -> DraftColumn:
    """Return a column without a name; one of two values has the question whether it is a label."""
    if not column.is_feature or column.guess.different != 2:  # noqa: PLR2004 - normal and attack
        return column
    look = "is it a label? Then delete the line, and add [labels] with this column and normal"
    return replace(column, looks=(*column.looks, look))


def _leave_out_after(column: DraftColumn, label: int) -> DraftColumn:
    """Return a column without a name, ignored if it is a feature behind the label."""
    if not column.is_feature or column.guess.place < label:
        return column
    look = "it stands behind the label, where columns stand that come from labelling"
    return replace(column, is_ignored=True, looks=(*column.looks, look))


def _find_canonical(
    guesses: Sequence[ColumnGuess], told: set[int | None]
) -> dict[int, tuple[str, str, str]]:
    """Return the columns that have a canonical name: place -> name, reason, what to look at."""
    best: dict[str, tuple[int, int]] = {}
    for guess in guesses:
        found = canonical_of(guess.name)
        if found is None or guess.place in told or guess.kind not in KINDS_OF[found[0]]:
            continue
        name, rank = found
        if name not in best or rank < best[name][0]:
            best[name] = (rank, guess.place)
    named = {
        place: (name, "a known name", "")
        for name, (_, place) in best.items()
        if fold(guesses[place].name) not in {fold(one.name) for one in guesses[:place]}
    }
    if "started_at" not in best:
        times = [guess for guess in guesses if guess.kind == "time" and guess.place not in told]
        if times:
            named[times[0].place] = (
                "started_at", "", "is it the time at which a connection started?"
            )  # fmt: skip
    return named


def _name_by_values(
    guesses: Sequence[ColumnGuess],
    told: set[int | None],
    named: Mapping[int, tuple[str, str, str]],
) -> dict[int, tuple[str, str, str]]:
    """Return canonical names that the values of columns without names suggest."""
    found: dict[int, tuple[str, str, str]] = {}
    addresses = [guess.place for guess in guesses if guess.kind == "address"][:2]
    for place, side in zip(addresses, ("src", "dst"), strict=False):
        word = "first" if side == "src" else "second"
        found[place] = (
            f"{side}_ip", "", f"the {word} column of addresses: is it the {_SIDES[side]}?"
        )  # fmt: skip
        behind = place + 1
        if behind < len(guesses) and guesses[behind].kind == "port":
            found[behind] = (f"{side}_port", "", "")
    protocols = [guess.place for guess in guesses if guess.kind == "protocol"]
    for place in protocols[:1]:
        found[place] = ("proto", "its values are names of protocols", "")
    used = {name for name, _, _ in named.values()}
    return {
        place: one
        for place, one in found.items()
        if place not in told and place not in named and one[0] not in used
    }


_SIDES: Final = {"src": "source", "dst": "destination"}


def _make_name(guess: ColumnGuess, taken: set[str], others: set[str]) -> str:
    """Return a name of the contract's form that no other column has, in the file or here."""
    words = plain_name(guess.name)
    if not words:
        words = f"column_{guess.place + 1}"
    base = words[:NAME_CHARACTERS].rstrip("_")
    name, number = base, 2
    while name in taken or name in RESERVED_COLUMNS or name in CANONICAL or fold(name) in others:
        name, number = f"{base}_{number}", number + 1
    return name


def _is_encodable(name: str) -> bool:
    """Return whether a name is text that a page can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
