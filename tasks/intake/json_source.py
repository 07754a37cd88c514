"""A delivered file of JSON lines.

Belongs here: in which order such a file is opened, hashed, cut and parsed. Does not belong here:
which lines are rows and what they hold (``tasks.intake.json_lines``).
"""

import hashlib
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Final

import polars as pl

from expectations.names import fold
from tasks.intake.content import PIECE_BYTES, compression_of, read_content
from tasks.intake.first_rows import VALUE_CHARACTERS, FirstRows
from tasks.intake.json_lines import RecordReader, recognise_fields
from tasks.intake.json_records import FirstRecords, Value, read_first, write_value
from tasks.intake.labelling import arrange_label
from tasks.intake.layout import Layout
from tasks.intake.lines import LINE_BYTES, cut_blocks, find_lines
from tasks.intake.numbered_lines import PassedLines, list_rows, pass_lines
from tasks.intake.parts import ParsedRows
from tasks.intake.source import IngestOptions, Reading, Source, pass_through

JSON_BLOCK_BYTES: Final = 1 << 20
"""Most bytes of JSON that are parsed at a time: 2,000 events of Suricata. Shorter lines make more
rows: 8 MiB of empty objects would take 600 MB."""


class JsonSource(Source):
    """A text with one JSON object on each line, plain or compressed."""

    def read_layout(self) -> Layout:
        """Return which field is which declared column."""
        return self._recognise(self._read_first())

    def read_names(self) -> tuple[str, ...]:
        """Return the names of the fields, as they first occur."""
        return self.read_layout().names

    def read_first(self, places: Mapping[str, int]) -> FirstRows:
        """Return some fields of the first records, as text."""
        first = self._read_first()
        names = self._recognise(first).names
        wanted = {fold(names[place]): name for name, place in places.items()}
        values: dict[str, list[str | None]] = {name: [] for name in places}
        records = first.choose(self._contract.form.records)
        for record in records:
            found = {wanted.get(fold(name)): value for name, value in record.items()}
            for name, some in values.items():
                text = _show(found.get(name))
                some.append(None if text in self._contract.form.nulls else text)
        series = {name: pl.Series(some, dtype=pl.String) for name, some in values.items()}
        return FirstRows(series, len(records), first.are_all)

    def read(self, options: IngestOptions) -> Reading:
        """Begin to parse the text."""
        digest = hashlib.sha256()
        content = read_content(self.path, min(PIECE_BYTES, JSON_BLOCK_BYTES, options.block_bytes))
        first, pieces = read_first(pass_through(content, digest))
        layout = arrange_label(self._recognise(first), self._contract, options.labels)
        compression = compression_of(self.path)
        form = f"JSON lines, {compression}" if compression else "JSON lines"
        reader = RecordReader(self._contract.form, options.line_bytes, layout)
        passed = pass_lines(pieces, options.known_bytes, reader.number, options.line_bytes)
        rows = _parse(passed, reader, options)
        return Reading(form, layout, passed.rows, rows, digest.hexdigest)

    def read_rows(self, row_numbers: Collection[int], line_bytes: int) -> Iterator[bytes]:
        """Yield the lines of some rows, by ascending row number from 1."""
        reader = RecordReader(self._contract.form, line_bytes)
        rows = list_rows(read_content(self.path), reader.number, line_bytes)
        for number, line in enumerate(rows, start=1):
            if number in row_numbers:
                yield line

    def _read_first(self) -> FirstRecords:
        return read_first(read_content(self.path))[0]

    def _recognise(self, first: FirstRecords) -> Layout:
        return recognise_fields(first, self._contract, self.path)

    def _count_rows(self) -> int:
        reader = RecordReader(self._contract.form, LINE_BYTES)
        return pass_lines(read_content(self.path), sys.maxsize, reader.number).rows

    def _find_raw(
        self, line_numbers: Collection[int], line_bytes: int
    ) -> tuple[dict[int, bytes], str]:
        digest = hashlib.sha256()
        content = pass_through(read_content(self.path), digest)
        return find_lines(content, sorted(line_numbers), line_bytes), digest.hexdigest()


def _parse(
    passed: PassedLines, reader: RecordReader, options: IngestOptions
) -> Iterator[ParsedRows]:
    """Yield a text's rows block by block; their numbers go on from the lines that were passed."""
    place = passed.next
    block_bytes = min(options.block_bytes, JSON_BLOCK_BYTES)
    blocks = cut_blocks(passed.rest, block_bytes, options.line_bytes, is_beginning=place.line == 1)
    for block in blocks:
        rows, place = reader.parse(block, place)
        yield rows


def _show(value: Value) -> str | None:
    """Return the beginning of a value as text; None if it is empty, or no text."""
    if isinstance(value, list):
        return None
    try:
        text = write_value(value)
    except ValueError:
        return None
    return (text or "").strip()[:VALUE_CHARACTERS] or None
