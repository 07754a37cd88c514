"""The file of quarantined rows.

Belongs here: the columns of ``quarantine.parquet``, the same for every stage, and its writing in
bounded memory. Does not belong here: why a row is quarantined.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from polars._typing import PolarsDataType

QUARANTINE_FILE = "quarantine.parquet"
QUARANTINE_SCHEMA: Mapping[str, "PolarsDataType"] = {
    "row_number": pl.Int64,
    "line_number": pl.Int64,
    "stage": pl.String,
    "reasons": pl.List(pl.String),
    "raw": pl.Binary,
}
"""Grain: one quarantined row. ``row_number`` and ``line_number`` from 1; ``raw`` the line's bytes
without line end, or a Parquet record rendered as a CSV line."""
HELD_BYTES = 64 << 20
"""Memory that rows may take before they are written to disk: 64 MiB. A guess, far below a chunk."""


def list_unparsed(
    row_numbers: "NDArray[np.int64] | pl.Series",
    line_numbers: "NDArray[np.int64] | pl.Series",
    reasons: Sequence[Sequence[str]],
    raw: Sequence[bytes],
) -> pl.DataFrame:
    """Return rows that ingest cannot parse, in the columns of ``QUARANTINE_SCHEMA``.

    Each has at least one reason. polars makes a series from each list of texts, in 14 us; from all
    texts at once it makes one series.
    """
    owners = np.repeat(np.arange(len(reasons)), [len(some) for some in reasons])
    texts = pl.DataFrame(
        {"owner": owners, "text": [text for some in reasons for text in some]},
        schema={"owner": pl.Int64, "text": pl.String},
    )
    columns = {
        "row_number": row_numbers,
        "line_number": line_numbers,
        "stage": ["ingest"] * len(raw),
        "reasons": texts.group_by("owner", maintain_order=True).agg("text")["text"],
        "raw": raw,
    }
    return pl.DataFrame(columns, schema=QUARANTINE_SCHEMA)


class QuarantineWriter:
    """Collects quarantined rows into one file, holding at most about 64 MiB of them."""

    def __init__(self, folder: Path) -> None:
        """Write into ``folder``; no file is made before a row is added."""
        self._folder = folder
        self._held: list[pl.DataFrame] = []
        self._held_bytes = 0
        self._spilled: list[Path] = []
        self.rows = 0
        """Rows added so far."""

    def add(self, rows: pl.DataFrame) -> None:
        """Add rows, in the columns of ``QUARANTINE_SCHEMA``."""
        if rows.is_empty():
            return
        self.rows += rows.height
        self._held.append(rows.select(*QUARANTINE_SCHEMA))
        self._held_bytes += int(rows.estimated_size())
        if self._held_bytes > HELD_BYTES:
            path = self._folder / f".quarantine-{len(self._spilled):05d}.parquet"
            self._write(path)
            self._spilled.append(path)

    def close(self) -> str | None:
        """Finish the file; return its name in the folder, or None if no row was added."""
        if not self.rows:
            return None
        whole = self._folder / QUARANTINE_FILE
        if not self._spilled:
            self._write(whole)
            return QUARANTINE_FILE
        if self._held:
            path = self._folder / f".quarantine-{len(self._spilled):05d}.parquet"
            self._write(path)
            self._spilled.append(path)
        pl.scan_parquet(self._spilled, glob=False).sink_parquet(whole, compression="zstd")
        for path in self._spilled:
            path.unlink()
        return QUARANTINE_FILE

    def _write(self, path: Path) -> None:
        """Write the held rows to a new file, and hold none."""
        pl.concat(self._held).write_parquet(path, compression="zstd")
        self._held = []
        self._held_bytes = 0
