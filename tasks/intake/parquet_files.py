"""Parquet files as a whole: the footer, whether every page can be read, and the refusal.

Belongs here: the footer, the pages, and why a file is not read. Does not belong here: what
its records mean (``tasks.intake.parquet_records``).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from expectations.errors import InputRejectedError
from storage.text import printable

HELD_ROWS = 250_000
"""Most records that are held at once. A guess: as many as a part has."""
NO_DICTIONARY = "DictAccumulator"
"""Part of Arrow's (26) message if it cannot make a dictionary from texts of an encoding."""
READ_BYTES = 16 << 20
"""Bytes of such texts that polars reads at once; measured, it takes eight times as much memory."""
MOST_VALUES = 16 << 20
"""Most values in the lists of a column, beside two for each record: 256 MiB of short texts. A
guess; a set of services has a handful."""
MOST_DEPTH = 8
"""Structs in structs whose fields are read, as of JSON."""
CHECKED_BYTES = 64 << 20
"""Most bytes of such texts that Arrow reads at once. A guess, between speed and the memory that a
hostile file may fill."""
FEWEST_ROWS = 16
"""Fewest records of such texts that are read at once. A guess between memory and time."""
FRONT_CODED = "DeltaByteArrayDecoder"
"""Arrow's decoder for front-coded texts: only the difference from the text before is stored."""
NOT_READ = ("not yet implemented", "not implemented", "not supported", "unsupported")
"""Words in Arrow's messages on a form that it knows and does not read."""
SAID_CHARACTERS = 160
"""How much of a library's message ours repeats. A guess: a sentence."""


@dataclass(frozen=True)
class Field:
    """A column of values: a column of the file, or a field of a struct."""

    name: str
    """Its own name, after those of the structs that it is in, with dots between."""
    path: tuple[int, ...]
    """The place of the column in the file, then of each field in its struct."""
    dtype: pa.DataType

    @property
    def is_flat(self) -> bool:
        """Whether it is a column of the file, of single values."""
        return len(self.path) == 1 and not pa.types.is_nested(self.dtype)


@dataclass(frozen=True)
class Footer:
    """The footer of a Parquet file."""

    fields: tuple[Field, ...]
    """The fields in order; a struct is left out for its fields."""
    records: int
    size_bytes: int
    """Size of the columns, decompressed; a repeated value may count once."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, in order."""
        return tuple(field.name for field in self.fields)


def read_footer(source: Path) -> Footer:
    """Return the footer of a Parquet file.

    Raises:
        InputRejectedError: the file is damaged.
    """
    with refusing(source), source.open("rb") as file:
        parquet = pq.ParquetFile(file)
        groups = [parquet.metadata.row_group(place) for place in range(parquet.num_row_groups)]
        return Footer(
            fields=tuple(_list_fields(parquet.schema_arrow)),
            records=parquet.metadata.num_rows,
            size_bytes=sum(group.total_byte_size for group in groups),
        )


def _list_fields(
    fields: Iterable[pa.Field], before: str = "", path: tuple[int, ...] = ()
) -> Iterator[Field]:
    """Yield fields, those of a struct in its place; structs below ``MOST_DEPTH`` are left whole."""
    for place, field in enumerate(fields):
        here = (*path, place)
        if pa.types.is_struct(field.type) and len(here) < MOST_DEPTH:
            yield from _list_fields(field.type, f"{before}{field.name}.", here)
        else:
            yield Field(before + field.name, here, field.type)


