"""What is stored of each kind of input, good or bad."""

import gzip
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs
import psutil
import pytest
import zstandard
from polars.testing import assert_frame_equal

from expectations.contract import Column, Contract, Form, Labels
from expectations.errors import InputRejectedError
from storage.cost import measured
from tasks.intake.content import hash_content
from tasks.intake.ingest import (
    IngestSummary,
    ingest_file,
)
from tasks.intake.layout import Layout
from tasks.intake.numbered_lines import number_lines
from tasks.intake.quarantine import QUARANTINE_SCHEMA
from tasks.intake.source import IngestOptions
from tasks.intake.sources import open_source
from tasks.intake.text_blocks import parse_lines
from tasks.simulation.simulate import simulate_night
from tests.support.sources import NSL_KDD

FEATURES = ("duration", "service", "error_rate")
SMALL = Contract(
    name="small",
    title="",
    source="",
    columns=(
        Column(name="duration", kind="count", meaning=""),
        Column(name="service", kind="category", meaning=""),
        Column(name="error_rate", kind="number", meaning=""),
        Column(name="class", kind="category", meaning="", role="label"),
        Column(name="attack", kind="category", meaning="", role="label"),
        Column(name="difficulty", kind="count", meaning="", role="ignored"),
    ),
    labels=Labels(column="class", normal=("normal",), names="attack"),
    form=Form(orders=((*FEATURES, "attack"), (*FEATURES, "attack", "difficulty"))),
)
NO_VALUE = ": it stands for no value; a row without it is not scored"
COMMA = ": write it without a comma, and decimals with a point"
HEADER = b"duration,service,error_rate\n"


class Ingested:
    """A file, ingested."""

    def __init__(self, folder: Path, content: bytes, name: str, **options: int) -> None:
        self.source = folder / name
        self.source.write_bytes(content)
        self.folder = folder / "batch"
        (self.folder / "ingest").mkdir(parents=True)
        batch = hash_content(self.source).sha256
        out = self.folder / "ingest"
        self.summary: IngestSummary = ingest_file(
            self.source, SMALL, out, batch, IngestOptions(**options)
        )

    @property
    def rows(self) -> list[tuple]:
        return pl.concat(pl.read_parquet(self.folder / part) for part in self.summary.parts).rows()

    @property
    def quarantined(self) -> pl.DataFrame:
        return pl.read_parquet(self.folder / self.summary.quarantine)


Ingest = Callable[..., Ingested]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    return lambda content, name="night.csv", **options: Ingested(tmp_path, content, name, **options)


# Shapes of files.


def batch_of(source: Path) -> str:
    return hash_content(source).sha256


def test_a_header_names_the_columns_in_any_order(ingest: Ingest) -> None:
    night = ingest(b"error_rate,duration,class,service\n0.50,1,normal,http\n")
    assert night.rows == [(1, 2, 1, "http", 0.5, "normal")]
    assert night.summary.format == "CSV with header"
    assert night.summary.columns_present == (*FEATURES, "class")
    assert night.summary.columns_absent == ("attack", "difficulty")
    assert (night.summary.has_label, night.summary.has_attack) == (True, False)


def test_a_file_without_labels_is_read(ingest: Ingest) -> None:
    night = ingest(HEADER + b"1,http,0.5\n")
    assert night.rows == [(1, 2, 1, "http", 0.5)]
    assert (night.summary.has_label, night.summary.has_attack) == (False, False)


def test_headerless_layouts_are_told_apart_by_their_length(ingest: Ingest, tmp_path: Path) -> None:
    night = ingest(b"1,http,0.5,neptune\n")
    assert night.rows == [(1, 1, 1, "http", 0.5, "neptune")]
    assert night.summary.format == "CSV without header"
    other = Ingested(tmp_path / "batch", b"1,http,0.5,neptune,21\n", "other.txt")
    assert other.rows == [(1, 1, 1, "http", 0.5, "neptune", 21)]
    assert other.summary.has_attack


