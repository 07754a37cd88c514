"""Every requirement holds for a damaged file; ``fuzz`` tries more files."""

import gzip
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.support.damaged_files.cases import DAMAGE_KINDS, Case, OtherFile, cases
from tests.support.damaged_files.originals import Original, read_real, simulate_originals
from tests.support.oracles.file_oracle import expect_frame, expect_text
from tests.support.pipeline.file_requirements import process_case
from tests.support.pipeline.pipeline import Pipeline, open_pipeline
from tests.support.sources import NSL_KDD

KIND_FILES = 4
FILES = 30
SUITE_FILES = 4


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with open_pipeline() as pipeline:
        yield pipeline


@pytest.fixture(scope="module")
def simulated() -> tuple[Original, ...]:
    return simulate_originals()


def try_many(
    pipeline: Pipeline,
    originals: tuple[Original, ...],
    files: int,
    kind: str | None = None,
    *,
    suite: bool = False,
) -> None:
    @settings(
        max_examples=files,
        derandomize=True,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(originals, kind))
    def tried(case: Case) -> None:
        process_case(pipeline, replace(case, asks_suite=suite))

    tried()


@pytest.mark.parametrize("kind", DAMAGE_KINDS)
def test_every_requirement_holds_for_a_file_with_each_kind_of_damage(
    pipeline: Pipeline, simulated: tuple[Original, ...], kind: str
) -> None:
    try_many(pipeline, simulated, KIND_FILES, kind)


def test_every_requirement_holds_for_a_file_with_several_damages(
    pipeline: Pipeline, simulated: tuple[Original, ...]
) -> None:
    try_many(pipeline, simulated, FILES)


@pytest.mark.real_data
def test_every_requirement_holds_for_a_real_file_with_several_damages(
    pipeline: Pipeline, nsl_kdd_folder: Path
) -> None:
    try_many(pipeline, read_real(nsl_kdd_folder), FILES)


def test_great_expectations_accepts_the_rows_that_plain_python_accepts(
    pipeline: Pipeline, simulated: tuple[Original, ...]
) -> None:
    try_many(pipeline, simulated, SUITE_FILES, suite=True)


# Files that once broke a requirement, after shrinking.

ROW = (
    b"0,tcp,http,SF,232,8153,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,5,5,0.2,0.2,0,0,1,0,0,30,255,1,0,"
    b"0.03,0.04,0.03,0.01,0,0.01"
)
HEADER = ",".join(NSL_KDD.feature_names).encode()
MISSPELT = HEADER.replace(b"duration", b"durations")


def text_case(stored: bytes, **changes: object) -> Case:
    return Case(stored, expect_text(stored), "plain", (), **changes)


def frame_of(rows: int = 3) -> pl.DataFrame:
    names = NSL_KDD.feature_names
    cells = [[cell.decode() for cell in ROW.split(b",")]] * rows
    return pl.DataFrame(cells, schema=dict.fromkeys(names, pl.String), orient="row")


def write_parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="uncompressed")
    return buffer.getvalue()


def table_case(frame: pl.DataFrame) -> Case:
    stored = write_parquet(frame)
    return Case(stored, expect_frame(frame, stored), "Parquet", ())


def one_bad(frame: pl.DataFrame, column: str, cell: str | None) -> pl.DataFrame:
    cells = frame[column].to_list()
    return frame.with_columns(pl.Series(column, [cell, *cells[1:]], pl.String))


def test_a_byte_order_mark_is_part_of_a_cell_anywhere_but_at_the_start(pipeline: Pipeline) -> None:
    marked = b"\xef\xbb\xbf" + ROW
    for stored in (b"\n" + marked, marked + b"\n" + marked, b'"\xef\xbb\xbf0"' + ROW[1:]):
        process_case(pipeline, text_case(stored))


@pytest.mark.parametrize("bad", [b"soon" + ROW[1:], ROW[:-4] + b"7.00"])
def test_a_quarantined_line_keeps_the_blanks_around_it(pipeline: Pipeline, bad: bytes) -> None:
    process_case(pipeline, text_case(b"\n".join([HEADER, ROW, b" " + bad + b"\t", ROW])))


@pytest.mark.parametrize("names", [HEADER, MISSPELT], ids=["scored", "refused"])
def test_a_line_of_a_carriage_return_is_counted_alike_whether_the_file_is_refused_or_not(
    pipeline: Pipeline, names: bytes
) -> None:
    process_case(pipeline, text_case(b"\n".join([names, ROW, ROW, b"\r\r", ROW, b""])))


def test_parquet_that_was_refused_for_its_compression_is_scored_when_it_comes_without(
    pipeline: Pipeline,
) -> None:
    bare = table_case(frame_of(5))
    stored = gzip.compress(bare.stored)
    inner = OtherFile(bare.stored, expect_frame(frame_of(5), bare.stored))
    process_case(pipeline, Case(stored, expect_text(stored), "Parquet in gzip", (), inner=inner))


@pytest.mark.parametrize(
    "extra",
    [
        pl.Series("row_index", ["x"] * 3),
        pl.Series("*", ["x"] * 3),
        pl.Series("^d.*$", ["x"] * 3),
        pl.Series("age", [timedelta(days=1)] * 3),
    ],
    ids=lambda extra: extra.name,
)
@pytest.mark.parametrize(
    ("column", "cell"), [("duration", "soon"), ("serror_rate", "7")], ids=["ingest", "validate"]
)
def test_a_row_of_parquet_is_kept_whole_whatever_its_other_columns_are_called(
    pipeline: Pipeline, extra: pl.Series, column: str, cell: str
) -> None:
    process_case(pipeline, table_case(one_bad(frame_of().with_columns(extra), column, cell)))


def damaged_parquet(at: int, was: int, value: int) -> bytes:
    stored = bytearray(write_parquet(frame_of()))
    assert stored[at] == was, "polars writes it differently by now: find another byte"
    stored[at] = value
    return bytes(stored)


def test_damaged_parquet_is_refused_in_words(pipeline: Pipeline) -> None:
    process_case(pipeline, Case(damaged_parquet(27, 16, 0), None, "Parquet", ()))


def test_damaged_parquet_does_not_end_the_process(tmp_path: Path) -> None:
    file = tmp_path / "night.parquet"
    file.write_bytes(damaged_parquet(30, 6, 7))
    program = (
        "import sys\n"
        "from tests.support.pipeline.file_requirements import replay_file\n"
        "print(replay_file(sys.argv[1]))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, file],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (ended.returncode, ended.stdout[:10]) == (0, "{'rejected")


@pytest.mark.parametrize(
    ("trouble", "wrap"),
    [
        ("is cut", bytes),
        ("grows", bytes),
        ("is replaced", bytes),
        ("is replaced", gzip.compress),
        ("is cut", gzip.compress),
        ("grows", gzip.compress),
    ],
)
def test_a_file_that_changes_while_it_is_worked_on_is_left_for_the_next_run(
    pipeline: Pipeline, trouble: str, wrap: Callable[[bytes], bytes]
) -> None:
    case = text_case(wrap(b"\n".join([HEADER, ROW, ROW])))
    process_case(pipeline, replace(case, trouble=trouble, moment="ingest"))
