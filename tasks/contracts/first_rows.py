"""The first rows of a file as a file of its own, for a quick check.

Belongs here: copying them. Does not belong here: checking them (``tasks.contracts.check``).
"""

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from expectations.contract import Contract
from tasks.intake.content import is_parquet, read_content
from tasks.intake.parquet_files import refusing
from tasks.intake.sources import open_source


def copy_first_rows(source: Path, contract: Contract, rows: int, folder: Path) -> Path:
    """Write the header of a file and the lines after it, at most ``rows``, into a folder.

    Lines that are no rows count, too; of a text with a trailer the closing lines are left out.

    Returns:
        The copy, of the file's name without a suffix of compression.

    Raises:
        InputRejectedError: the file cannot be read, or not under the contract.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / source.name
    if is_parquet(source):
        with refusing(source), source.open("rb") as file:
            batch = next(pq.ParquetFile(file).iter_batches(batch_size=rows), None)
            if batch is None:
                return source
            pl.DataFrame(pl.from_arrow(batch)).write_parquet(copy)
        return copy
    lines = open_source(source, contract).read_layout().header_line + rows
    with copy.open("wb") as written:
        for piece in read_content(source):
            end = _end_of_line(piece, lines)
            written.write(piece if end is None else piece[:end])
            if end is not None:
                break
            lines -= piece.count(b"\n")
    return copy


def _end_of_line(piece: bytes, lines: int) -> int | None:
    """Return where the so-manieth line of a piece ends; None if it has fewer."""
    end = 0
    for _ in range(lines):
        end = piece.find(b"\n", end) + 1
        if not end:
            return None
    return end