def test_a_ragged_first_line_does_not_condemn_a_headerless_file(ingest: Ingest) -> None:
    night = ingest(b"1,http\n2,ftp,0.5,normal\n3,smtp,0.5,normal\n")
    assert [row[2] for row in night.rows] == [2, 3]
    assert night.quarantined["reasons"].to_list() == [["expected 4 fields, found 2"]]


def test_line_ends_blank_lines_and_a_byte_order_mark_are_no_trouble(ingest: Ingest) -> None:
    night = ingest(b"\xef\xbb\xbf\r\n" + HEADER[:-1] + b"\r\n1,http,0.5\r\n\r\n\n2,ftp,1")
    assert night.rows == [(1, 3, 1, "http", 0.5), (2, 6, 2, "ftp", 1.0)]
    assert night.summary.rows_read == 2
    assert night.summary.blank_lines == 2


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("block_bytes", [20, 1_000])
def test_lines_that_end_in_carriage_returns_are_read(
    ingest: Ingest, compress: Callable[[bytes], bytes], block_bytes: int
) -> None:
    content = b"\xef\xbb\xbf\r" + HEADER[:-1] + b"\r1,http,0.5\r\rsoon,ftp,1\r3,smtp,1"
    night = ingest(compress(content), block_bytes=block_bytes)
    assert night.rows == [(1, 3, 1, "http", 0.5), (3, 6, 3, "smtp", 1.0)]
    assert night.quarantined.select("row_number", "line_number", "raw").rows() == [
        (2, 5, b"soon,ftp,1")
    ]
    assert (night.summary.rows_read, night.summary.blank_lines) == (3, 1)
    source = open_source(night.source, SMALL)
    raw = source.read_raw([2, 5], batch_of(night.source))
    assert raw == {2: HEADER[:-1], 5: b"soon,ftp,1"}
    assert source.count_rows() == 3


def test_lines_without_header_may_end_in_carriage_returns(ingest: Ingest) -> None:
    night = ingest(b"1,http,0.5,normal\r2,ftp,1,neptune\r\n3,smtp,1,normal\r")
    assert [row[:3] for row in night.rows] == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]


@pytest.mark.parametrize("more", [b"\r", b"", b"\r\n"])
def test_the_known_rows_of_a_file_that_ends_lines_in_carriage_returns_are_counted(
    ingest: Ingest, more: bytes
) -> None:
    known = HEADER[:-1] + b"\r1,http,0.5\r2,ftp,1" + more[:1]
    night = ingest(known + (more[1:] or b"\r") + b"3,smtp,1\r", known_bytes=len(known))
    assert (night.summary.rows_read, night.summary.rows_known) == (3, 2)
    assert [row[:3] for row in night.rows] == [(3, 4 + (not more[1:] and bool(more)), 3)]


def test_many_lines_that_end_in_carriage_returns_take_no_more_memory(ingest: Ingest) -> None:
    body = gzip.compress(b"1,http,0.5\r" * 1_000_000)
    before = psutil.Process().memory_info().rss
    with measured() as cost:
        night = ingest(gzip.compress(HEADER[:-1] + b"\r") + body * 4, block_bytes=1 << 20)
    assert night.summary.rows_parsed == 4_000_000
    assert cost.peak_mb * 1e6 - before < 150_000_000


def test_a_header_in_another_spelling_is_read_by_its_names_and_told(ingest: Ingest) -> None:
    night = ingest(b"Error Rate,DURATION,Class,service\n0.50,1,normal,http\n1,soon,,ftp\n")
    assert night.rows == [(1, 2, 1, "http", 0.5, "normal")]
    assert night.summary.has_label
    assert night.summary.field_names == ("Error Rate", "DURATION", "Class", "service")
    (note,) = night.summary.notes
    assert note == (
        "column names are spelled differently and were matched: 'DURATION' as duration,"
        " 'Error Rate' as error_rate, 'Class' as class"
    )
    assert night.quarantined["reasons"].to_list() == [["duration: 'soon' is not an integer"]]


