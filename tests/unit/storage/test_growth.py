"""Which rows of a growing file are known, and who may store them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from storage.batches import BatchRejection, commit_batch, find_batch, reject_batch
from storage.claims import OvertakenError, claim
from storage.database import read
from storage.deliveries import NewPrefixError
from storage.growth import KnownRows, PossiblePrefix, find_known, find_possible_prefixes
from storage.replays import find_target, record_replay
from storage.row_counts import RowCounts
from storage.schema import batch
from tests.unit.storage.conftest import LATER, NOW

SHORT, MIDDLE, LONG = "5" * 64, "6" * 64, "7" * 64
SIZES = {SHORT: 100, MIDDLE: 200, LONG: 300}
BEGINNINGS = {SHORT: (), MIDDLE: (SHORT,), LONG: (SHORT, MIDDLE)}


@pytest.fixture
def files(example: SimpleNamespace) -> Callable[..., None]:
    """Deliver contents of which each is the beginning of the next."""

    def deliver(*batch_ids: str) -> None:
        for batch_id in batch_ids:
            example.deliver(
                batch_id,
                content_bytes=SIZES[batch_id],
                source=Path(f"/inbox/{batch_id[:1]}.csv"),
                prefixes=tuple(one for one in BEGINNINGS[batch_id] if one in batch_ids),
            )

    return deliver


def known(example: SimpleNamespace, batch_id: str) -> KnownRows | None:
    with read(example.engine) as connection:
        return find_known(connection, batch_id)


def commit(example: SimpleNamespace, batch_id: str, rows_known: int = 0) -> None:
    example.commit(batch_id, rows_read=4 + rows_known, rows_known=rows_known)


def reject(example: SimpleNamespace, batch_id: str) -> None:
    with example.claim(batch_id) as held:
        faults = BatchRejection(
            reason="noise", rows=RowCounts.of_rejected(4), started_at=NOW, finished_at=LATER
        )
        reject_batch(example.engine, held, faults)


def test_contents_that_another_may_begin_with_are_listed_by_size(
    example: SimpleNamespace, files: Callable[..., None]
) -> None:
    files(SHORT, MIDDLE)
    example.deliver("8" * 64, content_bytes=0)
    example.deliver("9" * 64, contract="zeek", content_bytes=100)
    found = find_possible_prefixes(example.engine, "nsl_kdd")
    assert found[100] == (PossiblePrefix(batch_id=SHORT, sha256=SHORT, file_name="5.csv"),)
    assert set(found) == {100, 200, 400}, "the example's own has 400; empty ones begin nothing"


@pytest.mark.parametrize(
    ("scored", "rejected", "expected"),
    [
        ((), (), None),
        ((SHORT,), (), KnownRows(batch_id=SHORT, size_bytes=100)),
        ((SHORT, MIDDLE), (), KnownRows(batch_id=MIDDLE, size_bytes=200)),
        ((SHORT,), (MIDDLE,), KnownRows(batch_id=SHORT, size_bytes=100)),
        ((), (SHORT, MIDDLE), None),
    ],
    ids=["none", "one", "the longest", "not a rejected one", "only rejected ones"],
)
def test_the_longest_beginning_that_was_scored_is_known(
    example: SimpleNamespace,
    files: Callable[..., None],
    scored: tuple[str, ...],
    rejected: tuple[str, ...],
    expected: KnownRows | None,
) -> None:
    files(SHORT, MIDDLE, LONG)
    for batch_id in scored:
        commit(example, batch_id, rows_known=1 if batch_id == MIDDLE else 0)
    for batch_id in rejected:
        reject(example, batch_id)
    assert known(example, LONG) == expected


def test_a_shorter_file_that_comes_to_its_turn_late_is_known_whole(
    example: SimpleNamespace, files: Callable[..., None]
) -> None:
    files(SHORT, LONG)
    commit(example, LONG)
    assert known(example, SHORT) == KnownRows(batch_id=LONG, size_bytes=100)


def test_a_beginning_that_was_rejected_is_known_once_its_replay_is_scored(
    example: SimpleNamespace, files: Callable[..., None]
) -> None:
    files(SHORT, LONG)
    reject(example, SHORT)
    target = find_target(example.engine, SHORT)
    assert target is not None
    record_replay(example.engine, "a" * 64, target, "5.csv", NOW)
    assert known(example, LONG) is None
    example.commit("a" * 64)
    assert known(example, LONG) == KnownRows(batch_id=SHORT, size_bytes=100)


def test_the_claim_pins_what_is_known_and_the_commit_says_who_accounts_for_it(
    example: SimpleNamespace, files: Callable[..., None]
) -> None:
    files(SHORT, MIDDLE)
    commit(example, SHORT)
    with example.claim(MIDDLE) as held:
        assert held.known == KnownRows(batch_id=SHORT, size_bytes=100)
    commit(example, MIDDLE, rows_known=4)
    (row,) = [row for row in example.read(batch) if row["batch_id"] == MIDDLE]
    assert (row["known_batch_id"], row["rows_known"], row["rows_read"]) == (SHORT, 4, 8)


@pytest.mark.parametrize(
    ("mine", "other"), [(SHORT, LONG), (LONG, SHORT)], ids=["shorter", "longer"]
)
def test_of_two_files_with_the_same_rows_the_second_to_commit_is_refused_and_scores_the_rest(
    example: SimpleNamespace, files: Callable[..., None], mine: str, other: str
) -> None:
    files(SHORT, LONG)
    with example.claim(mine) as held:
        commit(example, other)
        before = example.read_all()
        with pytest.raises(OvertakenError, match="it scores only the other rows"):
            commit_batch(example.engine, held, example.result())
        assert example.read_all() == before
    with example.claim(mine) as again:
        assert again.known is not None
        assert again.known.batch_id == other


def test_the_file_of_a_replay_may_be_what_another_begins_with(
    example: SimpleNamespace, files: Callable[..., None]
) -> None:
    files(SHORT)
    reject(example, SHORT)
    target = find_target(example.engine, SHORT)
    assert target is not None
    record_replay(example.engine, "a" * 64, target, "fixed.csv", NOW, "f" * 64, 150)
    found = find_possible_prefixes(example.engine, "nsl_kdd")
    assert found[150] == (
        PossiblePrefix(batch_id="a" * 64, sha256="f" * 64, file_name="fixed.csv"),
    )
    example.deliver(LONG, content_bytes=300, prefixes=("a" * 64,))
    example.commit("a" * 64)
    assert known(example, LONG) == KnownRows(batch_id="a" * 64, size_bytes=150)


def test_a_content_that_came_while_another_was_hashed_is_looked_for_as_well(
    example: SimpleNamespace, files: Callable[..., None]
) -> None:
    files(SHORT)
    with pytest.raises(NewPrefixError):
        example.deliver(LONG, content_bytes=300, considered=frozenset())
    example.deliver(LONG, content_bytes=300, considered=frozenset({100}))
    assert find_batch(example.engine, LONG).status == "received"


def test_a_commit_that_is_repeated_is_not_overtaken_by_what_came_after_it(
    example: SimpleNamespace, files: Callable[..., None]
) -> None:
    files(SHORT, LONG)
    with claim(example.engine, example.folder / SHORT, SHORT) as held:
        commit_batch(example.engine, held, example.result())
        commit(example, LONG, rows_known=4)
        commit_batch(example.engine, held, example.result())
    assert find_batch(example.engine, SHORT).rows_scored == 2


def test_a_batch_of_known_rows_only_has_no_scoring(
    example: SimpleNamespace, files: Callable[..., None]
) -> None:
    files(SHORT, MIDDLE)
    commit(example, SHORT)
    example.commit(
        MIDDLE, scoring=None, rows_read=4, rows_scored=0, rows_quarantined=0, rows_known=4,
        quarantine=(), events=(),
    )  # fmt: skip
    found = find_batch(example.engine, MIDDLE)
    assert (found.status, found.rows_known, found.rows_scored) == ("scored", 4, 0)
    assert len(example.read_all()["scoring"]) == 1
