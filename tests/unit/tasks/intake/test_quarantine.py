from pathlib import Path

import polars as pl
import pytest

from tasks.intake import quarantine
from tasks.intake.quarantine import QUARANTINE_SCHEMA, QuarantineWriter


def rows(*numbers: int) -> pl.DataFrame:
    return pl.DataFrame(
        [(number, number + 1, "ingest", ["why", "also"], b"\0\xff") for number in numbers],
        schema=QUARANTINE_SCHEMA,
        orient="row",
    )


@pytest.mark.parametrize("held_bytes", [0, 100, 1 << 20])
def test_rows_end_in_one_file_in_order_however_little_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_bytes: int
) -> None:
    monkeypatch.setattr(quarantine, "HELD_BYTES", held_bytes)
    writer = QuarantineWriter(tmp_path)
    added = [rows(1), rows(), rows(2, 3), rows(4)]
    for some in added:
        writer.add(some)
    assert writer.close() == "quarantine.parquet"
    assert writer.rows == 4
    assert pl.read_parquet(tmp_path / "quarantine.parquet").equals(pl.concat(added))
    assert [path.name for path in tmp_path.iterdir()] == ["quarantine.parquet"]


def test_nothing_is_written_for_nothing(tmp_path: Path) -> None:
    writer = QuarantineWriter(tmp_path)
    writer.add(rows())
    assert writer.close() is None
    assert list(tmp_path.iterdir()) == []