def test_names_of_other_columns_are_told_within_a_limit(ingest: Ingest) -> None:
    names = [f"column_{number}" for number in range(1_000)]
    night = ingest(
        f"{HEADER.decode().strip()},{','.join(names)}\n1,http,0.5{',0' * 1_000}\n".encode()
    )
    (note,) = night.summary.notes
    assert note.startswith("ignored columns the contract does not declare: column_0, column_1, ")
    assert note.endswith(" and 977 more")


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"colour,shape,size,weight\n1,http,0.5,x\n2,ftp,1,y\n", 2),
        (b"# a comment\ncolour,shape,size,weight\n1,http,0.5,x\n", 1),
        (b"Duration;Service;Error Rate\n1;http;0.5\n", 1),
        (b"Duration,Service\r1,http\r2,ftp\r", 2),
        (b"0,1,2,3\n1,http,0.5,x\n", 1),
        (b'{"duration": 1}\n', 1),
        (b"1,http\n2,ftp\n", 2),
    ],
)
def test_a_header_is_no_row_of_a_file_that_is_refused(
    ingest: Ingest, tmp_path: Path, content: bytes, rows: int
) -> None:
    with pytest.raises(InputRejectedError):
        ingest(content)
    assert open_source(tmp_path / "night.csv", SMALL).count_rows() == rows


def test_fully_quoted_files_are_read(ingest: Ingest) -> None:
    night = ingest(b'"duration","service","error_rate"\n"1","ht,""tp""","0.5"\n"2","ftp","1"\n')
    assert night.rows == [(1, 2, 1, 'ht,"tp"', 0.5), (2, 3, 2, "ftp", 1.0)]


@pytest.mark.parametrize(
    ("compress", "named"), [(gzip.compress, "gzip"), (zstandard.compress, "zstandard")]
)
def test_compressed_files_are_the_batch_of_the_plain_one(
    ingest: Ingest, compress: Callable[[bytes], bytes], named: str
) -> None:
    plain = HEADER + b"1,http,0.5\n"
    night = ingest(compress(plain))
    assert night.rows == [(1, 2, 1, "http", 0.5)]
    assert night.summary.format == f"CSV with header, {named}"
    (night.folder / "plain").write_bytes(plain)
    assert night.summary.content_sha256 == hash_content(night.folder / "plain").sha256


def test_extra_columns_are_left_out_and_reported(ingest: Ingest) -> None:
    night = ingest(b",duration,colour,service,error_rate\n0,1,red,http,0.5\n")
    assert night.rows == [(1, 2, 1, "http", 0.5)]
    assert night.summary.extra_columns == ("(unnamed field 1)", "colour")


def test_parts_are_full_but_for_the_last_and_keep_the_order(ingest: Ingest) -> None:
    body = b"".join(b"%d,http,0.5\n" % number for number in range(7))
    night = ingest(HEADER + body, block_bytes=20, chunk_rows=3)
    parts = [pl.read_parquet(night.folder / part) for part in night.summary.parts]
    assert [part["duration"].to_list() for part in parts] == [[0, 1, 2], [3, 4, 5], [6]]
    assert night.summary.parts[2] == "ingest/connections-00002.parquet"
    assert dict(parts[0].schema) == {
        "row_number": pl.Int64,
        "line_number": pl.Int64,
        "duration": pl.Int64,
        "service": pl.String,
        "error_rate": pl.Float64,
    }


# Lines that will not parse: what is stored of each.


