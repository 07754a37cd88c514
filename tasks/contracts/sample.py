"""A sample of a file that nobody has described: its form, its names, and its first rows as text.

Belongs here: the bounded reading of any delimited text, JSON lines or Parquet. Does not belong
here: what the form of a text is (``tasks.contracts.text_form``), or what a column holds
(``tasks.contracts.kinds``).
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final, Literal

import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from expectations.errors import InputRejectedError
from tasks.contracts.record_types import choose_records, keep_records, read_records
from tasks.contracts.text_form import (
    TRAILER_LINES,
    Encoding,
    TextForm,
    decode,
    find_trailer,
    recognise_text,
    split_line,
)
from tasks.intake.content import compression_of, is_parquet, read_content
from tasks.intake.json_records import looks_json
from tasks.intake.parquet_files import read_footer, refusing
from tasks.intake.parquet_lines import select_field
from tasks.wording import plural

SAMPLE_BYTES: Final = 8 << 20
"""Content that is sampled. A guess: 25,000 rows of 46 columns, within a second or two."""
SAMPLE_ROWS: Final = 50_000
"""Most rows of a sample. A guess, as above."""
END_BYTES: Final = 64 << 10
"""The last bytes of a text, in which closing lines are looked for."""
READ_BYTES: Final = 1 << 28
"""Content that is read on to its end, to see its last lines. A guess: some seconds."""
MOST_COLUMNS: Final = 1_000
"""Most columns of a draft. A guess: nobody reads a page of more."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The first rows of a file, and how it is written."""

    kind: Literal["text", "json", "parquet"]
    compression: str | None
    names: tuple[str, ...]
    """The names of the columns in the file; of a text without a header, made up from places."""
    cells: pl.DataFrame
    """The rows as text without surrounding blanks; null where a cell is empty. The columns are
    named ``0``, ``1`` ... in the order of ``names``."""
    text: TextForm | None = None
    encoding: Encoding = "utf-8"
    trailer: tuple[str, ...] = ()
    """The closing lines that are no rows."""
    rows_ragged: int = 0
    """Lines with another number of fields than most."""
    records: Mapping[str, str] | None = None
    """The key and value of the records that are sampled, where a file has several types."""
    record_types: Mapping[str, int] = field(default_factory=dict)
    """The values of that key, and their rows."""
    lists: frozenset[int] = frozenset()
    """Places of the columns of which some value is a list."""
    lengths: frozenset[int] = frozenset()
    """Places of the columns of Parquet that are lengths of time; as text they are in seconds."""
    is_whole: bool = True
    """Whether the sample is the whole file."""

    @property
    def rows(self) -> int:
        """Rows of the sample."""
        return self.cells.height


def read_sample(source: Path, sample_bytes: int = SAMPLE_BYTES) -> Sample:
    """Return a sample of a file.

    Memory is bounded by ``sample_bytes``. A text is read on to its end, if it is not too long, to
    find closing lines that are no rows.

    Raises:
        InputRejectedError: the file cannot be read, or holds no table.
    """
    if is_parquet(source):
        return _sample_parquet(source)
    start, last, is_whole = _read_ends(source, sample_bytes)
    compression = compression_of(source)
    if looks_json(start):
        return _sample_json(start, source, compression, is_whole=is_whole)
    return _sample_text(start, last, source, compression, is_whole=is_whole)


def _read_ends(source: Path, sample_bytes: int) -> tuple[bytes, bytes | None, bool]:
    """Return whole first lines of a content, its last bytes if they were read, and if it is all."""
    pieces: Iterator[bytes] = read_content(source)
    first: list[bytes] = []
    size = 0
    while size <= sample_bytes and (piece := next(pieces, b"")):
        first.append(piece)
        size += len(piece)
    content = b"".join(first)
    if size <= sample_bytes:
        return content, content[-END_BYTES:], True
    kept: deque[bytes] = deque([content[-END_BYTES:]])
    is_read = False
    for piece in chain(pieces, [b""]):
        is_read = not piece
        size += len(piece)
        kept.append(piece[-END_BYTES:])
        if sum(map(len, kept)) > 2 * END_BYTES:
            kept.popleft()
        if size > READ_BYTES:
            break
    end = content.rfind(b"\n", 0, sample_bytes) + 1 or sample_bytes
    return content[:end], b"".join(kept)[-END_BYTES:] if is_read else None, False


def _sample_text(
    start: bytes, last: bytes | None, source: Path, compression: str | None, *, is_whole: bool
) -> Sample:
    """Return a sample of a delimited text."""
    if b"\0" in start:
        msg = f"Cannot draft a contract from {source}: it holds NUL bytes, which no text does."
        raise InputRejectedError(msg)
    text, encoding = decode(start)
    lines = [
        line for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip()
    ]
    form = recognise_text(lines)
    if form is None:
        msg = f"Cannot draft a contract from {source}: it holds no row."
        raise InputRejectedError(msg)
    if form.width > MOST_COLUMNS:
        raise _too_wide(source, form.width)
    trailer: tuple[str, ...] = ()
    if last is not None:
        ends = decode_end(last, encoding)
        trailer = find_trailer(ends[-TRAILER_LINES * 2 :], form)
    rows, ragged = _split_rows(lines, form, len(trailer) if is_whole else 0)
    if not rows:
        msg = (
            f"Cannot draft a contract from {source}: it has a header and no row. Give a file with"
            " some connections."
        )
        raise InputRejectedError(msg)
    names = form.header if form.header is not None and not form.counts_columns else None
    if names is not None and len(names) != form.width:
        names = None
    return Sample(
        kind="text",
        compression=compression,
        names=names or tuple(f"column_{place}" for place in range(1, form.width + 1)),
        cells=_frame(rows, form.width),
        text=form,
        encoding=encoding,
        trailer=trailer,
        rows_ragged=ragged,
        is_whole=is_whole,
    )


