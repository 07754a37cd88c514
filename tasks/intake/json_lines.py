"""JSON lines as rows: which line is a row, which field is which column, and which line is broken.

Belongs here: the layout of a text of JSON lines, the numbers of its rows, and the parsing of one
block. Does not belong here: reading one line (``tasks.intake.json_records``), and what a cell means
(``tasks.intake.cells``).

A field that a record lacks is a null: sensors leave out what they do not know. So a column that may
be null is never absent, and only other needed columns must be among the first records. A record of
another type than ``Form.records`` asks for is no row; a broken line is one, unless it says itself
that it is of another type.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from expectations.contract import Column, Contract, Form
from expectations.errors import InputRejectedError
from expectations.names import fold
from tasks.intake.cells import cast_cells
from tasks.intake.faults import find_bad_cells
from tasks.intake.fields import decode_line
from tasks.intake.header import find_columns, name_in_files
from tasks.intake.json_records import (
    MEMORISED_NAMES,
    BrokenRecordError,
    FirstRecords,
    RecordFilter,
    Value,
    read_record,
    write_value,
)
from tasks.intake.layout import Layout, arrange_columns
from tasks.intake.lines import describe_long_line
from tasks.intake.numbered_lines import NumberedLines, Place, number_block
from tasks.intake.parts import ParsedRows
from tasks.intake.quarantine import list_unparsed
from tasks.wording import some_of


def recognise_fields(first: FirstRecords, contract: Contract, source: Path) -> Layout:
    """Return the layout of JSON lines; ``first`` holds the first records.

    Its names are those of the first records, each column once, and then of the columns that these
    lack and that may be null.

    Raises:
        InputRejectedError: there is no record, or a column that must not be null is in none.
    """
    if not first.records:
        message = (
            f"Cannot read {source} as {contract.name}: none of its first lines is a JSON object."
            " Expected one object on each line."
        )
        raise InputRejectedError(message)
    names = first.names(contract.form.records)
    found = {column: places[0] for column, places in find_columns(names, contract).items()}
    known = {fold(name) for column in contract.columns for name in (column.name, *column.sources)}
    given = [
        name
        for place, name in enumerate(names)
        if place in found.values() or fold(name) not in known
    ]
    labels = {contract.label, contract.attack}
    unsaid = [
        name_in_files(column)
        for column in contract.columns
        if column.nullable and column.name not in {*found, *labels}
    ]
    return arrange_columns([*given, *unsaid], contract, source, header_line=0)


@dataclass(frozen=True)
class _Line:
    """A row of JSON lines."""

    index: int
    """In its block."""
    fields: Sequence[tuple[str, Value]]
    fault: str | None
    """Why it has no fields."""


class RecordReader:
    """Reads blocks of JSON lines of one file."""

    def __init__(self, form: Form, line_bytes: int, layout: Layout | None = None) -> None:
        """Read lines of at most ``line_bytes``; without a layout they can only be numbered."""
        self._form = form
        self._line_bytes = line_bytes
        self._columns = layout.columns if layout else ()
        self._layout = layout
        self._meant = _find_names(layout) if layout else {}
        self._memory: dict[str, tuple[int, int] | None] = {}
        self._filter = RecordFilter(form.records)

    def number(self, block: bytes, place: Place) -> NumberedLines:
        """Return which lines of a block are rows, and their numbers; ``place`` is its beginning."""
        numbered = number_block(block, place, self._form)
        if self._form.records is None:
            return numbered
        return _keep(numbered, place, [line.index for line in self._read(numbered)])

    def parse(self, block: bytes, place: Place) -> tuple[ParsedRows, Place]:
        """Return the rows of a block, parsed or not, and where the next block begins."""
        numbered = number_block(block, place, self._form)
        cells: list[list[str | None]] = []
        at: list[int] = []
        reasons: dict[int, list[str]] = {}
        for line in self._read(numbered):
            faults = [line.fault] if line.fault else []
            row = [] if faults else self._find_cells(line.fields, faults)
            at.append(line.index)
            if faults:
                reasons[line.index] = faults
            else:
                cells.append(row)
        numbered = _keep(numbered, place, at)
        good = np.array([index for index in at if index not in reasons], np.int64)
        by_column = list(zip(*cells, strict=True)) or [()] * len(self._columns)
        frame = pl.DataFrame(
            [
                pl.Series(column.name, values, dtype=pl.String)
                for column, values in zip(self._columns, by_column, strict=True)
            ]
        )
        return self._cast(frame, good, numbered, reasons), numbered.next

    def _cast(
        self,
        cells: pl.DataFrame,
        good: "np.ndarray[tuple[int], np.dtype[np.int64]]",
        numbered: NumberedLines,
        reasons: dict[int, list[str]],
    ) -> ParsedRows:
        """Cast the cells of the lines ``good``; those that do not fit have reasons too."""
        assert self._layout is not None  # noqa: S101 - our own mistake: it is needed to parse
        values = cast_cells(cells, self._columns, self._form, "the file")
        bad = find_bad_cells(cells, values, self._layout)
        reasons |= {int(good[row]): words for row, words in bad.items()}
        is_good = np.ones(len(good), bool)
        is_good[list(bad)] = False
        rows, lines = numbered.row_numbers, numbered.line_numbers
        kept = good[is_good]
        numbers = {"row_number": rows[kept], "line_number": lines[kept]}
        parsed = pl.DataFrame(numbers, schema=dict.fromkeys(numbers, pl.Int64))
        left = sorted(reasons)
        text, starts, ends = numbered.lines.text, numbered.lines.starts, numbered.lines.ends
        unparsed = list_unparsed(
            rows[left],
            lines[left],
            [reasons[index] for index in left],
            [text[starts[index] : ends[index]] for index in left],
        )
        return ParsedRows(
            parsed.hstack(values.filter(is_good)),
            unparsed,
            numbered.blank_lines,
            numbered.unread_lines,
        )

    def _read(self, numbered: NumberedLines) -> Iterator[_Line]:
        """Yield the lines of a block that are rows."""
        lines = numbered.lines
        for index in np.flatnonzero(numbered.is_row).tolist():
            raw = lines.text[lines.starts[index] : lines.ends[index]]
            fields, fault = self._read_line(raw)
            if self._filter.may_count(raw) if fault else self._filter.counts(fields):
                yield _Line(index, fields, fault)

    def _read_line(self, raw: bytes) -> tuple[Sequence[tuple[str, Value]], str | None]:
        """Return the fields of a line, or why it has none."""
        if len(raw) > self._line_bytes:
            return (), describe_long_line(self._line_bytes)
        try:
            return read_record(decode_line(raw, self._form)), None
        except UnicodeDecodeError as error:
            return (), f"byte {error.start + 1} (0x{raw[error.start]:02x}) is not UTF-8"
        except BrokenRecordError as error:
            return (), str(error)

    def _find_cells(
        self, fields: Sequence[tuple[str, Value]], faults: list[str]
    ) -> list[str | None]:
        """Return a record's cells in the layout's columns, and add what is wrong to ``faults``."""
        chosen: dict[int, tuple[int, list[str], Value]] = {}
        for name, value in fields:
            meant = self._find_meant(name)
            if meant is None:
                continue
            place, rank = meant
            held = chosen.get(place)
            if held is None or rank < held[0]:
                chosen[place] = rank, [name], value
            elif rank == held[0]:
                held[1].append(name)
        cells: list[str | None] = [None] * len(self._columns)
        for place, (_, names, value) in chosen.items():
            called = self._columns[place].name
            if len(names) > 1 and self._form.repeated == "refused":
                faults.append(f"more than one field may be {called}: {some_of(names)}")
                continue
            try:
                cells[place] = _write(value, self._columns[place])
            except ValueError as error:
                faults.append(f"{called}: {error}")
        return cells

    def _find_meant(self, name: str) -> tuple[int, int] | None:
        """Return which column a name means, and the rank of the name among its names."""
        try:
            return self._memory[name]
        except KeyError:
            meant = self._meant.get(fold(name))
            if len(self._memory) < MEMORISED_NAMES:
                self._memory[name] = meant
            return meant


def _find_names(layout: Layout) -> Mapping[str, tuple[int, int]]:
    """Return the column, by its index, and the rank of each name, as ``fold`` writes it.

    The names of a column are its sources in their order, then its own: the first that a record has
    is read. Before all comes the name that a user gives for the labels.
    """
    meant: dict[str, tuple[int, int]] = {}
    for index, (column, place) in enumerate(zip(layout.columns, layout.positions, strict=True)):
        ways = list(map(fold, (*column.sources, column.name)))
        if (chosen := fold(layout.names[place])) not in ways:
            meant[chosen] = index, -1
        for rank, way in enumerate(ways):
            meant.setdefault(way, (index, rank))
    return meant


def _keep(numbered: NumberedLines, place: Place, rows: Sequence[int]) -> NumberedLines:
    """Return a block of which only some lines are rows; ``place`` is its beginning."""
    is_row = np.zeros(len(numbered.is_row), bool)
    is_row[list(rows)] = True
    row_numbers = place.row - 1 + np.cumsum(is_row)
    end = int(row_numbers[-1])
    return replace(
        numbered,
        is_row=is_row,
        row_numbers=row_numbers,
        last=replace(numbered.last, row=end if is_row[-1] else end + 1),
        next=replace(numbered.next, row=end + 1),
    )


def _write(value: Value, column: Column) -> str | None:
    """Return a value as text; ValueError says why it has none."""
    if isinstance(value, list):
        if column.kind != "set":
            message = "holds a list, expected one value"
            raise ValueError(message)
        parts = [write_value(one) for one in value]
        return column.separator.join(part for part in parts if part is not None)
    return write_value(value)