@pytest.mark.parametrize(
    ("line", "reasons"),
    [
        (b"1,http", ["expected 3 fields, found 2"]),
        (b"1,http,0.5,9", ["expected 3 fields, found 4"]),
        (b"abc,http,0.5", ["duration: 'abc' is not an integer"]),
        (b"14.5,http,0.5", ["duration: '14.5' is not an integer"]),
        (
            b"NaN,http,0.5",
            [f"duration: 'NaN' is not an integer{NO_VALUE}"],
        ),
        (
            b'"1,234",http,0.5',
            [f"duration: '1,234' is not an integer{COMMA}"],
        ),
        (
            b"9223372036854775808,http,0.5",
            ["duration: '9223372036854775808' does not fit in 64 bits"],
        ),
        (b",http,0.5", ["duration: empty"]),
        (b"1,,0.5", ["service: empty"]),
        (
            b"x,,y",
            [
                "duration: 'x' is not an integer",
                "service: empty",
                "error_rate: 'y' is not a number",
            ],
        ),
        (b"1,ht\0tp,0.5", ["byte 5 is NUL"]),
        (b"1,ht\rtp,0.5", ["byte 5 is a carriage return inside the line"]),
        (b"1,\xfftp,0.5", ["byte 3 (0xff) is not UTF-8"]),
        (b'1,"http,0.5', ["a quote is not closed, or stands inside an unquoted field"]),
        (b'1,ht"tp,0.5', ["a quote is not closed, or stands inside an unquoted field"]),
        (b"1" * 50 + b"a,http,0.5", [f"duration: '{'1' * 40}…' is not an integer"]),
    ],
)
def test_a_bad_line_is_quarantined_with_its_reasons_and_the_next_is_read(
    ingest: Ingest, line: bytes, reasons: list[str]
) -> None:
    night = ingest(HEADER + b"1,http,0.5\n\n" + line + b"\r\n3,smtp,0.5\n")
    assert [row[:3] for row in night.rows] == [(1, 2, 1), (3, 5, 3)]
    assert night.quarantined.schema == QUARANTINE_SCHEMA
    assert night.quarantined.rows() == [(2, 4, "ingest", reasons, line)]
    summary = night.summary
    assert (summary.rows_read, summary.rows_parsed, summary.rows_unparsed) == (3, 2, 1)
    assert open_source(night.source, SMALL).read_raw([1, 4, 99], batch_of(night.source)) == {
        1: HEADER[:-1],
        4: line,
    }


@pytest.mark.parametrize(
    "again", [HEADER[:-1], b'"duration", service,error_rate'], ids=["as it was", "quoted"]
)
def test_a_header_that_comes_again_is_one_reason_and_not_one_for_each_cell(
    ingest: Ingest, again: bytes
) -> None:
    night = ingest(HEADER + b"1,http,0.5\n" + again + b"\n3,smtp,0.5\n")
    assert [row[0] for row in night.rows] == [1, 3]
    assert night.quarantined["reasons"].to_list() == [["the header again, not a connection"]]
    assert night.quarantined["raw"].to_list() == [again]


def test_a_line_without_end_is_cut_and_takes_no_memory(ingest: Ingest) -> None:
    line = gzip.compress(b"x" * 300_000_000)
    content = gzip.compress(HEADER + b"1,http,0.5\n") + line + gzip.compress(b"\n3,smtp,0.5\n")
    before = psutil.Process().memory_info().rss
    with measured() as cost:
        night = ingest(content, line_bytes=2_000)
    assert [row[:2] for row in night.rows] == [(1, 2), (3, 4)]
    assert night.quarantined["raw"].to_list() == [b"x" * 2_001]
    assert "longer than the 2000 bytes" in night.quarantined["reasons"][0][0]
    assert cost.peak_mb * 1e6 - before < 100_000_000, "the line has three times as much"


def test_numbers_written_as_floats_and_padded_names_are_read_in_every_line(ingest: Ingest) -> None:
    lines = b"".join(b"%d.0, http\t,0.%02d000001311\n" % (row, row) for row in range(1, 100))
    night = ingest(HEADER + lines)
    assert night.summary.rows_unparsed == 0
    assert {row[3] for row in night.rows} == {"http"}
    assert [row[2] for row in night.rows] == list(range(1, 100))
    night = Ingested(night.folder, HEADER + b"1,http,0.5\n" * 99 + b"2.0, ftp,1e-17\n", "few.csv")
    assert night.rows[-1] == (100, 101, 2, "ftp", 1e-17), "the column declares no resolution"


