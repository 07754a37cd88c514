"""Parquet files that are damaged, made to fill the memory, or called what polars would obey."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.contract import Column, Contract
from expectations.errors import InputRejectedError
from storage.cost import measured
from tasks.csv_blocks import ParsedRows
from tasks.parquet_records import (
    count_records,
    parse_records,
    read_layout,
    read_names,
    read_rendered,
)

SMALL = Contract(
    name="small",
    title="",
    source="",
    columns=(
        Column(name="duration", dtype=pl.Int64(), meaning=""),
        Column(name="service", dtype=pl.String(), meaning=""),
    ),
)
LIMIT = 1_000_000
FRAME = pl.DataFrame({"duration": [1, 2, 3], "service": ["http", "ftp", "smtp"]})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "night.parquet"


def parse(source: Path, slice_rows: int = 2, line_bytes: int = 20) -> Iterator[ParsedRows]:
    return parse_records(source, read_layout(source, SMALL, LIMIT), slice_rows, line_bytes)


def parsed(source: Path) -> list[tuple]:
    return [row for rows in parse(source) for row in rows.parsed.rows()]


def unparsed(source: Path) -> list[tuple]:
    return [row for rows in parse(source) for row in rows.unparsed.rows()]


# Damage


def test_whatever_byte_is_changed_a_file_is_read_or_refused(source: Path) -> None:
    FRAME.write_parquet(source, compression="uncompressed")
    whole = source.read_bytes()
    read = refused = 0
    for place in range(4, len(whole)):
        source.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read += len([*parse(source), *read_rendered(source, [1, 3]), *read_names(source)]) > 0
        except InputRejectedError:
            refused += 1
    assert read > 0
    assert refused > read
    assert read + refused == len(whole) - 4


@pytest.mark.parametrize("size", [0, 4, 100])
def test_a_file_that_was_cut_short_is_refused(source: Path, size: int) -> None:
    FRAME.write_parquet(source)
    source.write_bytes(source.read_bytes()[:size])
    for read in (count_records, read_names, lambda path: list(parse(path))):
        with pytest.raises(InputRejectedError, match=r"cannot be read as such.*whole file again"):
            read(source)


# Size


def test_a_record_longer_than_a_line_may_be_is_quarantined_as_a_line_is(source: Path) -> None:
    FRAME.with_columns(
        service=pl.Series(["x" * 20, "é" * 11, "y" * 500], dtype=pl.Categorical)
    ).write_parquet(source)
    reason = "longer than the 20 bytes of NOCTULE_MAX_LINE_BYTES: what comes after them is not kept"
    assert parsed(source) == [(1, 1, 1, "x" * 20)]
    assert unparsed(source) == [
        (2, 2, "ingest", [reason], b"2," + "é".encode() * 9 + b"\xc3"),
        (3, 3, "ingest", [reason], b"3," + b"y" * 19),
    ]
    assert read_rendered(source, [3], line_bytes=20) == {3: b"3," + b"y" * 19}


@pytest.mark.parametrize("is_categorical", [False, True])
def test_a_text_that_is_repeated_takes_no_memory(source: Path, *, is_categorical: bool) -> None:
    text = pa.array(["x" * 10_000_000])
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 500, pa.int32()), text)
    numbers = pa.array(["soon"] * 500)
    pq.write_table(
        pa.table({"duration": numbers, "service": repeated}), source, store_schema=is_categorical
    )
    assert source.stat().st_size < LIMIT
    before = psutil.Process().memory_info().rss
    with measured() as cost:
        layout = read_layout(source, SMALL, 20 * LIMIT)
        lines = [
            row[4]
            for rows in parse_records(source, layout, 200, 20)
            for row in rows.unparsed.rows()
        ]
        rendered = read_rendered(source, [500])
    assert len(lines) == 500
    assert {len(line) for line in lines} == {21}
    assert len(rendered[500]) == 65_537
    assert cost.peak_mb * 1e6 - before < 500_000_000, "it holds ten times as much"


def test_a_file_that_claims_to_hold_more_than_may_be_is_refused_unread(source: Path) -> None:
    long = FRAME.with_columns(service=pl.lit("x" * 600_000) + pl.col("service"))
    long.write_parquet(source)
    assert source.stat().st_size < LIMIT / 100
    with pytest.raises(InputRejectedError, match=r"more than 1,000,000 bytes.*_MAX_FILE_BYTES"):
        read_layout(source, SMALL, LIMIT)
    assert count_records(source) == 3


def test_a_file_of_countless_columns_is_refused_unread(source: Path) -> None:
    names = [f"column_{place}" for place in range(8_000)]
    FRAME.with_columns(pl.lit(0).alias(name) for name in names).write_parquet(source)
    with pytest.raises(InputRejectedError, match=r"8,002 columns together are longer than 65536"):
        read_layout(source, SMALL, LIMIT)


# Columns that are not declared


def test_columns_are_rendered_whatever_they_are_called_and_hold(source: Path) -> None:
    others = {
        "^.*$": ["pattern"],
        "*": ["star"],
        "row_number": ["ours"],
        "0": [True],
        "": [date(2026, 11, 21)],
        "list": [[1]],
        "bytes": [b"\xff"],
        "lasted": [timedelta(seconds=90)],
        "half": [0.5],
        "none": [None],
        "quoted": ['a,"b"'],
    }
    FRAME.head(1).hstack(pl.DataFrame(others)).write_parquet(source)
    line = b'1,http,pattern,star,ours,true,2026-11-21,,,PT1M30S,0.5,,"a,""b"""'
    assert read_rendered(source, [1]) == {1: line}
