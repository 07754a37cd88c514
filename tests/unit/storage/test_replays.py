"""Which rows are open, what a replay of them records, and that no row is corrected twice."""

from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from storage.batches import BatchRejection, find_batch, reject_batch
from storage.claims import OvertakenError
from storage.growth import KnownRows
from storage.queries import batch_rows, quarantine_rows
from storage.replays import find_target, read_open_rows, record_replay
from storage.row_counts import RowCounts
from storage.schema import correction
from tests.unit.storage.conftest import BATCH_ID, LATER, NOW

REPLAY, OTHER, THIRD = "a1" * 32, "b2" * 32, "c3" * 32


@pytest.fixture
def scored(example: SimpleNamespace) -> SimpleNamespace:
    """A batch of four rows, of which rows 2 and 4 are quarantined."""
    example.commit()
    return example


@pytest.fixture
def rejected(example: SimpleNamespace) -> SimpleNamespace:
    """The same batch, rejected whole."""
    reject(example, BATCH_ID)
    return example


def reject(example: SimpleNamespace, batch_id: str) -> None:
    with example.claim(batch_id) as held:
        faults = BatchRejection(
            reason="noise", rows=RowCounts.of_rejected(4), started_at=NOW, finished_at=LATER
        )
        reject_batch(example.engine, held, faults)


def record(example: SimpleNamespace, batch_id: str, of: str = BATCH_ID) -> None:
    target = find_target(example.engine, of)
    assert target is not None
    record_replay(example.engine, batch_id, target, "night.csv", NOW)


def pairs(folder: Path, rows: dict[int, int]) -> Path:
    """Write which row of a replay is which of the batch it corrects."""
    path = folder / f"corrections-{len(rows)}-{sum(rows.values())}.parquet"
    columns = {"row_number": list(rows), "corrected_row_number": list(rows.values())}
    pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Int64)).write_parquet(path)
    return path


def open_rows(example: SimpleNamespace, batch_id: str = BATCH_ID) -> list[int]:
    return [row_number for row_number, _, _ in read_open_rows(example.engine, batch_id)]


def test_the_open_rows_of_a_scored_batch_are_those_quarantined_as_they_came(
    scored: SimpleNamespace,
) -> None:
    assert list(read_open_rows(scored.engine, BATCH_ID)) == [
        (2, 3, b"0,\x00tcp,\xff"),
        (4, 5, b"0,udp,7"),
    ]
    target = find_target(scored.engine, BATCH_ID)
    assert target is not None
    assert (target.rows_open, target.rows_lost, target.is_rejected) == (2, 0, False)


def test_a_replay_closes_the_rows_it_scored_and_leaves_the_others_open(
    scored: SimpleNamespace,
) -> None:
    record(scored, REPLAY)
    # The example scores its rows 1 and 3, and quarantines 2 and 4.
    scored.commit(REPLAY, corrections=pairs(scored.folder, {1: 2, 2: 4}))
    assert [(row["corrected_row_number"], row["is_scored"]) for row in scored.read(correction)] == [
        (2, True),
        (4, False),
    ]
    assert open_rows(scored) == [4]
    shown = quarantine_rows(scored.engine, batch=BATCH_ID)
    assert [(row["row_number"], row["corrected_by"]) for row in shown] == [(2, REPLAY), (4, None)]


def test_the_account_of_the_batch_that_is_replayed_stays_what_it_was(
    scored: SimpleNamespace,
) -> None:
    before = find_batch(scored.engine, BATCH_ID)
    record(scored, REPLAY)
    scored.commit(REPLAY, corrections=pairs(scored.folder, {1: 2, 2: 4}))
    assert find_batch(scored.engine, BATCH_ID) == before
    (row,) = [row for row in batch_rows(scored.engine) if row["batch_id"] == REPLAY]
    assert row["replayed_batch_id"] == BATCH_ID
    assert row["batch_date"] == before.batch_date, "it lands on the night of the rows"


def test_a_row_that_was_scored_by_one_replay_is_not_scored_by_another(
    scored: SimpleNamespace,
) -> None:
    record(scored, REPLAY)
    record(scored, OTHER)
    scored.commit(REPLAY, corrections=pairs(scored.folder, {1: 2}))
    before = scored.read_all()
    with pytest.raises(OvertakenError, match="has scored some of the same rows"):
        scored.commit(OTHER, corrections=pairs(scored.folder, {1: 2, 3: 4}))
    assert {**scored.read_all(), "batch": 0} == {**before, "batch": 0}, "but for its claim"


def test_a_replay_that_is_committed_twice_corrects_once(scored: SimpleNamespace) -> None:
    record(scored, REPLAY)
    corrections = pairs(scored.folder, {1: 2, 2: 4})
    scored.commit(REPLAY, corrections=corrections)
    before = scored.read(correction)
    scored.commit(REPLAY, corrections=corrections)
    assert scored.read(correction) == before


