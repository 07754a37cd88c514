"""Ingest: parse a delivered file into typed Parquet parts, and quarantine what cannot be parsed.

Belongs here: the stage and its summary. Does not belong here: how a file is read
(``tasks.intake.sources``), or whether values make sense (``tasks.validation.validate``).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from storage.text import storable
from tasks.intake.content import SourceChangedError
from tasks.intake.labelling import LabelReader, LabelTally
from tasks.intake.layout import add_absent
from tasks.intake.lines import LINE_BYTES
from tasks.intake.parts import PartWriter
from tasks.intake.quarantine import QuarantineWriter
from tasks.intake.source import IngestOptions
from tasks.intake.sources import open_source
from tasks.wording import plural, some_of

T = TypeVar("T")

STAGE = "ingest"
"""The stage's folder in the batch's folder."""


class IngestSummary(BaseModel, frozen=True):
    """The result of ingest. rows_read = rows_known + rows_parsed + rows_unparsed, exactly."""

    content_sha256: str
    """SHA-256 of the content that was read; the batch id."""
    file_name: str = ""
    """The file's name; empty in what earlier versions wrote."""
    format: str
    """The form of the file in words: ``CSV with header, gzip``."""
    rows_read: int
    rows_known: int = 0
    """Rows at the beginning that another batch accounts for."""
    rows_parsed: int
    rows_unparsed: int
    blank_lines: int
    """Empty lines after the header and the known rows; they are not rows."""
    unread_lines: int = 0
    """Such lines that are comments or a trailer by the contract; they are not rows either."""
    parts: tuple[str, ...]
    """Typed rows, relative to the batch's folder, in the order of the file."""
    quarantine: str | None
    """The rows that could not be parsed, relative to the batch's folder; None if there are none."""
    field_names: tuple[str, ...] = ()
    """The names of the file's fields in its order, declared or not."""
    line_bytes: int = LINE_BYTES
    """Longest line that was read whole."""
    columns_present: tuple[str, ...]
    """The declared columns the file has, in the contract's order."""
    columns_absent: tuple[str, ...]
    """The declared columns that the file lacks; a feature only if it is optional."""
    features_absent: tuple[str, ...] = ()
    """Those of them that are features: null in every row."""
    extra_columns: tuple[str, ...]
    """Columns the contract does not declare: ignored."""
    respelled_columns: tuple[tuple[str, str], ...] = ()
    """(name in the file, declared name) of the columns where they differ."""
    has_label: bool
    has_attack: bool
    """Whether the column that names the attack is present."""
    labels: LabelTally | None = None
    """How the label column was read; None if labels stay as they are."""

    @property
    def rows_new(self) -> int:
        """Rows that this batch accounts for itself."""
        return self.rows_parsed + self.rows_unparsed

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the batch should know about its file, a sentence each."""
        notes = []
        if self.rows_known:
            rows = f"{self.rows_known:,} of {self.rows_read:,} rows"
            notes.append(f"{rows} were known from an earlier delivery")
        if self.unread_lines:
            lines = plural(self.unread_lines, "line")
            notes.append(f"comments or closing lines by the contract, not read as rows: {lines}")
        if self.respelled_columns:
            read = [f"{name!r} as {declared}" for name, declared in self.respelled_columns]
            notes.append(f"column names are spelled differently and were matched: {some_of(read)}")
        if self.features_absent:
            notes.append(f"no values, as the file lacks them: {some_of(self.features_absent)}")
        if self.extra_columns:
            names = some_of(self.extra_columns)
            notes.append(f"ignored columns the contract does not declare: {names}")
        return tuple(notes)

    @property
    def notes_on_labels(self) -> tuple[str, ...]:
        """What a reader should know about the labels of a file that is scored."""
        if not (self.has_label or self.has_attack):
            return ()
        return ("the file has labels: kept in the lake, not used for scoring",)

    @property
    def notes_for_training(self) -> tuple[str, ...]:
        """What a reader should know about a file that a model is trained or evaluated on."""
        return self.notes if self.labels is None else (*self.notes, self.labels.note)


def ingest_file(
    source: Path,
    contract: Contract,
    out: Path,
    batch: str,
    options: IngestOptions | None = None,
) -> IngestSummary:
    """Parse a file into typed parts, and quarantine what cannot be parsed.

    Memory is bounded by ``options.chunk_rows`` and ``options.block_bytes``, not by the file, which
    is a text of fields or of JSON lines (plain, gzip or zstandard) or Parquet. The empty folder
    ``out`` gets ``connections-00000.parquet`` ... (grain: one parsed row: row_number, line_number,
    then the declared columns the file has, and nulls for the optional features it lacks) and,
    where needed, ``quarantine.parquet``. ``batch`` is the SHA-256 of the content that is expected,
    from ``hash_content``.

    Raises:
        InputRejectedError: the file as a whole cannot be used, or is not the content expected.
    """
    options = options or IngestOptions()
    reading = open_source(source, contract, options.content_bytes).read(options)
    layout = reading.layout
    parts = PartWriter(out, options.chunk_rows)
    quarantine = QuarantineWriter(out)
    labels = LabelReader(options.labels, layout, contract) if options.labels else None
    blank_lines = unread_lines = 0
    for rows in _ahead(reading.rows):
        parsed = add_absent(rows.parsed, layout)
        parts.add(parsed if labels is None else labels.read(parsed))
        quarantine.add(rows.unparsed)
        blank_lines += rows.blank_lines
        unread_lines += rows.unread_lines
    written = parts.close()
    quarantined = quarantine.close()
    found = reading.sha256()
    if found != batch:
        msg = (
            f"{source} changed while it was read: its content was {batch[:12]}… and is now"
            f" {found[:12]}…. Nothing was stored; run it again."
        )
        raise SourceChangedError(msg)
    rows_read = reading.rows_known + parts.rows + quarantine.rows
    if rows_read == 0:
        held = "a header but no row" if layout.header_line else "no row"
        if contract.form.kind == "json" and contract.form.records:
            wanted = (f"{name} is {value}" for name, value in contract.form.records.items())
            held = f"no row whose {' and '.join(wanted)}"
        msg = f"Cannot use {source}: it has {held}. Expected at least one connection."
        raise InputRejectedError(msg)
    names = {column.name for column in layout.columns}
    present = tuple(name for name in contract.by_name if name in names)
    return IngestSummary(
        content_sha256=found,
        file_name=storable(source.name),
        format=reading.form,
        rows_read=rows_read,
        rows_known=reading.rows_known,
        rows_parsed=parts.rows,
        rows_unparsed=quarantine.rows,
        blank_lines=blank_lines,
        unread_lines=unread_lines,
        parts=tuple(f"{STAGE}/{name}" for name in written),
        quarantine=f"{STAGE}/{quarantined}" if quarantined else None,
        field_names=layout.names,
        line_bytes=options.line_bytes,
        columns_present=present,
        columns_absent=tuple(name for name in contract.by_name if name not in present),
        features_absent=tuple(column.name for column in layout.absent),
        extra_columns=layout.extra,
        respelled_columns=layout.respelled,
        has_label=contract.label in present,
        has_attack=contract.attack in present,
        labels=labels.close() if labels else None,
    )


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield items while a thread makes the next one, so that parsing and writing overlap.

    One more item is in memory. An error in making an item is raised in place of the item.
    """
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item
