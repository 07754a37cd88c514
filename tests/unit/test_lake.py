"""Stages run once, completely or not at all, and again if their inputs changed."""

import errno
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from polars.exceptions import ComputeError
from pydantic import BaseModel

from expectations.errors import ServiceUnavailableError, UsageError
from storage.lake import discard_attempts, read_accepted, read_costs, run_stage, write_atomically

EARLIER = datetime(2020, 1, 1, tzinfo=UTC)
"""Before any test ran."""


class Count(BaseModel):
    rows: int


def write_three(out: Path) -> Count:
    (out / "rows.txt").write_text("1\n2\n3\n")
    return Count(rows=3)


def refuse(out: Path) -> Count:
    (out / "rows.txt").write_text("1\n")
    msg = "stopped half-way"
    raise OSError(msg)


def never(out: Path) -> Count:
    msg = "the stage was done before"
    raise AssertionError(msg)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), ComputeError("parquet: no space left (os error 28)")]
)
def test_a_full_disk_is_no_bug_and_leaves_nothing(tmp_path: Path, error: Exception) -> None:
    def fill(out: Path) -> Count:
        (out / "rows.txt").write_text("1\n")
        raise error

    with pytest.raises(ServiceUnavailableError, match="the disk is full"):
        run_stage(tmp_path, "count", {"input": "a"}, Count, fill)
    assert list(tmp_path.iterdir()) == []


def test_a_finished_stage_is_not_done_again(tmp_path: Path) -> None:
    run_stage(tmp_path, "count", {"input": "a"}, Count, write_three)
    assert run_stage(tmp_path, "count", {"input": "a"}, Count, never) == Count(rows=3)


def test_another_key_redoes_the_stage(tmp_path: Path) -> None:
    run_stage(tmp_path, "count", {"input": "a"}, Count, write_three)
    with pytest.raises(AssertionError):
        run_stage(tmp_path, "count", {"input": "b"}, Count, never)


@pytest.mark.parametrize("damage", ["missing", "torn", "no receipt"])
def test_a_damaged_stage_is_redone(tmp_path: Path, damage: str) -> None:
    run_stage(tmp_path, "count", {"input": "a"}, Count, write_three)
    if damage == "missing":
        (tmp_path / "count" / "rows.txt").unlink()
    elif damage == "torn":
        (tmp_path / "count" / "rows.txt").write_text("1\n")
    else:
        (tmp_path / "count" / "receipt.json").write_text("{")
    run_stage(tmp_path, "count", {"input": "a"}, Count, write_three)
    assert (tmp_path / "count" / "rows.txt").read_text() == "1\n2\n3\n"


def test_a_failed_stage_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="half-way"):
        run_stage(tmp_path, "count", {"input": "a"}, Count, refuse)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_redo_keeps_the_old_files(tmp_path: Path) -> None:
    run_stage(tmp_path, "count", {"input": "a"}, Count, write_three)
    with pytest.raises(OSError, match="half-way"):
        run_stage(tmp_path, "count", {"input": "b"}, Count, refuse)
    assert run_stage(tmp_path, "count", {"input": "a"}, Count, never) == Count(rows=3)


def test_the_work_sees_a_folder_named_like_the_stage(tmp_path: Path) -> None:
    seen: list[str] = []

    def look(out: Path) -> Count:
        seen.append(out.name)
        return Count(rows=0)

    run_stage(tmp_path, "count", {"input": "a"}, Count, look)
    assert seen == ["count"]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    write_atomically(target, b"old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_stage_says_what_it_cost(tmp_path: Path) -> None:
    run_stage(tmp_path, "count", {"input": "a"}, Count, write_three)
    cost = read_costs(tmp_path, EARLIER)["count"]
    assert cost.wall_s >= 0
    assert cost.peak_mb > 1


def test_a_stage_that_was_found_done_cost_this_run_nothing(tmp_path: Path) -> None:
    for stage in ("count", "weigh"):
        run_stage(tmp_path, stage, {"input": "a"}, Count, write_three)
    before = (EARLIER - timedelta(days=1)).timestamp()
    os.utime(tmp_path / "count" / "receipt.json", (before, before))
    run_stage(tmp_path, "count", {"input": "a"}, Count, never)
    assert list(read_costs(tmp_path, EARLIER)) == ["weigh"]


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    run_stage(tmp_path, "count", {"input": "a"}, Count, write_three)
    (tmp_path / ".attempt-1" / "score").mkdir(parents=True)
    discard_attempts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["count"]


def test_who_lost_the_lock_makes_no_stage_of_files_that_were_discarded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove_files_and_die(folder: Path, **_: object) -> None:
        for path in folder.rglob("*.txt"):
            path.unlink()

    def work(out: Path) -> Count:
        count = write_three(out)
        discard_attempts(tmp_path)  # by the run that has the lock now, which is killed in it
        return count

    monkeypatch.setattr("storage.lake.shutil.rmtree", remove_files_and_die)
    with pytest.raises(FileNotFoundError):
        run_stage(tmp_path, "ingest", {}, Count, work)
    assert not (tmp_path / "ingest").exists()


class Accepted(BaseModel):
    """What validation came to: rows in its own folder, and in the one before."""

    parts: tuple[dict[str, str], ...] = ({"path": "ingest/rows.txt"}, {"path": "validate/rows.txt"})


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    def accept(out: Path) -> Accepted:
        write_three(out)
        return Accepted()

    run_stage(tmp_path, "ingest", {}, Count, write_three)
    run_stage(tmp_path, "validate", {}, Accepted, accept)
    return tmp_path


def test_accepted_rows_are_read_where_all_of_them_are_as_they_were_left(batch: Path) -> None:
    assert read_accepted(batch, Accepted) == Accepted()


@pytest.mark.parametrize("stage", ["ingest", "validate"])
@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (shutil.rmtree, "it is missing"),
        (lambda done: (done / "rows.txt").unlink(), "rows.txt is missing"),
        (lambda done: (done / "rows.txt").write_text("1\n"), "rows.txt was altered"),
        (lambda done: (done / "receipt.json").unlink(), "receipt.json cannot be read"),
    ],
    ids=["gone", "lost", "torn", "no receipt"],
)
def test_accepted_rows_are_refused_where_any_folder_of_theirs_is_damaged(
    batch: Path, stage: str, damage: Callable[[Path], object], fault: str
) -> None:
    damage(batch / stage)
    said = f"the files of the stage {stage} in {batch / stage}: {fault}.*Restore the batch's folder"
    with pytest.raises(UsageError, match=said):
        read_accepted(batch, Accepted)


def test_a_stage_that_was_done_again_without_the_accepted_rows_is_refused(batch: Path) -> None:
    def write_others(out: Path) -> Count:
        (out / "others.txt").write_text("1\n")
        return Count(rows=1)

    run_stage(batch, "ingest", {"chunks": "smaller"}, Count, write_others)
    with pytest.raises(UsageError, match=r"rows\.txt, which has accepted rows, is missing"):
        read_accepted(batch, Accepted)
