"""What a column that nobody has described seems to be, and how its evidence is put in words.

Belongs here: that class, and the words. Does not belong here: the guess itself
(``tasks.contracts.kinds``, ``tasks.contracts.number_kinds``).
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from expectations.contract import Kind

MOST_UNFIT: Final = 0.01
"""Largest share of values that may not be of a column's kind. A guess: such rows go to
quarantine."""
HALF: Final = 0.5
"""A share above it is most of a column."""
FEW_ROWS: Final = 50
"""With fewer rows nothing is said of constant columns, nor of texts that tell rows apart. A
guess."""
EXAMPLE_CHARACTERS: Final = 40
"""Characters of an example. A guess: a time with its zone."""
MOST_FREQUENT: Final = 4
"""Values that evidence shows, the most frequent first. A guess."""


@dataclass(frozen=True, kw_only=True)
class ColumnGuess:
    """What a column seems to be."""

    place: int
    """Its place in the file, from 0."""
    name: str
    """Its name in the file; empty if the file does not name it."""
    kind: Kind = "category"
    evidence: str = "no value in the sample"
    """What the values show, for a comment."""
    unfit: int = 0
    """Values that are not of the kind."""
    rows_null: int = 0
    null_words: tuple[str, ...] = ()
    """The words in it that mean no value."""
    non_finite: int = 0
    """Values that are infinite or NaN."""
    different: int = 0
    """Different values."""
    is_constant: bool = False
    is_row_number: bool = False
    is_unusable: bool = False
    """Whether no kind says what the values are, so that no model should get them."""
    may_be_port: bool = False
    """Whether all values are whole numbers of ports, and many differ."""
    scale: float = 1.0
    unit: str = ""
    formats: tuple[str, ...] = ()
    separator: str | None = None
    """What stands between the names of a set."""
    looks: tuple[str, ...] = ()
    """What a person must look at, a sentence each, without its full stop."""


def share(marks: pl.Series) -> float:
    """Return the share of marked values; 0 if there is none."""
    return int(marks.sum()) / len(marks) if len(marks) else 0.0


def fits(marks: pl.Series) -> bool:
    """Return whether nearly all values are marked."""
    return share(marks) >= 1 - MOST_UNFIT


def count_unmarked(marks: pl.Series) -> int:
    """Return the number of values that are not marked."""
    return len(marks) - int(marks.sum())


def say_marked(marks: pl.Series, what: str, texts: pl.Series) -> str:
    """Return evidence: how many values are so, and one of them."""
    shown = example(texts.filter(marks))
    return f"{int(marks.sum()):,} of {len(marks):,} values {what}, such as {shown}"


def say_values(texts: pl.Series) -> str:
    """Return evidence: how many different values there are, and the most frequent."""
    different = texts.n_unique()
    counts = texts.alias("value").value_counts(sort=True).sort(
        "count", "value", descending=[True, False]
    ).head(MOST_FREQUENT)  # fmt: skip
    shown = ", ".join(f"{shorten(value)} {count:,}" for value, count in counts.iter_rows())
    if different == 1:
        return f"one value: {shown}"
    how = ", most often" if different > MOST_FREQUENT else ":"
    return f"{different:,} different values{how} {shown}"


def example(texts: pl.Series) -> str:
    """Return the first of some texts."""
    return shorten(str(texts[0])) if len(texts) else ""


def shorten(text: str) -> str:
    """Return a text, cut if it is long."""
    return text if len(text) <= EXAMPLE_CHARACTERS else f"{text[:EXAMPLE_CHARACTERS]}..."
