"""Read a file's label column whose name or words differ from the contract's.

Belongs here: which of its values mean normal, and the labels that the rows get. Does not belong
here: the choice of the column (``tasks.evaluation.label_columns``), or how labels in the contract's
words are used (``tasks.evaluation.labels``).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
from pydantic import BaseModel

from expectations.contract import Contract
from storage.text import printable
from tasks.intake.label_words import (
    NO_WORDS,
    NORMAL_WORDS,
    attack_word,
    fold_value,
    is_surely_attack,
    name_attack,
    says_which,
)
from tasks.wording import plural

if TYPE_CHECKING:
    from tasks.intake.layout import Layout

VALUES_SHOWN = 4
"""Values of a label column in a message, the most frequent first. A guess: enough to recognise the
column."""

VALUE_CHARACTERS = 20
"""Characters shown of a value, or of a column's name. A guess: longer than any name of NSL-KDD. All
values of a message together stay below the 200 characters that it may repeat of a file."""

VALUES_COUNTED = 1_000
"""Different values of a label column that are counted. A guess: a column with more is no label
column, and counting all of them would take memory without bound."""


class LabelReading(BaseModel, frozen=True):
    """What a user says about the labels of the files."""

    column: str | None = None
    """The name of the label column in the file; None for the columns that the contract declares."""
    normal: tuple[str, ...] = ()
    """Values that mean normal, in addition to ``NORMAL_WORDS``; in any case of letters."""

    @property
    def normal_words(self) -> frozenset[str]:
        """All values that mean normal, as ``fold_value`` writes them."""
        return NORMAL_WORDS.union(map(fold_value, self.normal))


class LabelTally(BaseModel, frozen=True):
    """How a label column was read."""

    column: str
    """Its name in the file."""
    rows_normal: int
    rows_attack: int
    rows_unclear: int
    """Rows whose value means neither; rows without a value are not counted."""
    are_sure: bool
    """Whether every attack row has a word for attack, or the name of a known one. Otherwise the
    user may have meant some of them to be normal."""
    values: tuple[tuple[str, int], ...]
    """The most frequent values, each with its rows."""
    values_more: int
    """How many more values there are, as far as they are counted."""
    unmet: tuple[str, ...]
    """Values that the user declared normal, but that are in no row."""

    @property
    def note(self) -> str:
        """A sentence for readers of figures made from these labels."""
        return (
            f"labels are those of column {shown(self.column)}: {plural(self.rows_normal, 'row')}"
            f" normal, {plural(self.rows_attack, 'row')} attack"
        )

    @property
    def described(self) -> str:
        """The values of the column in words."""
        return describe_values(self.values, self.values_more)


class LabelReader:
    """Reads the label column of one file, a part at a time, into the contract's words.

    The contract's label column then has the contract's word for normal or for attack, and its
    attack column has the attack's name if the file gives one. A value that means neither stays as
    it is: one of ``NO_WORDS``, and, unless the user says which values mean normal, a number or one
    of a pair such as true and false.
    """

    def __init__(self, reading: LabelReading, layout: "Layout", contract: Contract) -> None:
        """Find the label column in a file's layout; see ``arrange_label``."""
        present = {column.name for column in layout.columns}
        self._contract = contract
        self._source = find_source(reading, present, contract)
        self.column = reading.column or self._source
        self._is_named_beside = contract.attack in present - {self._source}
        self._normal = reading.normal_words
        self._given = reading.normal
        self._found: Counter[str] = Counter()
        self._rows: Counter[str | None] = Counter()
        self._attack_word = attack_word(contract)
        self._are_sure = True

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it writes."""
        return _targets(self._contract)

    def read(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return parsed rows of the file with the labels in the contract's words."""
        label, *attack = self.columns
        values = rows[self._source].fill_null("")
        self.count(values)
        written = {label: _replace(values, self._find_word)}
        for name in attack:
            beside = rows[name].fill_null("") if self._is_named_beside else values
            written[name] = _replace(beside, self._find_name)
        read = rows.with_columns(**written)
        declared = [name for name in self._contract.by_name if name in read.columns]
        return read.select(*(one for one in rows.columns if one not in declared), *declared)

    def count(self, values: pl.Series) -> None:
        """Count what the values of the label column mean; a null means nothing."""
        counted = values.fill_null("").value_counts(name="rows").sort(pl.first())
        for value, rows in counted.iter_rows():
            word = self._find_word(value)
            self._rows[word] += rows
            self._are_sure &= word != self._attack_word or is_surely_attack(value, self._contract)
            if value and (value in self._found or len(self._found) < VALUES_COUNTED):
                self._found[value] += rows

    def close(self) -> LabelTally:
        """Return how the column was read."""
        ranked = sorted(self._found.items(), key=lambda one: (-one[1], one[0]))
        words = {fold_value(value) for value in self._found}
        normal, attack = self._rows[self._contract.normal_label], self._rows[self._attack_word]
        return LabelTally(
            column=self.column,
            rows_normal=normal,
            rows_attack=attack,
            rows_unclear=self._rows.total() - self._rows[None] - normal - attack,
            are_sure=self._are_sure,
            values=tuple(ranked[:VALUES_SHOWN]),
            values_more=max(0, len(ranked) - VALUES_SHOWN),
            unmet=tuple(value for value in self._given if fold_value(value) not in words | {""}),
        )

    def _find_word(self, value: str) -> str | None:
        """Return the contract's word for what a value means; the value if it means neither."""
        word = fold_value(value)
        if word in self._normal:
            return self._contract.normal_label
        if not word:
            return None
        is_clear = word not in NO_WORDS and (bool(self._given) or says_which([word]))
        return self._attack_word if is_clear else value

    def _find_name(self, value: str) -> str | None:
        """Return the attack that a value names, or the contract's word for normal."""
        if fold_value(value) in self._normal:
            return self._contract.normal_label
        return name_attack(value, self._contract)