def decode_end(last: bytes, encoding: str) -> list[str]:
    """Return the last lines of a text that are not blank; the first of them may be cut."""
    return [line for line in last.decode(encoding, "replace").splitlines() if line.strip()]


def _split_rows(lines: Sequence[str], form: TextForm, closing: int) -> tuple[list[list[str]], int]:
    """Return the fields of the rows as wide as most, and the number of other rows."""
    rows: list[list[str]] = []
    ragged = 0
    is_header = form.header is not None
    for line in lines[: len(lines) - closing]:
        if form.comment and line.startswith(form.comment):
            continue
        if line[:5].lower().lstrip('"').startswith("sep="):
            continue
        if is_header:
            is_header = False
            continue
        fields = split_line(line, form.separator, has_quotes=form.has_quotes)
        if fields is None or len(fields) != form.width:
            ragged += 1
            continue
        rows.append(fields)
        if len(rows) == SAMPLE_ROWS:
            break
    return rows, ragged


def _frame(rows: Sequence[Sequence[str | None]], width: int) -> pl.DataFrame:
    """Return rows as a frame of texts without surrounding blanks; an empty one is null."""
    frame = pl.DataFrame(
        rows,
        schema=[str(place) for place in range(width)],
        orient="row",
        schema_overrides={str(place): pl.String for place in range(width)},
    )
    stripped = pl.all().str.strip_chars(" \t\u00a0")
    return frame.select(stripped).select(pl.when(pl.all() != "").then(pl.all()))


def _sample_json(start: bytes, source: Path, compression: str | None, *, is_whole: bool) -> Sample:
    """Return a sample of JSON lines; of a mixed file, of one type of records."""
    lines = start.decode("utf-8-sig", "replace").split("\n")
    read = read_records((line for line in lines if line.strip()), SAMPLE_ROWS)
    records = read.found
    if not records:
        msg = (
            f"Cannot draft a contract from {source}: none of its first lines is a JSON object."
            " Noctule reads JSON with one object on each line."
        )
        raise InputRejectedError(msg)
    chosen, types = choose_records(records)
    records = keep_records(records, chosen)
    names = tuple(dict.fromkeys(chain.from_iterable(records)))
    if len(names) > MOST_COLUMNS:
        raise _too_wide(source, len(names))
    rows = [[record.get(name) for name in names] for record in records]
    return Sample(
        kind="json",
        compression=compression,
        names=names,
        cells=_frame(rows, len(names)),
        lists=frozenset(place for place, name in enumerate(names) if name in read.lists),
        records=chosen,
        record_types=types,
        is_whole=is_whole,
    )


def _sample_parquet(source: Path) -> Sample:
    """Return a sample of a Parquet file."""
    footer = read_footer(source)
    if len(footer.names) > MOST_COLUMNS:
        raise _too_wide(source, len(footer.names))
    if not footer.records:
        msg = f"Cannot draft a contract from {source}: it has no row."
        raise InputRejectedError(msg)
    with refusing(source), source.open("rb") as file:
        batch = next(pq.ParquetFile(file).iter_batches(batch_size=SAMPLE_ROWS))
        frame = pl.DataFrame(pl.from_arrow(batch))
    values = [frame.select(select_field(field)).to_series() for field in footer.fields]
    texts = pl.DataFrame([_as_text(one).alias(str(place)) for place, one in enumerate(values)])
    return Sample(
        kind="parquet",
        compression=None,
        names=footer.names,
        cells=texts,
        lists=frozenset(
            place for place, one in enumerate(values) if isinstance(one.dtype, pl.List)
        ),
        lengths=frozenset(place for place, one in enumerate(values) if one.dtype == pl.Duration),
        is_whole=footer.records <= SAMPLE_ROWS,
    )


def _as_text(values: pl.Series) -> pl.Series:
    """Return a column of any type as text; one of nested values is empty."""
    if isinstance(values.dtype, pl.List) and values.dtype.inner == pl.String:
        values = values.list.sort().list.join(",")
    if values.dtype == pl.Duration:
        values = values.dt.total_microseconds() / 1_000_000
    if values.dtype.is_nested() or values.dtype in {pl.Binary, pl.Object}:
        return pl.repeat(None, len(values), dtype=pl.String, eager=True)
    texts = values.cast(pl.String).str.strip_chars(" \t\u00a0")
    return texts.set(texts == "", None)


def _too_wide(source: Path, width: int) -> InputRejectedError:
    return InputRejectedError(
        f"Cannot draft a contract from {source}: it has {plural(width, 'column')}, and a draft has"
        f" at most {MOST_COLUMNS:,}. Give a file with the columns that matter."
    )