def test_a_replay_that_is_rejected_closes_nothing(scored: SimpleNamespace) -> None:
    record(scored, REPLAY)
    reject(scored, REPLAY)
    assert open_rows(scored) == [2, 4]
    target = find_target(scored.engine, REPLAY)
    assert target is not None
    assert target.batch_id == BATCH_ID, "to replay it is to replay what it is of"


def test_of_a_rejected_batch_every_row_is_open_until_a_replay_of_it_is_scored(
    rejected: SimpleNamespace,
) -> None:
    target = find_target(rejected.engine, BATCH_ID)
    assert target is not None
    assert (target.is_rejected, target.rows_open) == (True, 4)
    assert target.source == Path("/inbox/night.csv")
    record(rejected, REPLAY)
    rejected.commit(REPLAY)
    after = find_target(rejected.engine, BATCH_ID)
    assert after is not None
    assert (after.batch_id, after.is_rejected, after.rows_open) == (REPLAY, False, 2)
    record(rejected, THIRD, of=REPLAY)
    rejected.commit(THIRD, corrections=pairs(rejected.folder, {1: 2, 3: 4}))
    last = find_target(rejected.engine, BATCH_ID)
    assert last is not None
    assert (last.batch_id, last.rows_open) == (REPLAY, 0)


def test_of_two_replays_of_a_rejected_batch_one_is_stored(rejected: SimpleNamespace) -> None:
    record(rejected, REPLAY)
    record(rejected, OTHER)
    rejected.commit(REPLAY)
    with pytest.raises(OvertakenError, match="has scored some of the same rows"):
        rejected.commit(OTHER)
    assert find_batch(rejected.engine, OTHER).status == "received"


def test_a_rejected_batch_whose_rows_came_again_in_a_longer_file_is_not_open(
    rejected: SimpleNamespace,
) -> None:
    record(rejected, REPLAY)
    rejected.deliver(OTHER, content_bytes=900, prefixes=(BATCH_ID,))
    rejected.commit(OTHER)
    target = find_target(rejected.engine, BATCH_ID)
    assert target is not None
    assert (target.rows_open, target.corrected_by) == (0, OTHER)
    with pytest.raises(OvertakenError):
        rejected.commit(REPLAY)


@pytest.mark.parametrize("is_file_first", [True, False])
def test_a_corrected_file_that_also_comes_by_itself_is_scored_once(
    rejected: SimpleNamespace, *, is_file_first: bool
) -> None:
    def come() -> None:
        rejected.deliver(OTHER, content_bytes=900)

    def replay() -> None:
        target = find_target(rejected.engine, BATCH_ID)
        assert target is not None
        record_replay(rejected.engine, REPLAY, target, "fixed.csv", NOW, OTHER, 900)

    first, second = (OTHER, REPLAY) if is_file_first else (REPLAY, OTHER)
    for record_it in (come, replay) if is_file_first else (replay, come):
        record_it()
    rejected.commit(first)
    with rejected.claim(second) as held:
        assert held.known == KnownRows(batch_id=first, size_bytes=900)


def test_a_rejected_batch_is_replayed_by_the_file_that_has_grown_since(
    rejected: SimpleNamespace,
) -> None:
    target = find_target(rejected.engine, BATCH_ID)
    assert target is not None
    record_replay(rejected.engine, REPLAY, target, "night.csv", NOW, OTHER, 900, (BATCH_ID,))
    rejected.commit(REPLAY)
    assert find_batch(rejected.engine, REPLAY).status == "scored"


def test_lines_of_which_only_the_beginning_is_kept_are_told_apart(
    example: SimpleNamespace,
) -> None:
    cut = example.folder / "cut.parquet"
    pl.DataFrame(
        {
            "row_number": [2, 4],
            "line_number": [3, 5],
            "stage": ["ingest"] * 2,
            "reasons": [["longer than the 8 bytes of NOCTULE_MAX_LINE_BYTES"], ["no number"]],
            "raw": [b"012345678", b"x"],
        }
    ).write_parquet(cut)
    example.commit(quarantine=(cut,))
    assert open_rows(example) == [2, 4]
    assert [row for row, _, _ in read_open_rows(example.engine, BATCH_ID, is_whole=True)] == [4]


def test_a_batch_that_is_not_finished_has_nothing_to_replay(example: SimpleNamespace) -> None:
    assert find_target(example.engine, BATCH_ID) is None


def test_rows_past_the_limit_are_counted_and_not_kept(example: SimpleNamespace) -> None:
    example.commit(quarantine_limit=1)
    found = find_batch(example.engine, BATCH_ID)
    assert (found.rows_quarantined, open_rows(example)) == (2, [2])
    target = find_target(example.engine, BATCH_ID)
    assert target is not None
    assert target.rows_lost == 1
