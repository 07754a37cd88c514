"""Which column of a file that nobody has described has labels, and which values mean normal.

Belongs here: that guess, with its evidence. Does not belong here: labels under a contract
(``tasks.evaluation``).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from expectations.names import fold
from tasks.contracts.column_guess import ColumnGuess
from tasks.contracts.known_names import is_label
from tasks.contracts.sample import Sample
from tasks.intake.label_words import NORMAL_WORDS, fold_value

MOST_VALUES: Final = 100
"""Most different values of a column of labels. A guess; the most known data set has 40."""
VALUE_CHARACTERS: Final = 120
"""Longest value of a label. A guess."""
MOST_LISTED: Final = 6
"""Values with one word that are listed; more are written as a pattern. A guess."""
AGREEING: Final = 0.99
"""Share of the rows of a named kind that must have one value of the label. A guess."""

_NORMAL: Final = (*sorted(NORMAL_WORDS), "legitimate", "legit")
_PERHAPS_NORMAL: Final = ("ok", "good", "clean", "harmless", "regular", "safe", "allowed")
"""Words that mean normal in some columns, and something else in others."""
_BACKGROUND: Final = "background"
_ZEROS: Final = frozenset({"0", "false", "no", "n", "f"})
_ONES: Final = frozenset({"1", "true", "yes", "y", "t"})


@dataclass(frozen=True, kw_only=True)
class LabelGuess:
    """Labels of a file."""

    column: int
    """The place of the label column."""
    names: int | None
    """The place of the column with the attacks' names, if it is another."""
    normal: tuple[str, ...]
    """The values, or a pattern of them, that mean normal; empty if the values do not show it."""
    ignored: tuple[str, ...] = ()
    evidence: str
    looks: tuple[str, ...] = ()
    others: tuple[int, ...] = ()
    """Other columns that may tell the label."""


def guess_labels(sample: Sample, guesses: Sequence[ColumnGuess]) -> LabelGuess | None:
    """Return which column has labels; None if none seems to."""
    has_names = sample.text is None or sample.names == sample.text.header
    counts = {
        guess.place: found
        for guess in guesses
        if guess.kind not in {"time", "address", "interval"}
        and (found := _count(sample, guess)) is not None
        and ((has_names and is_label(guess.name)) or _reads_as_labels(guess, found))
    }
    if not counts:
        return None
    by_name = {place: fold(sample.names[place]) for place in counts}
    known = {place for place, found in counts.items() if any(map(_is_normal, found))}
    pairs = {place for place, found in counts.items() if _is_pair(found)}
    # The label says normal or not; of several, the one with the fewest values.
    column = min(
        counts,
        key=lambda place: (
            place not in known | pairs,
            len(counts[place]) < 2,  # noqa: PLR2004 - one value tells nothing
            len(counts[place]),
            by_name[place] not in {"label", "class"},
            -place,
        ),
    )
    names = max(
        (
            place
            for place in counts
            if place != column and len(counts[place]) >= 2 and place not in pairs  # noqa: PLR2004
        ),
        key=lambda place: len(counts[place]),
        default=None,
    )
    others = tuple(place for place in counts if place not in {column, names})
    return _describe(sample, counts, column, names, others)


def _reads_as_labels(guess: ColumnGuess, values: Mapping[str, int]) -> bool:
    """Return whether a column of texts has a value that means normal, and others."""
    is_text = guess.kind == "category" and len(values) > 1
    return is_text and any(fold_value(value) in NORMAL_WORDS for value in values)


def _count(sample: Sample, guess: ColumnGuess) -> dict[str, int] | None:
    """Return a column's values and their rows; None if it has too many for labels."""
    if guess.different > MOST_VALUES or guess.is_row_number:
        return None
    counts = sample.cells[str(guess.place)].drop_nulls().value_counts(sort=True)
    found = dict(counts.iter_rows())
    return None if any(len(value) > VALUE_CHARACTERS for value in found) else found


def _describe(
    sample: Sample,
    counts: Mapping[int, dict[str, int]],
    column: int,
    names: int | None,
    others: tuple[int, ...],
) -> LabelGuess:
    """Return a label with the values that mean normal."""
    values = counts[column]
    shown = ", ".join(f"{value} {rows:,}" for value, rows in list(values.items())[:12])
    evidence = f"{len(values):,} values: {shown}" if values else "no value in the sample"
    normal = [value for value in values if _is_normal(value)]
    background = [value for value in values if _has_word(value, _BACKGROUND)]
    perhaps = [value for value in values if fold_value(value) in _PERHAPS_NORMAL]
    looks: list[str] = []
    ignored: list[str] = []
    if normal:
        ignored = background
        looks += [f"{_BACKGROUND} means neither normal nor attack here"] if background else []
        if len(normal) == len(values):
            looks.append("the sample has no attack")
    elif _is_pair(values):
        normal, look = _choose_of_pair(sample, counts, column, names)
        looks += [look] if look else []
    elif perhaps and len(values) > len(perhaps):
        normal = perhaps
        looks.append(f"does {' or '.join(map(repr, perhaps))} mean normal?")
    elif background and len(values) > len(background):
        normal = background
        looks.append(
            "no value says normal: is background traffic normal here? Every other value is"
            " read as an attack"
        )
    return LabelGuess(
        column=column,
        names=names,
        normal=_list_values(normal, values),
        ignored=_list_values(ignored, values),
        evidence=evidence,
        looks=tuple(looks),
        others=others,
    )


def _choose_of_pair(
    sample: Sample, counts: Mapping[int, dict[str, int]], column: int, names: int | None
) -> tuple[list[str], str | None]:
    """Return which of two values such as 0 and 1 means normal, and what a person must decide."""
    values = counts[column]
    if names is not None:
        pair = sample.cells.select(label=pl.col(str(column)), name=pl.col(str(names))).drop_nulls()
        said = [value for value in counts[names] if _is_normal(value)]
        found = pair.filter(pl.col("name").is_in(said))["label"].value_counts(sort=True)
        rows = found["count"].to_list()
        if rows and rows[0] >= AGREEING * sum(rows):
            return [str(found["label"][0])], None
    zero = [value for value in values if fold_value(value) in _ZEROS]
    if not zero:
        return [], None
    shown = " and ".join(f"{value} in {rows:,} rows" for value, rows in values.items())
    return zero, f"does {zero[0]} mean normal? The sample has {shown}"


def _is_pair(values: Mapping[str, int]) -> bool:
    """Return whether values are a no and a yes, such as 0 and 1."""
    words = {fold_value(value) for value in values}
    return (
        bool(words) and words <= _ZEROS | _ONES and len(words & _ZEROS) <= 1 >= len(words & _ONES)
    )


def _is_normal(value: str) -> bool:
    """Return whether a value has a word for normal in it, and none that takes it back."""
    return any(_has_word(value, word) for word in _NORMAL) and not re.search(
        r"(?i)\b(not|non|no|ab)[ _-]?(normal|benign)", value
    )


def _has_word(value: str, word: str) -> bool:
    return re.search(rf"(?i)(?<![a-z]){word}(?![a-z])", value) is not None


def _list_values(chosen: Sequence[str], values: Mapping[str, int]) -> tuple[str, ...]:
    """Return values as a page lists them: many with one word as a pattern that no other fits."""
    if len(chosen) <= MOST_LISTED:
        return tuple(chosen)
    for word in (*_NORMAL, _BACKGROUND):
        fitting = [value for value in values if word in value.lower()]
        if set(fitting) == set(chosen):
            return (f"*{word}*",)
    return tuple(chosen)
