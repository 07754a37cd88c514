"""Ingest: a delivered file to typed Parquet parts, and what will not parse to quarantine.

Belongs here: the stage, its options and its summary. Does not belong here: how bytes are opened
(``tasks.intake.content``) and cut into lines (``tasks.intake.lines``), what a field is
(``tasks.intake.layout``), how a block is parsed (``tasks.intake.csv_blocks``,
``tasks.intake.parquet_records``), or whether values make sense (``tasks.validation.validate``).
"""

import hashlib
import sys
from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict

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
from tasks.intake.csv_blocks import ParsedRows, number_lines, parse_lines
from tasks.intake.header import find_header
from tasks.intake.labelling import LabelReader, LabelReading, LabelTally, arrange_label
from tasks.intake.layout import Layout, read_head, recognise_layout
from tasks.intake.lines import (
    BLOCK_BYTES,
    LINE_BYTES,
    PassedLines,
    count_lines,
    cut_blocks,
    find_lines,
    pass_lines,
)
from tasks.intake.parquet_records import count_records, parse_records, read_layout, read_rendered
from tasks.intake.quarantine import QuarantineWriter
from tasks.wording import some_of

T = TypeVar("T")

PARSERS = 2
"""Blocks parsed at once, each by a thread: one a core of the smallest machine that Noctule is
meant for. A second one took .08 s of 1.13 for a million lines, and 70 MB."""

STAGE = "ingest"
"""The stage's folder in the batch's folder."""

PART_BYTES = 256 << 20
"""Memory that the rows of a part may take: 256 MiB, three times a part of NSL-KDD's. A guess: what
comes after holds a part several times over."""


@dataclass(frozen=True, kw_only=True)
class IngestOptions:
    """How a file is taken in."""

    block_bytes: int = BLOCK_BYTES
    """Bytes of text parsed at a time."""
    chunk_rows: int = 250_000
    """Most rows of a part: what every later stage holds in memory at a time. 250,000 rows of 41
    features are 80 MB; the design's measurements used this size."""
    line_bytes: int = LINE_BYTES
    """Longest line that is read; a longer one is quarantined, and cut."""
    content_bytes: int = CONTENT_BYTES
    """Largest content; of Parquet, as text of the fewest bytes that can hold its records."""
    known_bytes: int = 0
    """How much of the content another batch accounts for: its rows are counted and not parsed."""
    labels: LabelReading | None = None
    """How labels are read; None where they are left as they are, as in a file that is scored."""


