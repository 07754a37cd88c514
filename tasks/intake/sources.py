"""Sources: one delivered file, read as lines of text or as records of Parquet.

Belongs here: the one interface to both, and in which order a file is opened, hashed, cut and
parsed. Does not belong here: bytes and compression (``content``), lines (``lines``), fields
(``layout``), the parsing of a block (``csv_blocks``, ``parquet_records``).
"""

import hashlib
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from tasks.intake.content import (
    CONTENT_BYTES,
    PIECE_BYTES,
    SourceChangedError,
    compression_of,
    hash_content,
    is_parquet,
    read_content,
)
from tasks.intake.csv_blocks import parse_lines
from tasks.intake.first_rows import FirstRows, read_first_lines, read_first_records
from tasks.intake.header import find_header
from tasks.intake.label_words import LabelReading
from tasks.intake.labelling import arrange_label
from tasks.intake.layout import Layout, read_head, recognise_layout
from tasks.intake.lines import (
    BLOCK_BYTES,
    LINE_BYTES,
    PassedLines,
    cut_blocks,
    find_lines,
    pass_lines,
)
from tasks.intake.numbered_lines import number_lines
from tasks.intake.parquet_files import read_footer
from tasks.intake.parquet_records import parse_records, read_layout, read_rendered
from tasks.intake.parts import ParsedRows

PARSERS = 2
"""Blocks parsed at once, each by a thread: one for each core of the smallest machine that Noctule
supports. The second thread saved .08 s of 1.13 for a million lines, and took 70 MB."""


@dataclass(frozen=True, kw_only=True)
class IngestOptions:
    """How a file is read."""

    block_bytes: int = BLOCK_BYTES
    """Bytes of text parsed at a time."""
    chunk_rows: int = 250_000
    """Most rows of a part, which every later stage holds in memory at once. 250,000 rows of 41
    features take 80 MB; the design's measurements used this size."""
    line_bytes: int = LINE_BYTES
    """Longest line that is read; a longer one is cut and quarantined."""
    content_bytes: int = CONTENT_BYTES
    """Largest content; of Parquet, as text of the fewest bytes that can hold its records."""
    known_bytes: int = 0
    """Bytes at the beginning that another batch accounts for: their rows are counted, not
    parsed."""
    labels: LabelReading | None = None
    """How labels are read; None where they stay as they are, as in a file that is scored."""


@dataclass(frozen=True)
class Reading:
    """One pass over a source."""

    form: str
    """The form of the file in words: ``CSV with header, gzip``."""
    layout: Layout
    rows_known: int
    """Rows at the beginning that another batch accounts for."""
    rows: Iterator[ParsedRows]
    """All other rows, in order."""
    sha256: Callable[[], str]
    """Return the SHA-256 of the content that was read, once ``rows`` is at its end."""


class Source(ABC):
    """A delivered file. Every method opens it again, and raises InputRejectedError where it cannot.

    The error is a ``SourceUnavailableError`` where the file is gone, a ``SourceChangedError`` where
    it changed while it was read; any other says why the content cannot be used.
    """

    def __init__(self, path: Path, contract: Contract, limit_bytes: int = CONTENT_BYTES) -> None:
        """Open nothing yet; ``limit_bytes`` is for Parquet: text is measured when hashed."""
        self.path = path
        self._contract = contract
        self._limit_bytes = limit_bytes

    @abstractmethod
    def read_layout(self) -> Layout:
        """Return which field is which declared column."""

    @abstractmethod
    def read_names(self) -> tuple[str, ...] | None:
        """Return the names that the file gives its fields, in its order; None if it gives none."""

    @abstractmethod
    def read_first(self, places: Mapping[str, int]) -> FirstRows:
        """Return columns of the first rows as text; ``places`` is name -> field, from 0."""

    @abstractmethod
    def read(self, options: IngestOptions) -> Reading:
        """Begin to parse the file; its rows are parsed while they are taken."""

    @abstractmethod
    def read_rows(self, row_numbers: Collection[int], line_bytes: int) -> Iterator[bytes]:
        """Yield some rows, parsed or not, as lines of CSV, by ascending row number from 1."""

    def count_rows(self) -> int:
        """Return the number of rows, parsed or not; 0 where the content cannot be read at all."""
        try:
            return self._count_rows()
        except InputRejectedError:
            return 0

    def read_raw(
        self, line_numbers: Collection[int], sha256: str, line_bytes: int = LINE_BYTES
    ) -> dict[int, bytes]:
        """Read some physical lines again, as they are.

        Args:
            line_numbers: as ingest numbered them; for Parquet these are row numbers. Numbers beyond
                the file are left out of the answer.
            sha256: of the content that was ingested: a line of any other content must not be
                quarantined in its place.
            line_bytes: as ingest had it.

        Returns:
            Line number -> bytes without line end (Parquet: the record rendered as CSV).

        Raises:
            SourceChangedError: the file holds other content now.
        """
        if not line_numbers:
            return {}
        found, found_sha256 = self._find_raw(line_numbers, line_bytes)
        if found_sha256 != sha256:
            raise SourceChangedError.of(self.path)
        return found

    @abstractmethod
    def _count_rows(self) -> int: ...

    @abstractmethod
    def _find_raw(
        self, line_numbers: Collection[int], line_bytes: int
    ) -> tuple[dict[int, bytes], str]:
        """Return some lines by number, and the SHA-256 of the content that they are from."""


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
        yield from read_rendered(self.path, row_numbers, line_bytes).values()

    def _count_rows(self) -> int:
        return read_footer(self.path).records

    def _find_raw(
        self, line_numbers: Collection[int], line_bytes: int
    ) -> tuple[dict[int, bytes], str]:
        found = read_rendered(self.path, line_numbers, line_bytes)
        return found, hash_content(self.path).sha256


