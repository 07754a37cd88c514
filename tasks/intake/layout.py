"""The layout of a file: which field is which declared column.

Belongs here: the layout, and its making from the names of a file's columns. Does not belong here:
which names a text has, with or without a header (``tasks.intake.text_layout``), or reading rows.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from expectations.contract import Column, Contract, Form
from expectations.errors import InputRejectedError
from expectations.names import fold
from tasks.intake.fields import name_separator
from tasks.intake.header import call_column, find_columns, name_in_files, show_unknown
from tasks.wording import some_of

ONE_NAME = (
    "Noctule cannot tell which one to read. Give each column its own name; or, if the first of them"
    ' is right, write repeated = "first" under [form] in the contract.'
)
NOT_COUNTED = "case, blanks, dashes, underscores, dots and quotes do not count"
"""How a name may differ from a declared one, for messages."""


@dataclass(frozen=True)
class Layout:
    """Where a file's declared columns are."""

    columns: tuple[Column, ...]
    """The declared columns the file has, in the contract's order."""
    positions: tuple[int, ...]
    """The field, from 0, of each of ``columns``."""
    names: tuple[str, ...]
    """The names of a line's fields, declared or not, in the file's order."""
    extra: tuple[str, ...]
    """Names of the file's other columns, in the file's order."""
    header_line: int
    """Physical line number of the header; 0 if there is none."""
    respelled: tuple[tuple[str, str], ...] = ()
    """(name in the file, declared name) of those of ``columns`` whose name in the file is neither
    their own nor, after ``fold``, one of their sources."""
    separator: str = ","
    """What stands between two fields, as in ``contract.Form``."""
    form: Form = field(default_factory=Form)
    """How the contract's files are written."""
    absent: tuple[Column, ...] = ()
    """The optional features that the file lacks: their values are null in every row."""

    @property
    def width(self) -> int:
        """Fields of every line."""
        return len(self.names)

    @cached_property
    def called(self) -> Mapping[str, str]:
        """How messages call each of ``columns``: with its name in the file where that differs."""
        return {one.name: call_column(one.name, self.names[place]) for one, place in self._placed}

    @property
    def described(self) -> str:
        """The form of the text in words: ``CSV with header``."""
        header = "with header" if self.header_line else "without header"
        if self.separator == ",":
            return f"CSV {header}"
        return f"text separated by {name_separator(self.separator)}, {header}"

    @cached_property
    def place_of(self) -> Mapping[str, int]:
        """The field of each of ``columns``, by each of its names as ``fold`` returns it."""
        return {
            fold(name): place
            for column, place in self._placed
            for name in (column.name, *column.sources, self.names[place])
            if fold(name)
        }

    @cached_property
    def first_number(self) -> int | None:
        """The field of the first column of numbers."""
        return next((at for column, at in self._placed if column.dtype.is_numeric()), None)

    @property
    def _placed(self) -> Iterator[tuple[Column, int]]:
        return zip(self.columns, self.positions, strict=True)


def arrange_columns(
    names: Sequence[str],
    contract: Contract,
    source: Path,
    *,
    header_line: int,
    separator: str = ",",
    is_declared: bool = False,
) -> Layout:
    """Return the layout of a file with these column names; ``fold`` says how names are compared.

    Args:
        names: of the file's columns.
        contract: of its source.
        source: the file, for messages.
        header_line: physical line number of the header; 0 if there is none.
        separator: between two fields of a line.
        is_declared: whether the contract gives the names, so that others may repeat.

    Raises:
        InputRejectedError: a name occurs twice, two names fit one column, or a feature is missing.
    """
    is_first_read = contract.form.repeated == "first"
    repeated = [name for name, times in Counter(names).items() if name and times > 1]
    if repeated and not is_first_read and not is_declared:
        msg = f"Cannot read {source}: more than one column is named {some_of(repeated)}. {ONE_NAME}"
        raise InputRejectedError(msg)
    places = find_columns(names, contract)
    for name, alike in places.items():
        if len(alike) > 1 and not is_first_read:
            msg = (
                f"Cannot read {source}: more than one column may be {name}:"
                f" {some_of([names[place] for place in alike])} ({NOT_COUNTED}). {ONE_NAME}"
            )
            raise InputRejectedError(msg)
    lacking = [column for column in contract.features if column.name not in places]
    missing = [column.name for column in lacking if not column.optional]
    if missing:
        unknown = len(names) - len(places)
        others = f" Not declared: {show_unknown(names, missing, contract)}" if unknown else ""
        wanted = [name_in_files(contract.by_name[name]) for name in missing]
        needed = sum(not column.optional for column in contract.features)
        msg = (
            f"Cannot read {source} as {contract.name}: {needed} feature columns"
            f" are needed, {len(missing)} of them missing: {some_of(wanted)}"
            f" ({NOT_COUNTED}).{others} Add or rename the missing columns and deliver the file"
            " again; none of its rows is stored."
        )
        raise InputRejectedError(msg)
    columns = tuple(column for column in contract.columns if column.name in places)
    positions = tuple(places[column.name][0] for column in columns)
    return Layout(
        columns=columns,
        positions=positions,
        names=tuple(names),
        extra=tuple(
            name or f"(unnamed field {place + 1})"
            for place, name in enumerate(names)
            if place not in positions
        ),
        header_line=header_line,
        respelled=tuple(
            (names[place], column.name)
            for column, place in zip(columns, positions, strict=True)
            if names[place] != column.name and fold(names[place]) not in map(fold, column.sources)
        ),
        separator=separator,
        form=contract.form,
        absent=tuple(lacking),
    )


def add_absent(rows: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Return rows with a column of nulls, behind the others, for each feature that a file lacks."""
    return rows.with_columns(
        pl.lit(None, dtype=column.dtype).alias(column.name) for column in layout.absent
    )