def test_nan_and_infinity_are_floats_and_left_to_validation(ingest: Ingest) -> None:
    night = ingest(HEADER + b"1,http,nan\n1,http,-inf\n1,http,1e999\n")
    assert [str(row[4]) for row in night.rows] == ["nan", "-inf", "inf"]


def test_an_empty_label_is_no_reason_to_quarantine_but_a_wrong_type_is(ingest: Ingest) -> None:
    night = ingest(b"1,http,0.5,,\n2,ftp,0.5,neptune,word\n3,smtp,0.5,normal,\n")
    assert night.rows == [
        (1, 1, 1, "http", 0.5, None, None),
        (3, 3, 3, "smtp", 0.5, "normal", None),
    ]
    assert night.quarantined["reasons"].to_list() == [["difficulty: 'word' is not an integer"]]


def test_a_file_of_bad_lines_only_has_no_part(ingest: Ingest) -> None:
    night = ingest(HEADER + b"1\n2\n")
    assert night.summary.parts == ()
    assert night.summary.rows_unparsed == 2


def test_a_quoted_nothing_in_a_file_of_one_column_is_a_row_but_a_blank_line_is_not() -> None:
    service = SMALL.by_name["service"]
    layout = Layout(columns=(service,), positions=(0,), names=("service",), extra=(), header_line=0)
    numbered = number_lines(b'"ftp"\n""\n\n"http"\n', layout)
    rows = parse_lines(numbered, layout)
    assert rows.parsed.rows() == [(1, 1, "ftp"), (3, 4, "http")]
    assert rows.unparsed.rows() == [(2, 2, "ingest", ["service: empty"], b'""')]
    assert rows.blank_lines == 1


# Files that are rejected as a whole.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\n\r\n", "holds only blank lines"),
        (HEADER, "a header but no row"),
        (HEADER[:-1], "a header but no row"),
        (b"duration,error_rate\n1,0.5\n", "1 of them missing: service"),
        (
            b"Duration,Sarvice,Error_Rate\n1,http,0.5\n",
            "1 of them missing: service .* Sarvice: did",
        ),
        (b"duration,service,error_rate,service\n", "more than one column is named service"),
        (b"duration;service;error_rate\n1;http;0.5\n", "most lines have 1 field. .*semicolons"),
        (b"1;http;0,5;normal\n", "separated by semicolons: deliver it with commas"),
        (b'"duration"\t"service"\t"error_rate"\n', "separated by tabs: deliver it with commas"),
        (b"duration service\n1 http\n", "separated by blanks: deliver it with commas"),
        (b"1=http=0.5\n", "Check the separator"),
        (b"a\0\1\2\nb\n", "It holds NUL bytes, .* another format"),
        (b"1,2\n3,4\n", "4 or 5 fields separated by commas without a header"),
        (b"x" * 70_000, "its first line is longer than 65536 bytes"),
        (gzip.compress(b"PAR1" + bytes(99), mtime=0), "compressed Parquet"),
        (b"PAR1" + bytes(99), "begins as Parquet but cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_rejected_with_what_is_wrong(
    ingest: Ingest, content: bytes, message: str
) -> None:
    with pytest.raises(InputRejectedError, match=message):
        ingest(content)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("header", ["duration,service,error_rate\r\n", ""])
def test_utf16_is_named_with_and_without_its_mark_or_a_header(
    ingest: Ingest, mark: str, encoding: str, header: str
) -> None:
    content = f"{mark}{header}1,größe,0.5\r\n2,ftp,0.5\r\n".encode(encoding)
    with pytest.raises(InputRejectedError, match=r"it is UTF-16 text\. .*Convert the file"):
        ingest(gzip.compress(content))


def test_a_line_that_might_be_utf16_does_not_condemn_the_others(ingest: Ingest) -> None:
    night = ingest(HEADER + b"1,http,0.5\n1\0,\0h\0\n3,smtp,0.5\n")
    assert [row[0] for row in night.rows] == [1, 3]
    assert night.quarantined["reasons"].to_list() == [["byte 2 is NUL"]]


