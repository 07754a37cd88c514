"""Killed, interleaved and lock-less workers end in the rows of one undisturbed worker."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection, Engine, RowMapping

from storage import batches, claims, lake
from storage.claims import Claim, claim
from storage.lake import batch_folder
from storage.outbox import PendingEvent, mark_published, pending_events
from storage.schema import batch
from tests.support.workers import batch_work
from tests.support.workers.batch_work import BatchWork, Observations
from tests.support.workers.example_batches import ALL, ARRIVED, CONTRACT, SMALL, StageOutput
from tests.support.workers.final_state import UndisturbedRuns
from tests.support.workers.schedule import Schedule, ScheduleResult, describe_faults
from tests.support.workers.shared_stores import SharedStore, open_store
from tests.support.workers.stops import stops_at_files
from tests.support.workers.worker import Worker

SCHEDULES = {"sqlite": range(70), "postgresql": range(170, 240), "postgresql15": range(15)}
"""Seeds of the schedules; among them a worker is killed before each kind of step."""

FILES = {"fsync", "mkdir", "open", "rename", "rmdir", "unlink", "write"}
STATEMENTS = {"commit", "delete", "insert", "select", "update"}
KINDS = {
    "sqlite": {*FILES, *STATEMENTS, "call", "deliver", "begin", "flock"},
    "postgresql": {*FILES, *STATEMENTS, "call", "deliver", "analyze", "copy", "wait"},
    "postgresql15": set(),  # too few schedules for every kind
}


@pytest.fixture(scope="module", params=SCHEDULES)
def store(
    request: pytest.FixtureRequest, server_named: Callable[[str], str]
) -> Iterator[tuple[str, SharedStore]]:
    name = request.param
    server = None if name == "sqlite" else server_named(name)
    with open_store(name, server) as store:
        yield name, store


@pytest.fixture(scope="module")
def undisturbed(store: tuple[str, SharedStore]) -> UndisturbedRuns:
    return UndisturbedRuns(store[1], ALL)


def run(store: SharedStore, undisturbed: UndisturbedRuns, seed: int) -> ScheduleResult:
    return Schedule(store, seed).run(undisturbed)


def test_every_schedule_ends_in_the_rows_of_an_undisturbed_night(
    store: tuple[str, SharedStore], undisturbed: UndisturbedRuns
) -> None:
    name, place = store
    kills: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for seed in SCHEDULES[name]:
        result = run(place, undisturbed, seed)
        assert result.faults == (), describe_faults(result, name)
        kills.update(result.kills)
        counts.update(lock_losses=result.lock_losses, repeats=result.repeats)
    assert KINDS[name] - kills.keys() == set()
    assert counts["lock_losses"] > 0
    assert counts["repeats"] > 0 or not KINDS[name]


def test_a_schedule_is_the_same_each_time(
    store: tuple[str, SharedStore], undisturbed: UndisturbedRuns
) -> None:
    seed = next(seed for seed in count() if run(store[1], undisturbed, seed).kills.total() > 2)
    assert run(store[1], undisturbed, seed) == run(store[1], undisturbed, seed)


@pytest.mark.parametrize("kind", ["write", "delete", "commit"])
def test_a_killed_worker_leaves_its_files_and_no_rows(
    kind: str, store: tuple[str, SharedStore]
) -> None:
    _, place = store
    place.reset()
    folder = batch_folder(place.lake, CONTRACT, SMALL.batch_id)
    work = BatchWork(
        store=place,
        observations=Observations(),
        examples=(SMALL,),
        model="a",
        version=place.versions["a"],
        started_at=ARRIVED,
        is_whole=True,
        is_hasty=True,
        is_repeated=False,
    )
    with stops_at_files(place.home, Random(0)):  # noqa: S311 - names of files
        worker = Worker("a", work.work)
        while not worker.claimed or worker.next.kind != kind:
            worker.switch()
        files = {path: path.stat().st_size for path in place.lake.rglob("*") if path.is_file()}
        place.kill(worker)
    assert {path: path.stat().st_size for path in files} == files  # even if torn
    assert bool(list(folder.glob(".attempt-*"))) == (kind == "write")
    found = place.read_all()
    assert found["scoring"] == found["quarantined_row"] == found["outbox"] == []
    assert [row["state"] for row in found["run"]] == ["running"]
    with claim(place.engine, folder, SMALL.batch_id) as held:
        assert held is not None
        assert (held.token, held.status) == (2, "received")


def commits_without_fence(patch: pytest.MonkeyPatch) -> None:
    def any_claim(connection: Connection, held: Claim) -> RowMapping:
        found = connection.execute(sa.select(batch).where(batch.c.batch_id == held.batch_id))
        return found.mappings().one()

    patch.setattr(batches, "check_fence", any_claim)


def holds_without_lock(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def open_to_all(folder: Path) -> Iterator[bool]:
        folder.mkdir(parents=True, exist_ok=True)
        yield True

    patch.setattr(claims, "lock_folder", open_to_all)


def inserts_without_delete(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(batches, "_clear", lambda *_: None)


def works_in_place(patch: pytest.MonkeyPatch) -> None:
    def do_stage(
        folder: Path,
        _: Path,
        stage: str,
        key: Mapping[str, str],
        work: Callable[[Path], StageOutput],
    ) -> StageOutput:
        done = folder / stage
        done.mkdir(parents=True, exist_ok=True)
        made = work(done)
        files = {name: lake.hash_file(done / name) for name in made.files}
        receipt = {"key": dict(key), "files": files, "summary": made.model_dump(mode="json")}
        lake.write_atomically(done / lake.RECEIPT, json.dumps(receipt).encode())
        return made

    patch.setattr(lake, "_do_stage", do_stage)


def marks_before_sending(patch: pytest.MonkeyPatch) -> None:
    def marked(engine: Engine) -> list[PendingEvent]:
        found = pending_events(engine)
        mark_published(engine, [told.outbox_id for told in found], datetime.now(UTC))
        return found

    patch.setattr(batch_work, "pending_events", marked)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("breaks", "fault"),
    [
        (commits_without_fence, "committed, the newest is"),
        (holds_without_lock, "was given batch"),
        (inserts_without_delete, "UNIQUE constraint failed: quarantined_row"),
        (works_in_place, "is not whole"),
        (marks_before_sending, "was never received"),
    ],
)
def test_a_defect_of_storage_is_found(
    breaks: Callable[[pytest.MonkeyPatch], None],
    fault: str,
    store: tuple[str, SharedStore],
    undisturbed: UndisturbedRuns,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaks(monkeypatch)
    results = (run(store[1], undisturbed, seed) for seed in SCHEDULES["sqlite"])
    assert any(fault in found for result in results for found in result.faults)
