"""Parquet files that are damaged, made to fill the memory, or called what polars would obey."""

import base64
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.parquet import encryption

from expectations.contract import Column, Contract
from expectations.errors import InputRejectedError
from storage.cost import measured
from tasks.intake.content import hash_content
from tasks.intake.parquet_files import read_footer
from tasks.intake.parquet_lines import read_rendered
from tasks.intake.parquet_records import (
    parse_records,
    read_layout,
)
from tasks.intake.parts import ParsedRows

SMALL = Contract(
    name="small",
    title="",
    source="",
    columns=(
        Column(name="duration", kind="count", meaning=""),
        Column(name="service", kind="category", meaning=""),
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
            read += (
                len([*parse(source), *read_rendered(source, [1, 3]), *read_footer(source).names])
                > 0
            )
        except InputRejectedError:
            refused += 1
    assert read > 0
    assert refused > read
    assert read + refused == len(whole) - 4


@pytest.mark.parametrize("size", [0, 4, 100])
def test_a_file_that_was_cut_short_is_refused(source: Path, size: int) -> None:
    FRAME.write_parquet(source)
    source.write_bytes(source.read_bytes()[:size])
    for read in (read_footer, lambda path: list(parse(path))):
        with pytest.raises(InputRejectedError, match=r"read as Parquet.*whole file again"):
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
    assert read_footer(source).records == 3


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


# Encodings and forms: what is whole is read, or what it needs is named


def write(source: Path, name: str, column: pa.Array, **options: object) -> None:
    """Write three records, the second of them bad, with a column that no contract declares."""
    table = pa.table({"duration": pa.array(["1", "x", "3"]), "service": pa.array(["http"] * 3)})
    pq.write_table(table.append_column(name, column), source, **options)


UIDS = pa.array(["C1abc", "C1abd", "C2"])
DECIMALS = pa.array([Decimal("0.25"), Decimal("0.50"), None], pa.decimal128(20, 2))


@pytest.mark.parametrize(
    ("column", "encoding", "rendered"),
    [
        (UIDS, "PLAIN", b"C1abd"),
        (UIDS, "DELTA_LENGTH_BYTE_ARRAY", b"C1abd"),
        (UIDS, "DELTA_BYTE_ARRAY", b"C1abd"),
        (UIDS.cast(pa.large_string()), "DELTA_BYTE_ARRAY", b"C1abd"),
        (UIDS.cast(pa.binary()), "DELTA_BYTE_ARRAY", b""),
        (pa.array([1, 2, 3]), "DELTA_BINARY_PACKED", b"2"),
        (pa.array([1, 2, 3]), "BYTE_STREAM_SPLIT", b"2"),
        (pa.array([0.5, 0.25, 1.0]), "BYTE_STREAM_SPLIT", b"0.25"),
        (DECIMALS, "PLAIN", b"0.50"),
        (DECIMALS, "DELTA_BYTE_ARRAY", b""),
        (DECIMALS, "BYTE_STREAM_SPLIT", b""),
    ],
)
def test_any_encoding_of_an_undeclared_column_is_read(
    source: Path, column: pa.Array, encoding: str, rendered: bytes
) -> None:
    write(source, "other", column, use_dictionary=False, column_encoding={"other": encoding})
    assert parsed(source) == [(1, 1, 1, "http"), (3, 3, 3, "http")]
    [(row, _, _, [reason], raw)] = unparsed(source)
    assert (row, reason) == (2, "duration: 'x' is not an integer")
    assert raw == b"x,http," + rendered
    assert read_rendered(source, [2, 9], 60) == {2: raw}


def test_declared_columns_are_read_in_any_encoding(source: Path) -> None:
    pq.write_table(
        FRAME.to_arrow(),
        source,
        use_dictionary=False,
        column_encoding={"duration": "DELTA_BINARY_PACKED", "service": "DELTA_BYTE_ARRAY"},
        data_page_version="2.0",
        write_page_index=True,
        row_group_size=2,
        compression="brotli",
    )
    assert parsed(source) == [(1, 1, 1, "http"), (2, 2, 2, "ftp"), (3, 3, 3, "smtp")]


@pytest.mark.parametrize(
    "column",
    [
        UIDS.dictionary_encode(),
        UIDS.cast(pa.string_view()),
        pa.array(["{}", "1", "2"], pa.json_()),
        pa.array([b"0123456789abcdef"] * 3, pa.uuid()),
        pa.array([[1], [], None]),
        pa.array([{"a": 1}] * 3),
        pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64())),
        pa.array([2**64 - 1] * 3, pa.uint64()),
        pa.array([0.5] * 3, pa.float16()),
        pa.array([0] * 3, pa.timestamp("ns", "Europe/Berlin")),
        pa.array([0] * 3, pa.duration("s")),
        pa.array([True] * 3),
        pa.array([None, Decimal("0.25"), None], pa.decimal256(50, 2)),
        pa.nulls(3),
    ],
    ids=lambda column: str(column.type),
)
def test_the_type_of_an_undeclared_column_does_not_matter(source: Path, column: pa.Array) -> None:
    write(source, "other", column)
    assert parsed(source) == [(1, 1, 1, "http"), (3, 3, 3, "http")]
    assert read_rendered(source, [2], 200)[2].startswith(b"x,http,")


def test_texts_that_keep_what_differs_take_no_memory(source: Path) -> None:
    group = pa.table({"duration": pa.array([1] * 50), "service": pa.array(["x" * 1_000_000] * 50)})
    options = {"use_dictionary": False, "column_encoding": {"service": "DELTA_BYTE_ARRAY"}}
    with pq.ParquetWriter(source, group.schema, compression="zstd", **options) as writer:
        for _ in range(20):
            writer.write_table(group)
    assert source.stat().st_size < 10_000
    before = psutil.Process().memory_info().rss
    with measured() as cost:
        layout = read_layout(source, SMALL, 100 * LIMIT)
        rows = sum(rows.unparsed.height for rows in parse_records(source, layout, 250_000, 20))
    assert rows == 1_000
    assert cost.peak_mb * 1e6 - before < 700_000_000, "it holds 1,000 MB, in copies"


@pytest.mark.parametrize("is_plain", [False, True], ids=["its footer too", "its columns"])
def test_encrypted_parquet_is_named(source: Path, *, is_plain: bool) -> None:
    settings = encryption.EncryptionConfiguration(
        footer_key="footer", column_keys={"columns": ["service"]}, plaintext_footer=is_plain
    )
    factory = encryption.CryptoFactory(lambda _: Keys())
    connection = encryption.KmsConnectionConfig()
    keys = factory.file_encryption_properties(connection, settings)
    pq.write_table(FRAME.to_arrow(), source, encryption_properties=keys)
    with pytest.raises(InputRejectedError, match="it is encrypted Parquet") as told:
        list(parse(source)) if is_plain else hash_content(source)
    assert "again" not in str(told.value), "the file is whole"


class Keys(encryption.KmsClient):
    """Wraps keys in nothing."""

    def wrap_key(self, key: bytes, _: str) -> bytes:
        return base64.b64encode(key)


def test_what_polars_does_not_read_is_named_and_not_called_damaged(source: Path) -> None:
    table = pa.table({"duration": DECIMALS, "service": pa.array(["http"] * 3)})
    encoding = {"duration": "BYTE_STREAM_SPLIT"}
    pq.write_table(table, source, use_dictionary=False, column_encoding=encoding)
    with pytest.raises(InputRejectedError, match=r"does not read \(.*Write it") as told:
        list(parse(source))
    assert "again" not in str(told.value), "the file is whole"
