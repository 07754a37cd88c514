"""Earlier training files fill up the class of which the files at hand have too few."""

import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from storage.lake import batch_folder, run_stage
from tasks.intake.content import hash_content
from tasks.intake.ingest import IngestSummary
from tasks.intake.stage import FileJob
from tasks.training.earlier_files import EarlierFiles, find_earlier_files
from tasks.validation.accept import AcceptedFile, accept, validate_key
from tasks.validation.summary import PartFile, ValidationSummary
from tests.support.sources import NSL_KDD
from tests.unit.tasks.conftest import MakeConnections

Read = Callable[..., AcceptedFile]


def accept_all(job: FileJob, ingested: IngestSummary) -> ValidationSummary:
    """Accept every row, as validation does, without its expectations."""
    summary = ValidationSummary(
        rows_accepted=ingested.rows_parsed,
        rows_quarantined=0,
        parts=tuple(
            PartFile(path=part, rows=pl.read_parquet(job.folder / part).height)
            for part in ingested.parts
        ),
        quarantine=None,
        is_rejected=False,
        rejection=None,
        results=(),
        advisories=(),
        report="",
    )
    return run_stage(
        job.folder, "validate", validate_key(job), ValidationSummary, lambda _: summary
    )


NORMAL, ATTACK = pl.col("class") == "normal", pl.col("class") != "normal"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def read(tmp_path: Path, lake: Path, make_connections: MakeConnections) -> Read:
    """Return a function that reads a file into the lake, later than those before."""
    files: list[AcceptedFile] = []

    def read(name: str, keep: pl.Expr, rows: int = 300, drop: tuple[str, ...] = ()) -> AcceptedFile:
        seed = sum(map(ord, name))
        frame = make_connections(rows, seed=seed).drop("row_number", "line_number")
        frame.filter(keep).drop(drop).write_csv(tmp_path / name)
        batch = hash_content(tmp_path / name).sha256
        folder = batch_folder(lake, NSL_KDD.name, batch)
        job = FileJob(
            source=tmp_path / name,
            batch_id=batch,
            contract=NSL_KDD.name,
            folder=folder,
            chunk_rows=100,
            max_quarantine_ratio=0.5,
        )
        accepted = accept(job, validate=accept_all)
        assert isinstance(accepted, AcceptedFile)
        files.append(accepted)
        os.utime(folder / "validate", (len(files), len(files)))
        return accepted

    return read


def names(found: EarlierFiles) -> list[str]:
    return list(found.sources.values())


def test_the_latest_file_with_the_class_that_lacks_is_taken_whole(read: Read, lake: Path) -> None:
    read("monday.csv", NORMAL)
    tuesday = read("tuesday.csv", pl.lit(value=True))
    read("wednesday.csv", ATTACK)
    found = find_earlier_files(lake, NSL_KDD, [read("thursday.csv", ATTACK)])
    assert names(found) == ["tuesday.csv"]
    assert found.parts == tuesday.parts
    (note,) = found.notes
    assert note == (
        "the files have too few normal connections, so 1 earlier training file of nsl_kdd is used"
        " too: tuesday.csv"
    )


def test_as_many_files_are_taken_as_are_needed(read: Read, lake: Path) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        read(name, NORMAL, rows=60)
    found = find_earlier_files(lake, NSL_KDD, [read("d.csv", ATTACK)])
    assert names(found) == ["c.csv", "b.csv"]


def test_nothing_is_taken_where_both_classes_are_there_or_no_labels(read: Read, lake: Path) -> None:
    read("monday.csv", pl.lit(value=True))
    both = [read("a.csv", NORMAL), read("b.csv", ATTACK)]
    assert find_earlier_files(lake, NSL_KDD, both) == EarlierFiles()
    bare = read("bare.csv", NORMAL, drop=("class", "attack"))
    assert find_earlier_files(lake, NSL_KDD, [bare]) == EarlierFiles()


def test_files_that_cannot_be_trained_on_are_passed_over(read: Read, lake: Path) -> None:
    read("sound.csv", NORMAL)
    read("bare.csv", NORMAL, drop=("class", "attack"))
    damaged = read("damaged.csv", NORMAL)
    damaged.parts[0].write_bytes(b"")
    other = read("other.csv", NORMAL)
    receipt = other.job.folder / "validate" / "receipt.json"
    receipt.write_text(receipt.read_text().replace(NSL_KDD.fingerprint, "f" * 64))
    found = find_earlier_files(lake, NSL_KDD, [read("attacks.csv", ATTACK)])
    assert names(found) == ["sound.csv"]