class IngestSummary(BaseModel):
    """What came of a file. rows_read = rows_known + rows_parsed + rows_unparsed, exactly."""

    model_config = ConfigDict(frozen=True)

    content_sha256: str
    """Of the content that was read; the batch id."""
    format: str
    """In words: ``CSV with header, gzip``."""
    rows_read: int
    rows_known: int = 0
    """Those at the beginning that another batch accounts for."""
    rows_parsed: int
    rows_unparsed: int
    blank_lines: int
    """Lines without a byte, after the header and the known rows; they are not rows."""
    parts: tuple[str, ...]
    """Typed rows, relative to the batch's folder, in the order of the file."""
    quarantine: str | None
    """The rows that would not parse, relative to the batch's folder; None where all did."""
    field_names: tuple[str, ...] = ()
    """What the fields of the file's lines are called, declared or not, in its order."""
    line_bytes: int = LINE_BYTES
    """Longest line that was read whole."""
    columns_present: tuple[str, ...]
    """The declared columns the file has, in the contract's order."""
    columns_absent: tuple[str, ...]
    """The declared columns it has not; never a feature."""
    extra_columns: tuple[str, ...]
    """Columns the contract does not declare: ignored."""
    respelled_columns: tuple[tuple[str, str], ...] = ()
    """The file's name and the declared one, of the columns where they differ."""
    has_label: bool
    has_attack: bool
    """Whether the column that names the attack is present."""
    labels: LabelTally | None = None
    """What the label column was read as; None where labels are left as they are."""

    @property
    def rows_new(self) -> int:
        """Rows that this batch accounts for itself."""
        return self.rows_parsed + self.rows_unparsed

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the batch should know of its file, a sentence each."""
        notes = []
        if self.rows_known:
            rows = f"{self.rows_known:,} of {self.rows_read:,} rows"
            notes.append(f"{rows} were known from an earlier delivery")
        if self.respelled_columns:
            read = [f"{name!r} as {declared}" for name, declared in self.respelled_columns]
            notes.append(f"column names are spelt otherwise and matched: {some_of(read)}")
        if self.extra_columns:
            names = some_of(self.extra_columns)
            notes.append(f"ignored columns the contract does not declare: {names}")
        return tuple(notes)

    @property
    def notes_on_labels(self) -> tuple[str, ...]:
        """What is to be known of labels in a file that is scored."""
        if not (self.has_label or self.has_attack):
            return ()
        return ("the file has labels: kept in the lake, not used for scoring",)

    @property
    def notes_for_training(self) -> tuple[str, ...]:
        """What is to be known of a file that is fitted on or judged by."""
        return self.notes if self.labels is None else (*self.notes, self.labels.note)


def ingest_file(
    source: Path,
    contract: Contract,
    out: Path,
    batch: str,
    options: IngestOptions | None = None,
) -> IngestSummary:
    """Parse a file into typed parts, and quarantine what will not parse.

    Memory is bounded by ``options.chunk_rows`` and ``options.block_bytes``, not by the file.

    Args:
        source: CSV (plain, gzip or zstandard; with or without header) or Parquet.
        contract: the declared columns.
        out: the stage's folder, empty; it gets ``connections-00000.parquet`` ... (grain: one
            parsed row: row_number, line_number, then the declared columns the file has) and, where
            needed, ``quarantine.parquet``.
        batch: SHA-256 of the content that is expected, from ``hash_content``.
        options: sizes; the defaults if None.

    Returns:
        Counts, file names and what was recognised.

    Raises:
        InputRejectedError: the file as a whole cannot be used, or is not the content expected.
    """
    options = options or IngestOptions()
    digest = hashlib.sha256()
    rows_known = 0
    if is_parquet(source):
        form = "Parquet"
        layout = _arrange(read_layout(source, contract, options.content_bytes), contract, options)
        stretches = parse_records(source, layout, options.chunk_rows, options.line_bytes)
        if options.known_bytes:  # no Parquet is the beginning of another: all of it is known
            rows_known, stretches = count_records(source), iter(())
    else:
        content = read_content(source, min(PIECE_BYTES, options.block_bytes))
        head, pieces = read_head(_pass_through(content, digest))
        layout = _arrange(recognise_layout(head, contract, source), contract, options)
        form = f"CSV {'with' if layout.header_line else 'without'} header"
        if compression := compression_of(source):
            form += f", {compression}"
        passed = pass_lines(pieces, options.known_bytes, layout.header_line, options.line_bytes)
        rows_known = passed.rows
        stretches = _parse_text(passed, layout, options)
    parts = _PartWriter(out, options.chunk_rows)
    quarantine = QuarantineWriter(out)
    labels = LabelReader(options.labels, layout, contract) if options.labels else None
    blank_lines = 0
    for stretch in _ahead(stretches):
        parts.add(stretch.parsed if labels is None else labels.read(stretch.parsed))
        quarantine.add(stretch.unparsed)
        blank_lines += stretch.blank_lines
    written = parts.close()
    quarantined = quarantine.close()
    found = hash_content(source).sha256 if form == "Parquet" else digest.hexdigest()
    if found != batch:
        msg = (
            f"{source} changed while it was read: its content was {batch[:12]}… and is now"
            f" {found[:12]}…. Nothing was stored; run it again."
        )
        raise SourceChangedError(msg)
    rows_read = rows_known + parts.rows + quarantine.rows
    if rows_read == 0:
        held = "a header but no row" if layout.header_line else "no row"
        msg = f"Cannot use {source}: it has {held}. Expected at least one connection."
        raise InputRejectedError(msg)
    names = {column.name for column in layout.columns}.union(labels.columns if labels else ())
    present = tuple(name for name in contract.by_name if name in names)
    return IngestSummary(
        content_sha256=found,
        format=form,
        rows_read=rows_read,
        rows_known=rows_known,
        rows_parsed=parts.rows,
        rows_unparsed=quarantine.rows,
        blank_lines=blank_lines,
        parts=tuple(f"{STAGE}/{name}" for name in written),
        quarantine=f"{STAGE}/{quarantined}" if quarantined else None,
        field_names=layout.names,
        line_bytes=options.line_bytes,
        columns_present=present,
        columns_absent=tuple(name for name in contract.by_name if name not in present),
        extra_columns=layout.extra,
        respelled_columns=layout.respelled,
        has_label=contract.label in present,
        has_attack=contract.attack in present,
        labels=labels.close() if labels else None,
    )


def _arrange(layout: Layout, contract: Contract, options: IngestOptions) -> Layout:
    """Find the label column where it has another name than the contract's."""
    return layout if options.labels is None else arrange_label(layout, contract, options.labels)


def count_rows(source: Path, contract: Contract) -> int:
    """Count the rows of a file that is refused whole: its lines but blank ones and a header.

    Returns 0 where the content cannot be read as lines, nor as Parquet.
    """
    try:
        if is_parquet(source):
            return count_records(source)
        pieces, header_line = _open_text(source, contract)
        return pass_lines(pieces, sys.maxsize, header_line).rows
    except InputRejectedError:
        return 0


