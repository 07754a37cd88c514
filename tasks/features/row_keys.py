"""The keys of the rows a model was fitted on, one number a row, to find copies in another file.

Belongs here: the key of a row, and storing and matching keys. Does not belong here: what happens to
rows that match.
"""

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

ROW_KEYS_FILE = "row_keys.parquet"

KEY_BYTES = 8
"""Bytes of a key. The chance that any of a million rows has the key of another row of a million is
5e-8."""

SEPARATOR = "\x1f"
ABSENT = "\x00"


@dataclass(frozen=True)
class RowKeys:
    """The keys of some connections."""

    features: tuple[str, ...]
    """The features that a key is made of, in order."""
    keys: npt.NDArray[np.uint64]
    """(n_keys,), sorted, each once."""

    @classmethod
    def of(cls, features: pl.DataFrame) -> "RowKeys":
        """Return the keys of connections, from a frame of their features only."""
        return cls(tuple(features.columns), np.unique(hash_rows(features)))

    def match(self, frame: pl.DataFrame) -> pl.Series:
        """Return which connections have a stored key, Boolean (n_rows,)."""
        return self.match_keys(hash_rows(frame.select(self.features)))

    def match_keys(self, found: npt.NDArray[np.uint64]) -> pl.Series:
        """Return which keys of connections are stored, Boolean (n_rows,)."""
        return pl.Series("is_seen", np.isin(found, self.keys))

    def save(self, folder: Path) -> None:
        """Write the keys into a model folder."""
        pl.DataFrame({SEPARATOR.join(self.features): self.keys}).write_parquet(
            folder / ROW_KEYS_FILE
        )


def read_row_keys(folder: Path) -> RowKeys | None:
    """Read the keys stored with a model; None where an earlier version stored none."""
    path = folder / ROW_KEYS_FILE
    if not path.exists():
        return None
    kept = pl.read_parquet(path).to_series()
    return RowKeys(tuple(kept.name.split(SEPARATOR)), kept.to_numpy())


def hash_rows(features: pl.DataFrame) -> npt.NDArray[np.uint64]:
    """Return the key of each row, (n_rows,), the same for equal features on every machine."""
    text = features.select(
        pl.concat_str(
            [_text(name, kind).fill_null(ABSENT) for name, kind in features.schema.items()],
            separator=SEPARATOR,
        )
    ).to_series()
    digests = b"".join(
        blake2b(one.encode(), digest_size=KEY_BYTES).digest() for one in text.to_list()
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64, copy=False)


def _text(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    # Zero and minus zero are equal.
    if kind.is_float():
        column = pl.when(column == 0).then(0.0).otherwise(column)
    return column.cast(pl.String)
