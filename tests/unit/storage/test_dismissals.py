"""A rejection stays open until its file is scored or somebody dismisses it."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from expectations.errors import UsageError
from storage.batches import BatchRejection, reject_batch
from storage.check.tables import check_tables
from storage.dismissals import dismiss
from storage.queries import batch_rows, open_rejection_rows
from storage.replays import find_target, record_replay
from storage.row_counts import RowCounts
from tests.unit.storage.conftest import BATCH_ID, LATER, NOW

OTHER, THIRD = "cd" * 32, "ef" * 32
PATH = Path("/inbox/night.csv")


def reject(example: SimpleNamespace, batch_id: str = BATCH_ID) -> None:
    with example.claim(batch_id) as held:
        assert held is not None
        why = BatchRejection(
            reason="no usable row", rows=RowCounts.of_rejected(4), started_at=NOW, finished_at=LATER
        )
        reject_batch(example.engine, held, why)


def score(example: SimpleNamespace, batch_id: str, source: Path = PATH, **more: object) -> None:
    """Deliver another content, and store the example result as its own."""
    example.deliver(batch_id, source=source, content_bytes=500, **more)
    example.commit(batch_id, events=())


def open_files(example: SimpleNamespace) -> list[str]:
    return [Path(row["source_path"]).name for row in open_rejection_rows(example.engine)]


def settle(example: SimpleNamespace, reason: str = "a test file") -> tuple[str, ...]:
    return dismiss(example.engine, BATCH_ID, who="ada", reason=reason, now=LATER)


@pytest.fixture
def rejected(example: SimpleNamespace) -> SimpleNamespace:
    """A database in which night.csv was rejected."""
    reject(example)
    return example


def test_a_rejection_is_open_and_a_scored_or_unfinished_batch_is_not(
    rejected: SimpleNamespace,
) -> None:
    score(rejected, OTHER, Path("/inbox/other.csv"))
    rejected.deliver(THIRD, source=Path("/inbox/third.csv"), content_bytes=600)
    (row,) = open_rejection_rows(rejected.engine, contract="nsl_kdd")
    assert (row["batch_id"], row["file_name"], row["rejection"]) == (
        BATCH_ID,
        "night.csv",
        "no usable row",
    )
    assert row["arrived_at"] == NOW
    assert {one["batch_id"]: one["is_open"] for one in batch_rows(rejected.engine)} == {
        BATCH_ID: True,
        OTHER: False,
        THIRD: False,
    }
    assert open_rejection_rows(rejected.engine, contract="zeek") == []
    assert open_rejection_rows(rejected.engine, batches=[OTHER]) == []
    assert open_rejection_rows(rejected.engine, batches=[]) == []


def test_a_dismissal_settles_it_and_is_kept_with_the_batch(rejected: SimpleNamespace) -> None:
    assert settle(rejected) == ("night.csv",)
    assert open_files(rejected) == []
    (row,) = batch_rows(rejected.engine)
    assert (row["status"], row["is_open"], row["dismissed_at"], row["dismissed_by"]) == (
        "rejected",
        False,
        LATER,
        "ada",
    )
    assert row["dismissal_reason"] == "a test file"
    assert list(check_tables(rejected.engine)) == []


def test_the_same_file_seen_again_stays_dismissed_and_delivered_again_is_open(
    rejected: SimpleNamespace,
) -> None:
    settle(rejected)
    rejected.deliver()
    assert open_files(rejected) == []
    rejected.deliver(modified_at=LATER)
    assert open_files(rejected) == ["night.csv"]
    assert settle(rejected, "again") == ("night.csv",)
    (row,) = batch_rows(rejected.engine)
    assert row["dismissal_reason"] == "again"


def test_one_content_under_two_names_is_two_open_files(rejected: SimpleNamespace) -> None:
    rejected.deliver(source=Path("/inbox/next.csv"), arrived_at=LATER)
    rejected.deliver(modified_at=LATER, arrived_at=LATER)
    assert sorted(open_files(rejected)) == ["next.csv", "night.csv"]
    score(rejected, OTHER)
    assert open_files(rejected) == ["next.csv"], "night.csv was delivered anew"
    assert settle(rejected) == ("next.csv",)


@pytest.mark.parametrize("name", ["night.csv", "night.csv.gz", "night.csv.GZ", "night.csv.zst"])
@pytest.mark.parametrize("first", ["night.csv", "night.csv.gz", "night.csv.zstd"])
def test_a_file_delivered_anew_and_scored_settles_it(
    example: SimpleNamespace, first: str, name: str
) -> None:
    example.deliver(THIRD, source=PATH.with_name(first), content_bytes=300)
    reject(example, THIRD)
    assert open_files(example) == [first]
    score(example, OTHER, PATH.with_name(name))
    assert open_files(example) == []


@pytest.mark.parametrize(
    "source",
    [Path("/inbox/night2.csv"), Path("/other/night.csv"), Path("/inbox/night.csv.bak")],
)
def test_a_file_of_another_path_settles_nothing(rejected: SimpleNamespace, source: Path) -> None:
    score(rejected, OTHER, source)
    assert open_files(rejected) == ["night.csv"]


def test_a_file_scored_before_it_settles_nothing(example: SimpleNamespace) -> None:
    score(example, OTHER, PATH)
    example.deliver(modified_at=LATER)  # the bad content, over the good one
    reject(example)
    assert open_files(example) == ["night.csv"]


def test_a_file_delivered_anew_that_is_rejected_too_leaves_both_open(
    rejected: SimpleNamespace,
) -> None:
    rejected.deliver(OTHER, content_bytes=500, modified_at=LATER)
    assert open_files(rejected) == ["night.csv"], "it is not decided yet"
    reject(rejected, OTHER)
    assert open_files(rejected) == ["night.csv", "night.csv"]
    score(rejected, THIRD, modified_at=LATER + timedelta(1))
    assert open_files(rejected) == []


@pytest.mark.parametrize("is_scored", [True, False])
def test_a_file_that_no_contract_had_is_settled_once_a_contract_has_it(
    example: SimpleNamespace, *, is_scored: bool
) -> None:
    unread = example.deliver(OTHER, contract="unrecognised", modified_at=LATER)
    reject(example, unread.batch_id)
    assert open_files(example) == ["night.csv"], "a file scored before it settles nothing"
    read = example.deliver(OTHER, contract="zeek", modified_at=LATER)
    assert open_files(example) == ["night.csv"], "it is not decided yet"
    if is_scored:
        example.register("b", contract="zeek")
        example.commit(read.batch_id, model_version="zeek-bbbbbbbbbbbb", events=())
    else:
        reject(example, read.batch_id)
    still_open = open_rejection_rows(example.engine)
    assert [row["contract"] for row in still_open] == ([] if is_scored else ["zeek"])


def test_a_scored_replay_settles_it(rejected: SimpleNamespace) -> None:
    target = find_target(rejected.engine, BATCH_ID)
    assert target is not None
    record_replay(rejected.engine, OTHER, target, "night.csv", NOW)
    reject(rejected, OTHER)
    assert open_files(rejected) == ["night.csv"], "the replay was rejected, and is no file"
    record_replay(rejected.engine, THIRD, target, "night.csv", NOW)
    rejected.commit(THIRD, events=())
    assert open_files(rejected) == []


def test_a_longer_file_that_begins_with_it_settles_it(rejected: SimpleNamespace) -> None:
    score(rejected, OTHER, Path("/inbox/longer.csv"), prefixes=(BATCH_ID,))
    assert open_files(rejected) == []


def test_what_is_not_open_is_not_dismissed_and_the_refusal_says_why(
    rejected: SimpleNamespace,
) -> None:
    with pytest.raises(UsageError, match=r"--reason is empty\. Give a reason"):
        settle(rejected, " ")
    settle(rejected)
    with pytest.raises(UsageError) as refused:
        settle(rejected)
    assert str(refused.value) == (
        "Cannot dismiss batch abababababababab: ada already dismissed it on 2026-11-21:"
        " a test file. Nothing was changed."
    )
    rejected.deliver(OTHER, source=Path("/inbox/other.csv"), content_bytes=500)
    for says in ("is not finished", "is scored"):
        with pytest.raises(
            UsageError, match=f"it {says}, and only a rejected file can be dismissed"
        ):
            dismiss(rejected.engine, OTHER, who="ada", reason="why", now=NOW)
        rejected.commit(OTHER, events=())


def test_a_rejected_replay_stands_for_its_file(rejected: SimpleNamespace) -> None:
    target = find_target(rejected.engine, BATCH_ID)
    assert target is not None
    record_replay(rejected.engine, OTHER, target, "night.csv", NOW)
    reject(rejected, OTHER)
    named = dismiss(rejected.engine, OTHER, who="ada", reason="why", now=NOW)
    assert named == ("night.csv",)
    assert open_files(rejected) == []


def test_a_batch_whose_replay_is_scored_needs_no_dismissal(rejected: SimpleNamespace) -> None:
    target = find_target(rejected.engine, BATCH_ID)
    assert target is not None
    record_replay(rejected.engine, THIRD, target, "night.csv", NOW)
    rejected.commit(THIRD, events=())
    with pytest.raises(UsageError, match="it is not open: a replay or a later delivery has scored"):
        settle(rejected)