def find_source(reading: LabelReading, present: "set[str]", contract: Contract) -> str:
    """Return the declared name under which the label column is parsed; see ``arrange_label``."""
    label, *attack = _targets(contract)
    if reading.column in attack or (reading.column is None and label not in present):
        return attack[0]
    return label


def arrange_label(layout: "Layout", contract: Contract, reading: LabelReading | None) -> "Layout":
    """Return a layout in which the label column that a reading names is the contract's.

    The layout must have that column; without a reading it stays as it is.
    """
    if reading is None or reading.column is None or reading.column in contract.by_name:
        return layout
    label, *_ = _targets(contract)
    position = dict(zip((one.name for one in layout.columns), layout.positions, strict=True))
    position[label] = layout.names.index(reading.column)
    columns = tuple(column for column in contract.columns if column.name in position)
    return replace(
        layout,
        columns=columns,
        positions=tuple(position[column.name] for column in columns),
        extra=tuple(name for name in layout.extra if name != reading.column),
    )


def describe_values(values: Sequence[tuple[str, int]], more: int) -> str:
    """Return values in words, each with its rows."""
    named = [f"{shown(value)} in {plural(rows, 'row')}" for value, rows in values]
    rest = f" and {plural(more, 'other value')}" if more else ""
    return ", ".join(named) + rest if named else "no value"


def shown(text: str) -> str:
    """Return a name or value of a file, shortened and quoted for a message."""
    return f"'{printable(text, VALUE_CHARACTERS)}'"


def _replace(values: pl.Series, find: Callable[[str], str | None]) -> pl.Series:
    """Return a column with a function's result for each of its values."""
    by = {value: find(value) for value in values.unique()}
    return values.replace_strict(list(by), list(by.values()), return_dtype=pl.String)


def _targets(contract: Contract) -> tuple[str, ...]:
    """Return the contract's label column, and its attack column if it has one."""
    assert contract.label is not None  # noqa: S101 - labels of others are not looked for
    return (contract.label, *((contract.attack,) if contract.attack else ()))