def test_a_file_that_is_not_the_batch_expected_is_rejected(tmp_path: Path) -> None:
    source = tmp_path / "night.csv"
    source.write_bytes(HEADER + b"1,http,0.5\n")
    with pytest.raises(InputRejectedError, match=r"changed while it was read.*run it again"):
        ingest_file(source, SMALL, tmp_path, batch="0" * 64)


# Parquet.

FRAME = pl.DataFrame(
    {
        "service": ["http", "ftp", "smtp"],
        "duration": [1, 2, 3],
        "error_rate": [0.5, 0.25, 1.0],
        "class": ["normal", None, "anomaly"],
        "colour": [["red"], [], None],
    }
)


def test_parquet_gives_the_rows_of_the_same_csv(ingest: Ingest, tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "made.parquet", row_group_size=2)
    content = (tmp_path / "made.parquet").read_bytes()
    night = ingest(content, "night.data", chunk_rows=2)
    assert night.summary.format == "Parquet"
    assert night.summary.extra_columns == ("colour",)
    assert len(night.summary.parts) == 2
    plain = Ingested(tmp_path / "batch", FRAME.drop("colour").write_csv().encode(), "night.csv")
    assert [row[2:] for row in night.rows] == [row[2:] for row in plain.rows]
    assert [row[:2] for row in night.rows] == [(1, 1), (2, 2), (3, 3)]


def test_parquet_with_names_in_another_spelling_is_read_by_them(
    ingest: Ingest, tmp_path: Path
) -> None:
    renamed = FRAME.rename({"duration": "Duration", "error_rate": "ERROR-RATE", "class": "Class "})
    renamed.write_parquet(tmp_path / "made.parquet")
    night = ingest((tmp_path / "made.parquet").read_bytes())
    assert [row[2:] for row in night.rows] == [
        (1, "http", 0.5, "normal"),
        (2, "ftp", 0.25, None),
        (3, "smtp", 1.0, "anomaly"),
    ]
    assert "'ERROR-RATE' as error_rate" in night.summary.notes[0]


def test_parquet_of_other_types_is_cast_and_bad_cells_are_quarantined(
    ingest: Ingest, tmp_path: Path
) -> None:
    odd = pl.DataFrame(
        {
            "duration": [1.0, 2.5, float("nan"), None, 5.0, 2.0**63],
            "service": pl.Series(
                ["http", "a,b", "ftp", "ftp", "x\ny", "ftp"], dtype=pl.Categorical
            ),
            "error_rate": ["0.5", " 1", "word", "", "1", "1"],
        }
    )
    odd.write_parquet(tmp_path / "made.parquet")
    night = ingest((tmp_path / "made.parquet").read_bytes())
    assert night.rows == [(1, 1, 1, "http", 0.5)]
    assert night.quarantined.select("row_number", "line_number", "reasons", "raw").rows() == [
        (2, 2, ["duration: '2.5' is not an integer"], b'2.5,"a,b", 1'),
        (
            3,
            3,
            [
                f"duration: 'NaN' is not an integer{NO_VALUE}",
                "error_rate: 'word' is not a number",
            ],
            b"NaN,ftp,word",
        ),
        (4, 4, ["duration: empty", "error_rate: empty"], b",ftp,"),
        (5, 5, ["service: 'x\\ny' holds a line end or NUL"], b'5.0,"x\ny",1'),
        (
            6,
            6,
            ["duration: '9.223372036854776e+18' does not fit in 64 bits"],
            b"9.223372036854776e+18,ftp,1",
        ),
    ]
    raw = open_source(night.source, SMALL).read_raw([2, 9], batch_of(night.source))
    assert raw == {2: b'2.5,"a,b", 1'}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME.drop("service"), "1 of them missing: service"),
        (FRAME.with_columns(Duration=pl.lit(1)), "more than one column may be duration"),
        (FRAME.rename({"service": "services"}), "services: did you mean service"),
        (
            FRAME.with_columns(duration=pl.lit([1])),
            r"column duration is List\(.*\), expected numbers",
        ),
        (FRAME.with_columns(service=pl.lit(0.5)), "column service is Float64, expected text"),
        (FRAME.clear(), "it has no row"),
    ],
)
def test_parquet_that_cannot_be_used_is_rejected(
    ingest: Ingest, tmp_path: Path, frame: pl.DataFrame, message: str
) -> None:
    frame.write_parquet(tmp_path / "made.parquet")
    with pytest.raises(InputRejectedError, match=message):
        ingest((tmp_path / "made.parquet").read_bytes())


