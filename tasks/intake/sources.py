"""Sources: one delivered file, read as lines of text or as records of Parquet.

Belongs here: the one interface to both, and in which order a file is opened, hashed, cut and
parsed. Does not belong here: bytes and compression (``content``), lines (``lines``), fields
(``layout``), the parsing of a block (``text_blocks``, ``parquet_records``).
"""

import hashlib
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from tasks.intake.content import (
    CONTENT_BYTES,
    PIECE_BYTES,
    compression_of,
    hash_content,
    is_parquet,
    read_content,
)
from tasks.intake.first_rows import FirstRows, read_first_lines, read_first_records
from tasks.intake.header import find_header
from tasks.intake.json_records import looks_json
from tasks.intake.json_source import JsonSource
from tasks.intake.labelling import arrange_label
from tasks.intake.layout import Layout
from tasks.intake.lines import cut_blocks, find_lines, read_head
from tasks.intake.numbered_lines import (
    NumberedLines,
    PassedLines,
    Place,
    list_rows,
    number_block,
    number_lines,
    pass_lines,
)
from tasks.intake.parquet_files import read_footer
from tasks.intake.parquet_lines import read_rendered
from tasks.intake.parquet_records import parse_records, read_layout
from tasks.intake.parts import ParsedRows
from tasks.intake.source import IngestOptions, Reading, Source, pass_through
from tasks.intake.text_blocks import parse_lines
from tasks.intake.text_layout import recognise_layout

PARSERS = 2
"""Blocks parsed at once, each by a thread: one for each core of the smallest machine that Noctule
supports. The second thread saved .08 s of 1.13 for a million lines, and took 70 MB."""


class ParquetSource(Source):
    """A Parquet file: a row is a record, and its line number is its row number."""

    def read_layout(self) -> Layout:
        """Return which column is which declared one."""
        return read_layout(self.path, self._contract, self._limit_bytes)

    def read_names(self) -> tuple[str, ...]:
        """Return the names of the file's columns, in its order."""
        return read_footer(self.path).names

    def read_first(self, places: Mapping[str, int]) -> FirstRows:
        """Return some columns of the first records, as text."""
        return read_first_records(self.path, places)

    def read(self, options: IngestOptions) -> Reading:
        """Begin to parse the file.

        No Parquet file is the beginning of another, so where rows are known, all of them are.
        """
        layout = arrange_label(self.read_layout(), self._contract, options.labels)
        rows_known = self._count_rows() if options.known_bytes else 0
        rows = (
            iter(())
            if options.known_bytes
            else parse_records(self.path, layout, options.chunk_rows, options.line_bytes)
        )
        return Reading("Parquet", layout, rows_known, rows, lambda: hash_content(self.path).sha256)

    def read_rows(self, row_numbers: Collection[int], line_bytes: int) -> Iterator[bytes]:
        """Yield some records as lines of CSV, by ascending row number from 1."""
        yield from read_rendered(self.path, row_numbers, line_bytes, self.read_layout()).values()

    def _count_rows(self) -> int:
        return read_footer(self.path).records

    def _find_raw(
        self, line_numbers: Collection[int], line_bytes: int
    ) -> tuple[dict[int, bytes], str]:
        found = read_rendered(self.path, line_numbers, line_bytes, self.read_layout())
        return found, hash_content(self.path).sha256


class TextSource(Source):
    """A text of separated fields, plain or compressed, with or without a header."""

    def read_layout(self) -> Layout:
        """Return which field is which declared column."""
        head, _ = read_head(read_content(self.path))
        return self._recognise(head)

    def read_names(self) -> tuple[str, ...] | None:
        """Return the names in the header; None where there is no header."""
        head, _ = read_head(read_content(self.path))
        return None if find_header(head, self._contract) is None else self._recognise(head).names

    def read_first(self, places: Mapping[str, int]) -> FirstRows:
        """Return some columns of the first lines, as text."""
        head, pieces = read_head(read_content(self.path))
        return read_first_lines(pieces, self._recognise(head), places)

    def read(self, options: IngestOptions) -> Reading:
        """Begin to parse the text."""
        digest = hashlib.sha256()
        content = read_content(self.path, min(PIECE_BYTES, options.block_bytes))
        head, pieces = read_head(pass_through(content, digest))
        layout = arrange_label(self._recognise(head), self._contract, options.labels)
        form = layout.described
        if compression := compression_of(self.path):
            form += f", {compression}"
        number = partial(number_block, form=layout.form, header_line=layout.header_line)
        passed = pass_lines(pieces, options.known_bytes, number, options.line_bytes)
        rows = _parse_text(passed, layout, options)
        return Reading(form, layout, passed.rows, rows, digest.hexdigest)

    def read_rows(self, row_numbers: Collection[int], line_bytes: int) -> Iterator[bytes]:
        """Yield the lines of some rows, by ascending row number from 1."""
        for number, line in enumerate(list_rows(*self._open(), line_bytes), start=1):
            if number in row_numbers:
                yield line

    def _recognise(self, head: bytes) -> Layout:
        """Return the layout of a text that begins so, or refuse JSON."""
        if looks_json(head):
            message = (
                f"Cannot read {self.path} as {self._contract.name}: it holds JSON lines, and this"
                " contract reads lines of fields. Name the contract that it has (--contract NAME),"
                f" or write one for it: noctule contracts draft {self.path.name}"
            )
            raise InputRejectedError(message)
        return recognise_layout(head, self._contract, self.path)

    def _open(self) -> tuple[Iterator[bytes], Callable[[bytes, Place], NumberedLines]]:
        """Return the content, and what numbers its lines, for ``list_rows``."""
        head, pieces = read_head(read_content(self.path))
        header = find_header(head, self._contract)
        header_line = 0 if header is None else header.line_number
        return pieces, partial(number_block, form=self._contract.form, header_line=header_line)

    def _count_rows(self) -> int:
        pieces, number = self._open()
        return pass_lines(pieces, sys.maxsize, number).rows

    def _find_raw(
        self, line_numbers: Collection[int], line_bytes: int
    ) -> tuple[dict[int, bytes], str]:
        digest = hashlib.sha256()
        _, content = read_head(pass_through(read_content(self.path), digest))
        return find_lines(content, sorted(line_numbers), line_bytes), digest.hexdigest()


def open_source(path: Path, contract: Contract, limit_bytes: int = CONTENT_BYTES) -> Source:
    """Return the source for a file: of Parquet by its first bytes, else as its contract says."""
    if is_parquet(path):
        return ParquetSource(path, contract, limit_bytes)
    kind = JsonSource if contract.form.kind == "json" else TextSource
    return kind(path, contract, limit_bytes)


def _parse_text(
    passed: PassedLines, layout: Layout, options: IngestOptions
) -> Iterator[ParsedRows]:
    """Yield a text's rows block by block; their numbers go on from the lines that were passed.

    ``PARSERS`` blocks are parsed at once. Up to as many parsed blocks wait in memory, beside the
    block that is yielded.
    """
    place = passed.next
    blocks = cut_blocks(
        passed.rest, options.block_bytes, options.line_bytes, is_beginning=place.line == 1
    )
    parsing: deque[Future[ParsedRows]] = deque()
    with ThreadPoolExecutor(PARSERS) as pool:
        for block in blocks:
            numbered = number_lines(block, layout, place)
            place = numbered.next
            parsing.append(pool.submit(parse_lines, numbered, layout, options.line_bytes))
            if len(parsing) > PARSERS:
                yield parsing.popleft().result()
        while parsing:
            yield parsing.popleft().result()
