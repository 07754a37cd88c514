"""The work of one worker: the same calls to ``storage`` as the flows make, without Prefect.

Belongs here: the order of the calls, and what is observed while they are made. Does not belong
here: the content of the batches (see ``example_batches``), or which worker is killed when
(``schedule``).

It follows ``flows.batch`` and ``flows.run_records.record_run`` without Prefect: when the order of
the calls changes there, change it here too.
"""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from polars.exceptions import PolarsError

from expectations.errors import NoctuleError
from storage.batches import commit_batch, reject_batch
from storage.claims import Claim, ClaimLostError, OvertakenError, claim
from storage.deliveries import find_delivery, record_delivery
from storage.growth import find_possible_prefixes
from storage.lake import batch_folder, discard_attempts, run_stage
from storage.outbox import PendingEvent, mark_published, pending_events
from storage.runs import RunState, close_killed_runs, finish_run, open_run
from tests.support.workers.example_batches import (
    CONTRACT,
    ExampleBatch,
    StageOutput,
    ingested,
    rejection_of,
    result_of,
    scored,
)
from tests.support.workers.shared_stores import SharedStore
from tests.support.workers.worker import Worker

MINUTE: Final = timedelta(minutes=1)

STATE: Final = "SELECT state FROM run WHERE run_id ="


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit that succeeded, as the worker was told."""

    token: int
    known: str | None
    """The id of the batch that accounts for the known rows."""
    version: str | None
    """The model version that scored the batch; None if it was rejected."""


@dataclass(eq=False)
class Observations:
    """What a schedule observes outside the database, and the faults among it."""

    faults: list[str] = field(default_factory=list)
    holders: dict[str, list[Worker]] = field(default_factory=dict)
    """For each batch, the workers that hold it, or believe that they do."""
    worked_without_lock: set[str] = field(default_factory=set)
    """Batches on which a worker went on after it had lost its lock."""
    killed_without_lock: set[str] = field(default_factory=set)
    """Batches on which such a worker was killed."""
    commits: dict[str, list[Commit]] = field(default_factory=dict)
    lost: list[tuple[str, int]] = field(default_factory=list)
    """The batch and the token of each claim that was refused at the commit."""
    received: dict[str, PendingEvent] = field(default_factory=dict)
    """The first delivery of each event, by its key."""
    repeats: int = 0
    """Number of repeated deliveries, which were dropped."""
    runs: int = 0
    """Number of runs that were opened."""

    @contextmanager
    def held(self, worker: Worker, batch_id: str, held: Claim) -> Iterator[None]:
        """Record that a worker holds a batch; two holders are a fault, unless one lost its lock."""
        holders = self.holders.setdefault(batch_id, [])
        alive = [each.name for each in holders if not (each.has_lost_locks or each.is_killed)]
        if alive:
            self.faults.append(f"{worker.name} was given batch {batch_id[:8]}, which {alive} holds")
        holders.append(worker)
        worker.is_holding, worker.claimed = True, None if held.is_finished else batch_id
        try:
            yield
        finally:
            holders.remove(worker)
            worker.is_holding, worker.claimed, worker.has_lost_locks = False, None, False

    def receive(self, told: PendingEvent) -> None:
        """Receive an event; drop it if it came before."""
        first = self.received.setdefault(told.key, told)
        if first is not told:
            self.repeats += 1
        if first != told:
            self.faults.append(f"event {told.key} was delivered again with other content")

    def note_error(
        self, worker: Worker, batch_id: str, error: Exception, held: Claim | None
    ) -> None:
        """Record an error, unless the schedule explains it."""
        if worker.is_killed:
            return  # the kill caused it
        lost_lock = batch_id in self.worked_without_lock
        if isinstance(error, ClaimLostError) and lost_lock and held is not None:
            self.lost.append((batch_id, held.token))
        elif isinstance(error, OvertakenError) or (
            # A worker without a lock and the holder of the batch remove each other's files.
            lost_lock and isinstance(error, (OSError, PolarsError, NoctuleError))
        ):
            pass
        else:
            said = "".join(traceback.format_exception(error))
            self.faults.append(f"{worker.name} failed on batch {batch_id[:8]}: {said}")


@dataclass(frozen=True, kw_only=True)
class BatchWork:
    """The work of one worker, from its first batch to its last."""

    store: SharedStore
    observations: Observations
    examples: tuple[ExampleBatch, ...]
    """In the order of the work."""
    model: str
    """The content of the champion when the work began."""
    version: str
    """The model version of that champion."""
    started_at: datetime
    is_whole: bool
    """Whether it runs the nightly flow; otherwise only the flow of each file."""
    is_hasty: bool
    """Whether it skips files whose batch is finished, as a night does, or runs them again."""
    is_repeated: bool
    """Whether it makes each commit twice, as a task does that did not learn of its success."""

    def work(self, worker: Worker) -> None:
        """Run all of it."""
        if self.is_whole:
            close_killed_runs(self.store.engine, self.started_at)
        received: set[ExampleBatch] = set()
        for example in self.examples:
            arrived = example.delivery(self._inbox, self.started_at, ())
            known = find_delivery(
                self.store.engine, arrived.source, arrived.size_bytes, arrived.modified_at
            )
            if known is None or not known.is_finished or not self.is_hasty:
                self._receive(example, received)
                worker.step("call", f"run {example.name}")
                self._run(worker, example)
        if self.is_whole:
            self._publish(worker)  # events that an earlier night left

    @property
    def _inbox(self) -> Path:
        return self.store.home / "inbox"

    def _receive(self, example: ExampleBatch, received: set[ExampleBatch]) -> None:
        """Record the delivery of a batch, after the delivery of the file from which it grew."""
        if example in received:
            return
        received.add(example)
        beginnings: tuple[str, ...] = ()
        if example.beginning is not None:
            self._receive(example.beginning, received)
            known = {
                each.batch_id
                for same_size in find_possible_prefixes(self.store.engine, CONTRACT).values()
                for each in same_size
            }
            beginnings = tuple(known & {example.beginning.batch_id})
        record_delivery(
            self.store.engine, example.delivery(self._inbox, self.started_at, beginnings)
        )

    def _run(self, worker: Worker, example: ExampleBatch) -> None:
        """Open a run, work on one batch, and finish the run."""
        close_killed_runs(self.store.engine, self.started_at)
        with open_run(
            self.store.engine, "batch", self.started_at, batch_id=example.batch_id
        ) as run_id:
            self.observations.runs += 1
            worker.run_id = run_id
            message = self._claim(worker, example)
            alive, worker.run_id = worker.run_id, None
            if alive and self.store.ask(f"{STATE} {alive}") != [("running",)]:  # not a step
                self.observations.faults.append(f"run {alive} is alive, its row says it has ended")
            state: RunState = "completed" if message is None else "failed"
            ended_at = self.started_at + MINUTE
            finish_run(self.store.engine, run_id, state, message or "done", ended_at)

    def _claim(self, worker: Worker, example: ExampleBatch) -> str | None:
        """Claim the batch and finish it; return the name of the error if that failed."""
        batch_id, held = example.batch_id, None
        folder = batch_folder(self.store.lake, CONTRACT, batch_id)
        try:
            with claim(self.store.engine, folder, batch_id) as held:
                if held is not None:
                    with self.observations.held(worker, batch_id, held):
                        if not held.is_finished:
                            self._finish(worker, example, held, folder)
                        worker.step("call", "let go")
        except Exception as error:  # noqa: BLE001 - recorded, and the run fails as a flow does
            self.observations.note_error(worker, batch_id, error, held)
            return type(error).__name__
        return None

    def _finish(self, worker: Worker, example: ExampleBatch, held: Claim, folder: Path) -> None:
        """Do the remaining stages of a batch, commit it and publish its events."""
        discard_attempts(folder)
        known = None if held.known is None else held.known.batch_id
        version = None
        key = {"content": held.batch_id, "known": str(known)}
        stages = {"ingest": _stage(folder, "ingest", key, *ingested(example, known))}
        worker.step("call", "ingested")
        if not example.is_rejected and example.numbers(known):
            stage = f"score-{self.model}"
            made = scored(example, known, self.model)
            stages[stage] = _stage(folder, stage, {**key, "model": self.version}, *made)
            version = self.version
            worker.step("call", "scored")
        times = (self.started_at, self.started_at + MINUTE)
        for _ in range(2 if self.is_repeated else 1):
            if example.is_rejected:
                reject_batch(self.store.engine, held, rejection_of(example, times))
            else:
                made_of = (folder, stages, self.model, self.version, times, known)
                commit_batch(self.store.engine, held, result_of(example, *made_of))
            self.observations.commits.setdefault(held.batch_id, []).append(
                Commit(token=held.token, known=known, version=version)
            )
            worker.claimed = None
            worker.step("call", "committed")
        self._publish(worker)

    def _publish(self, worker: Worker) -> None:
        """Deliver the pending events, then mark them as published."""
        taken = []
        for told in pending_events(self.store.engine):
            worker.step("deliver", told.key[-12:])
            self.observations.receive(told)
            taken.append(told.outbox_id)
        mark_published(self.store.engine, taken, self.started_at)


def _stage(
    folder: Path, stage: str, key: dict[str, str], made: StageOutput, files: Mapping[str, bytes]
) -> StageOutput:
    """Run a stage, unless its receipt matches."""

    def work(out: Path) -> StageOutput:
        for name, content in files.items():
            (out / name).write_bytes(content)
        return made

    return run_stage(folder, stage, key, StageOutput, work)
