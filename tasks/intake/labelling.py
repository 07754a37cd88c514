"""Read a file's label column as a user says, where its name or words differ from the contract's.

Belongs here: the labels that the rows of such a file get, and counting its values. Does not belong
here: what a value means (``label_words``), the choice of the column
(``tasks.evaluation.label_columns``), or labels that the contract declares
(``tasks.evaluation.labels``).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
from pydantic import BaseModel

from expectations.contract import Column, Contract
from storage.text import printable
from tasks.intake.label_words import (
    ATTACK,
    IS_ATTACK,
    LABEL,
    LabelReading,
    LabelWords,
    Meaning,
    fold_value,
    label_columns,
    replace_values,
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
    """Reads the label column of one file, a part at a time, as a user says.

    The rows get two columns of our own: ``_is_attack``, null where a value means neither, and
    ``_attack``, the attack's name where the file gives one. The declared columns stay as they are.
    """

    def __init__(self, reading: LabelReading, layout: "Layout", contract: Contract) -> None:
        """Find the label column in a file's layout; see ``arrange_label``."""
        present = {column.name for column in layout.columns}
        self._source = find_source(reading, present, contract)
        self.column = reading.column or self._source
        is_named_beside = contract.attack in present - {self._source}
        self._names = contract.attack if contract.attack and is_named_beside else self._source
        self._words = LabelWords(contract, reading)
        self._given = reading.normal
        self._found: Counter[str] = Counter()
        self._rows: Counter[Meaning] = Counter()
        self._are_sure = True

    def read(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return parsed rows of the file with what its labels mean."""
        values = rows[self._source].cast(pl.String).fill_null("")
        self.count(values)
        named = rows[self._names].cast(pl.String)
        is_attack = replace_values(values, self._find_truth, pl.Boolean).alias(IS_ATTACK)
        attack = replace_values(named, self._words.name_attack, pl.String).alias(ATTACK)
        read = rows.with_columns(is_attack, attack).with_columns(
            pl.when(IS_ATTACK).then(ATTACK).alias(ATTACK)
        )
        return read.drop(LABEL, strict=False)

    def count(self, values: pl.Series) -> None:
        """Count what the values of the label column mean; a null means nothing."""
        counted = values.fill_null("").value_counts(name="rows").sort(pl.first())
        for value, rows in counted.iter_rows():
            meaning = self._words.find_meaning(value)
            self._rows[meaning] += rows
            self._are_sure &= meaning != "attack" or self._words.is_surely_attack(value)
            if value and (value in self._found or len(self._found) < VALUES_COUNTED):
                self._found[value] += rows

    def close(self) -> LabelTally:
        """Return how the column was read."""
        ranked = sorted(self._found.items(), key=lambda one: (-one[1], one[0]))
        words = {fold_value(value) for value in self._found}
        return LabelTally(
            column=self.column,
            rows_normal=self._rows["normal"],
            rows_attack=self._rows["attack"],
            rows_unclear=self._rows["unclear"],
            are_sure=self._are_sure,
            values=tuple(ranked[:VALUES_SHOWN]),
            values_more=max(0, len(ranked) - VALUES_SHOWN),
            unmet=tuple(
                value
                for value in self._given
                if "*" not in value and fold_value(value) not in words | {""}
            ),
        )

    def _find_truth(self, value: str | None) -> bool | None:
        """Return whether a value means an attack; None if it means neither."""
        return {"normal": False, "attack": True}.get(self._words.find_meaning(value))


def find_source(reading: LabelReading, present: "set[str]", contract: Contract) -> str:
    """Return the column of the rows that holds the labels; see ``arrange_label``."""
    if reading.column is not None:
        return reading.column if reading.column in contract.by_name else LABEL
    found = next((name for name in label_columns(contract) if name in present), None)
    assert found is not None, "the file has labels"  # noqa: S101 - choose_labels has looked
    return found


def arrange_label(layout: "Layout", contract: Contract, reading: LabelReading | None) -> "Layout":
    """Return a layout in which the label column that a reading names is read, as ``_label``.

    The layout must have that column; without a reading, or for a declared column, it stays as it
    is.
    """
    if reading is None or reading.column is None or reading.column in contract.by_name:
        return layout
    column = Column(name=LABEL, kind="category", role="label", nullable=True, meaning="The label.")
    return replace(
        layout,
        columns=(*layout.columns, column),
        positions=(*layout.positions, layout.names.index(reading.column)),
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