def check_pages(source: Path, nested: Collection[str] = ()) -> int:
    """Read every value once with Arrow, which refuses damaged pages.

    Of fields that are not flat, only those named in ``nested`` are read.

    polars (2.1) does not check them: it panicked at 6 of 1,200 files with a few bytes changed, and
    at one of another 1,500 it asked for so much memory that the system ended the process. One
    million records of NSL-KDD take .25 CPU s.

    Returns:
        How many records may be held at once: of front-coded texts, as many as take ``READ_BYTES``.

    Raises:
        InputRejectedError: damaged.
    """
    with refusing(source), source.open("rb") as file:
        parquet = pq.ParquetFile(file)
        schema = parquet.schema_arrow
        flat = [field.name for field in schema if not pa.types.is_nested(field.type)]
        flat += _check_nested(source, parquet, nested) if nested else []
        chosen = flat if len(flat) < len(schema) or nested else None
        file.seek(0)
        # As a dictionary a repeated value is held once, however often it is repeated.
        parquet = pq.ParquetFile(file, read_dictionary=flat)
        try:
            for _ in parquet.iter_batches(columns=chosen):
                pass
        except OSError as error:
            if NO_DICTIONARY not in str(error):
                raise
            return max(1, min(HELD_ROWS, READ_BYTES // max(1, _check_texts(file, flat))))
    return HELD_ROWS


def _check_nested(source: Path, parquet: pq.ParquetFile, names: Collection[str]) -> list[str]:
    """Return the columns of Parquet that hold some fields, which are not too large to be held.

    A list of any length takes almost no space, so the values are counted first. The metadata may be
    read after that: see ``read_encodings``.

    Raises:
        InputRejectedError: the lists hold too much.
    """
    paths = [parquet.schema.column(place).path for place in range(len(parquet.schema.names))]
    chosen = [path for path in paths if any(f"{path}.".startswith(f"{one}.") for one in names)]
    parquet.scan_contents(chosen)
    metadata = parquet.metadata
    most = MOST_VALUES + 2 * metadata.num_rows
    for place in range(metadata.num_columns):
        if paths[place] in chosen:
            groups = (metadata.row_group(group) for group in range(metadata.num_row_groups))
            if sum(group.column(place).num_values for group in groups) > most:
                message = (
                    f"Cannot read {source}: the lists of its column {printable(paths[place])} hold"
                    f" more than {most:,} values. Write each list as a text, with commas between"
                    " its values, and deliver the new file. None of it is stored."
                )
                raise InputRejectedError(message)
    return chosen


def _check_texts(file: BinaryIO, flat: Sequence[str]) -> int:
    """Read every value of a file from whose texts Arrow cannot make dictionaries.

    Returns:
        Bytes of the longest front-coded text of each column, added; 0 if there is none. A file of
        522 bytes held a gigabyte of such texts.
    """
    plain: list[str] = []
    front: list[str] = []
    for name in flat:
        found = _find_encoding(file, name)
        (front if found == FRONT_CODED else plain).append(name)
    parquet = pq.ParquetFile(file)
    for _ in parquet.iter_batches(columns=plain):
        pass
    # A text is no longer than its row group: the larger the groups, the fewer are read at once.
    groups = [parquet.metadata.row_group(place) for place in range(parquet.num_row_groups)]
    most = max((group.total_byte_size for group in groups), default=0)
    rows = min(HELD_ROWS, max(FEWEST_ROWS, CHECKED_BYTES // max(1, most)))
    longest = [0] * len(front)
    for batch in parquet.iter_batches(rows, columns=front) if front else ():
        sizes = (pc.max(pc.binary_length(column)).as_py() or 0 for column in batch.columns)
        longest = list(map(max, longest, sizes))
    return sum(longest)


def _find_encoding(file: BinaryIO, name: str) -> str | None:
    """Return the encoding of a column's texts as Arrow's decoder; None if it is a dictionary.

    The metadata say it too, but they may be read only once the file is known to be whole: see
    ``read_encodings``.
    """
    parquet = pq.ParquetFile(file, read_dictionary=[name])
    try:
        for _ in parquet.iter_batches(columns=[name]):
            pass
    except OSError as error:
        if NO_DICTIONARY not in str(error):
            raise
        return str(error).rpartition(" ")[2].rstrip(".")
    return None


def read_encodings(source: Path, names: Collection[str]) -> Mapping[str, frozenset[str]]:
    """Return the encodings of some fields that are no lists, by their names.

    The file must be one that ``check_pages`` accepts, and the fields among those that it reads.
    The metadata of another file, such as an encrypted one, makes Arrow (26) end the process.
    """
    metadata = pq.read_metadata(source)
    found: dict[str, set[str]] = {}
    for index in range(metadata.num_columns):
        name = metadata.schema.column(index).path
        if name in names:
            for group in map(metadata.row_group, range(metadata.num_row_groups)):
                found.setdefault(name, set()).update(group.column(index).encodings)
    return {name: frozenset(encodings) for name, encodings in found.items()}


@contextmanager
def refusing(source: Path, *, is_whole: bool = False) -> Iterator[None]:
    """Refuse a file, by InputRejectedError, if a library fails in the block.

    If ``is_whole``, Arrow has read all of the file, so only polars can fail.
    """
    try:
        yield
    except InputRejectedError:
        raise
    except (
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,  # not an Exception: it would end the night
        pa.ArrowException,
        OSError,
        ValueError,
    ) as error:
        said = printable(str(error).partition("\n")[0], SAID_CHARACTERS)
        lowered = said.lower()
        if "crypt" in lowered:
            what = f"it is encrypted Parquet ({said}). Noctule has no key: deliver it decrypted."
        elif is_whole or any(word in lowered for word in NOT_READ):
            what = (
                f"it is Parquet in a form that Noctule does not read ({said}). Write it with plain"
                " or dictionary encoding, compressed by zstd, snappy or gzip, without the columns"
                " that the contract does not declare, and deliver the new file."
            )
        else:
            what = (
                f"it begins as Parquet but cannot be read as Parquet ({said}). Deliver the whole"
                " file again."
            )
        message = f"Cannot read {source}: {what} None of it is stored."
        raise InputRejectedError(message) from error