def read_rows(source: Path, contract: Contract, line_bytes: int = LINE_BYTES) -> Iterator[bytes]:
    """Yield the rows of a text, parsed or not: its lines below a header, but blank ones.

    Args:
        source: a file that is not Parquet.
        contract: what the header is told by.
        line_bytes: as of ``cut_blocks``.

    Raises:
        InputRejectedError: its content cannot be read.
    """
    pieces, header_line = _open_text(source, contract)
    lines = chain.from_iterable(
        block.removesuffix(b"\n").split(b"\n")
        for block in cut_blocks(pieces, line_bytes=line_bytes)
    )
    plain = (line.removesuffix(b"\r") for line in islice(lines, header_line, None))
    yield from filter(None, plain)


def _open_text(source: Path, contract: Contract) -> tuple[Iterator[bytes], int]:
    """Return a text's content, and the line number of its header; 0 where there is none."""
    head, pieces = read_head(read_content(source))
    header = find_header(head, contract)
    return pieces, 0 if header is None else header.line_number


def read_raw_lines(
    source: Path, line_numbers: Collection[int], batch: str, line_bytes: int = LINE_BYTES
) -> dict[int, bytes]:
    """Read some physical lines of a file again, as they are.

    Args:
        source: a file that was ingested.
        line_numbers: as ingest numbered them; for Parquet these are row numbers. Numbers beyond
            the file are left out of the answer.
        batch: SHA-256 of the content that was ingested: these lines are evidence, and another
            file's would be false.
        line_bytes: as ingest had it.

    Returns:
        Line number -> bytes without line end (Parquet: the record rendered as CSV).

    Raises:
        InputRejectedError: the file can no longer be read, or is not the one ingested.
    """
    if not line_numbers:
        return {}
    if is_parquet(source):
        found = read_rendered(source, line_numbers, line_bytes)
        digest = hash_content(source).sha256
    else:
        hashed = hashlib.sha256()
        _, content = read_head(_pass_through(read_content(source), hashed))
        found = _find_lines(content, sorted(line_numbers), line_bytes)
        digest = hashed.hexdigest()
    if digest != batch:
        raise SourceChangedError.of(source)
    return found


def _find_lines(
    pieces: Iterator[bytes], line_numbers: Sequence[int], line_bytes: int
) -> dict[int, bytes]:
    """Pick lines, ascending by number, out of a text, and read it to its end."""
    found: dict[int, bytes] = {}
    first = 1
    for block in cut_blocks(pieces, line_bytes=line_bytes):
        beyond = first + count_lines(block)
        within = line_numbers[bisect_left(line_numbers, first) : bisect_left(line_numbers, beyond)]
        found |= find_lines(block, within, first)
        first = beyond
    return found


def _pass_through(pieces: Iterator[bytes], digest: "hashlib._Hash") -> Iterator[bytes]:
    """Yield pieces unchanged, hashed on the way."""
    for piece in pieces:
        digest.update(piece)
        yield piece


def _parse_text(
    passed: PassedLines, layout: Layout, options: IngestOptions
) -> Iterator[ParsedRows]:
    """Yield a text's rows block by block, numbered through from those that were passed.

    A few blocks are parsed at once, and so many parsed ones are in memory.
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


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield items, while a thread makes the next one: reading, parsing and writing go on at once.

    One item more is in memory. What an item raises is raised where it would have been yielded.
    """
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


class _PartWriter:
    """Writes frames, as they come, into parts of ``chunk_rows`` rows.

    A part has fewer if it is the last, or if its rows are so long that they pass ``PART_BYTES``.
    """

    def __init__(self, folder: Path, chunk_rows: int) -> None:
        self._folder = folder
        self._chunk_rows = chunk_rows
        self._held: list[pl.DataFrame] = []
        self._held_rows = 0
        self._held_bytes = 0
        self._names: list[str] = []
        self.rows = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Take rows in, and write the parts that are full."""
        if frame.is_empty():
            return
        self.rows += frame.height
        self._held.append(frame)
        self._held_rows += frame.height
        self._held_bytes += int(frame.estimated_size())
        if self._held_rows < self._chunk_rows and self._held_bytes < PART_BYTES:
            return
        whole = pl.concat(self._held)
        full = self._held_rows - self._held_rows % self._chunk_rows or self._held_rows
        for first in range(0, full, self._chunk_rows):
            self._write(whole.slice(first, self._chunk_rows))
        rest = whole.slice(full)
        self._held = [rest.clone()] if rest.height else []
        self._held_rows = rest.height
        self._held_bytes = int(rest.estimated_size())

    def close(self) -> list[str]:
        """Write what is left; return the names of all parts, in order."""
        if self._held_rows:
            self._write(pl.concat(self._held))
            self._held = []
            self._held_rows = self._held_bytes = 0
        return self._names

    def _write(self, frame: pl.DataFrame) -> None:
        """Write one part.

        250,000 rows measured 4.3 MB and .09 CPU s by zstd at level 1, 8.2 MB and .07 by lz4.
        Statistics (.02 CPU s) would serve no reader here.
        """
        name = f"connections-{len(self._names):05d}.parquet"
        frame.write_parquet(
            self._folder / name,
            compression="zstd",
            compression_level=1,
            statistics=False,
            row_group_size=self._chunk_rows,
        )
        self._names.append(name)