class TextSource(Source):
    """A text of comma-separated lines, plain or compressed, with or without a header."""

    def read_layout(self) -> Layout:
        """Return which field is which declared column."""
        head, _ = read_head(read_content(self.path))
        return recognise_layout(head, self._contract, self.path)

    def read_names(self) -> tuple[str, ...] | None:
        """Return the names in the header; None where there is no header."""
        head, _ = read_head(read_content(self.path))
        if find_header(head, self._contract) is None:
            return None
        return recognise_layout(head, self._contract, self.path).names

    def read_first(self, places: Mapping[str, int]) -> FirstRows:
        """Return some columns of the first lines, as text."""
        head, pieces = read_head(read_content(self.path))
        return read_first_lines(pieces, recognise_layout(head, self._contract, self.path), places)

    def read(self, options: IngestOptions) -> Reading:
        """Begin to parse the text."""
        digest = hashlib.sha256()
        content = read_content(self.path, min(PIECE_BYTES, options.block_bytes))
        head, pieces = read_head(_pass_through(content, digest))
        layout = recognise_layout(head, self._contract, self.path)
        layout = arrange_label(layout, self._contract, options.labels)
        form = f"CSV {'with' if layout.header_line else 'without'} header"
        if compression := compression_of(self.path):
            form += f", {compression}"
        passed = pass_lines(pieces, options.known_bytes, layout.header_line, options.line_bytes)
        rows = _parse_text(passed, layout, options)
        return Reading(form, layout, passed.rows, rows, digest.hexdigest)

    def read_rows(self, row_numbers: Collection[int], line_bytes: int) -> Iterator[bytes]:
        """Yield some lines below the header that are not blank, by ascending row number from 1."""
        pieces, header_line = self._open()
        lines = chain.from_iterable(
            block.removesuffix(b"\n").split(b"\n")
            for block in cut_blocks(pieces, line_bytes=line_bytes)
        )
        plain = (line.removesuffix(b"\r") for line in islice(lines, header_line, None))
        for number, line in enumerate(filter(None, plain), start=1):
            if number in row_numbers:
                yield line

    def _open(self) -> tuple[Iterator[bytes], int]:
        """Return the content, and the line number of the header; 0 where there is none."""
        head, pieces = read_head(read_content(self.path))
        header = find_header(head, self._contract)
        return pieces, 0 if header is None else header.line_number

    def _count_rows(self) -> int:
        pieces, header_line = self._open()
        return pass_lines(pieces, sys.maxsize, header_line).rows

    def _find_raw(
        self, line_numbers: Collection[int], line_bytes: int
    ) -> tuple[dict[int, bytes], str]:
        digest = hashlib.sha256()
        _, content = read_head(_pass_through(read_content(self.path), digest))
        return find_lines(content, sorted(line_numbers), line_bytes), digest.hexdigest()


def open_source(path: Path, contract: Contract, limit_bytes: int = CONTENT_BYTES) -> Source:
    """Return the source for a file, chosen by its first bytes; text where it cannot be opened."""
    kind = ParquetSource if is_parquet(path) else TextSource
    return kind(path, contract, limit_bytes)


def _pass_through(pieces: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    """Yield pieces unchanged, and hash them."""
    for piece in pieces:
        digest.update(piece)
        yield piece


def _parse_text(
    passed: PassedLines, layout: Layout, options: IngestOptions
) -> Iterator[ParsedRows]:
    """Yield a text's rows block by block; their numbers go on from the lines that were passed.

    ``PARSERS`` blocks are parsed at once. Up to as many parsed blocks wait in memory, beside the
    block that is yielded.
    """
    line, row = passed.lines + 1, passed.rows + 1
    blocks = cut_blocks(
        passed.rest, options.block_bytes, options.line_bytes, is_beginning=not passed.lines
    )
    parsing: deque[Future[ParsedRows]] = deque()
    with ThreadPoolExecutor(PARSERS) as pool:
        for block in blocks:
            numbered = number_lines(block, layout, line, row)
            line, row = numbered.next_line, numbered.next_row
            parsing.append(pool.submit(parse_lines, numbered, layout, options.line_bytes))
            if len(parsing) > PARSERS:
                yield parsing.popleft().result()
        while parsing:
            yield parsing.popleft().result()