# Floating-point dust: the same connections, however their rates were computed.


def test_dust_in_rates_gives_the_rows_without_it_in_every_format(tmp_path: Path) -> None:
    simulate_night(tmp_path / "plain.csv", rows=1_000, seed=1, night=date(2026, 11, 1))
    plain = pl.read_csv(tmp_path / "plain.csv")
    rates, counts = cs.float(), cs.integer()
    assert plain.select((rates == 0).any()).row(0).count(True) > 5, "zeros, which trees split off"
    dusty = plain.with_columns(
        pl.when(rate == 1).then(1.0000000000000002).otherwise(rate + 1e-17).alias(rate.name)
        for rate in plain.select(rates)
    )
    assert dusty.select((rates == 1e-17).any()).row(0).count(True) > 5
    dusty.write_csv(tmp_path / "dusty.csv")
    dusty.with_columns(counts.cast(pl.Float64)).write_csv(tmp_path / "floats.csv")
    dusty.with_columns(rates - 2e-17).write_parquet(tmp_path / "below.parquet")
    plain.with_columns(rates.cast(pl.Float32)).write_csv(tmp_path / "single.csv")
    plain.with_columns(rates.cast(pl.Float32)).write_parquet(tmp_path / "single.parquet")
    plain.with_columns(rates.cast(pl.Float64).cast(pl.Decimal(10, 2))).write_parquet(
        tmp_path / "decimal.parquet"
    )
    read = {}
    for source in list(tmp_path.iterdir()):
        out = tmp_path / f"lake of {source.name}"
        out.mkdir()
        summary = ingest_file(source, NSL_KDD, out, batch_of(source))
        assert (summary.rows_parsed, summary.rows_unparsed) == (1_000, 0)
        [part] = summary.parts
        read[source.name] = pl.read_parquet(out / Path(part).name).drop("line_number")
    assert len(read) == 7
    for rows in read.values():
        assert_frame_equal(rows, read["plain.csv"], check_exact=True)
    assert not any(np.signbit(read["below.parquet"].select(rates).to_numpy()).ravel())


# The real files.


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "rows", "columns", "form"),
    [
        ("Train_data.csv", 25_192, 42, "CSV with header"),
        ("Test_data.csv", 22_544, 41, "CSV with header"),
        ("KDDTrain+.txt", 125_973, 43, "CSV without header"),
    ],
)
def test_the_nsl_kdd_files_are_read_as_polars_reads_them(
    nsl_kdd_folder: Path, tmp_path: Path, name: str, rows: int, columns: int, form: str
) -> None:
    source = nsl_kdd_folder / name
    summary = ingest_file(source, NSL_KDD, tmp_path, hash_content(source).sha256)
    assert (summary.rows_read, summary.rows_unparsed, summary.format) == (rows, 0, form)
    frame = pl.concat(pl.read_parquet(tmp_path / Path(part).name) for part in summary.parts).drop(
        "row_number", "line_number"
    )
    assert frame.width == columns
    whole = pl.read_csv(source, has_header="with header" in form)
    if form == "CSV without header":
        whole.columns = list(NSL_KDD.form.orders[-1])
    assert frame.equals(whole.select(frame.columns).cast(dict(frame.schema)))
