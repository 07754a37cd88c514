"""One schedule: workers that share batches take turns, are killed and lose their locks.

Belongs here: which worker goes next, which is killed and which loses its locks, all drawn from one
seed. Does not belong here: what must hold at the end (see ``final_state``), or how many schedules
are run (``fuzz.schedules`` and the tests).
"""

import traceback
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Final

from tests.support.workers.batch_work import BatchWork, Observations
from tests.support.workers.example_batches import ALL, ARRIVED, MODELS
from tests.support.workers.final_state import UndisturbedRuns
from tests.support.workers.partial_results import find_partial_batches, find_partial_stages
from tests.support.workers.schedule_options import WEIGHTS, draw_options
from tests.support.workers.shared_stores import SharedStore
from tests.support.workers.stops import stops_at_files
from tests.support.workers.worker import Worker

MOST_WORKERS: Final = 12
"""Most workers of one schedule, restarted ones included. A guess: it makes every schedule end."""

NEVER: Final = 1 << 30
"""A turn that no schedule reaches."""

SHOWING: Final = frozenset({"mkdir", "rename"})
"""Kinds of steps that change what a reader sees in the lake."""

THOROUGH: Final = 40
"""One schedule in so many ends with all checks: they take as long as the schedule."""


@dataclass(frozen=True, kw_only=True)
class ScheduleResult:
    """The counts and faults of one schedule."""

    seed: int
    steps: int
    lock_losses: int
    """Number of workers that lost their locks."""
    repeats: int
    """Number of events that were delivered more than once."""
    kills: Counter[str]
    """Number of workers that were killed before a step, by the kind of step."""
    faults: tuple[str, ...]
    """What was wrong; empty if nothing was."""
    trace: tuple[str, ...]
    """Every step, in order."""


def describe_faults(result: ScheduleResult, database: str) -> str:
    """Describe the faults of a schedule, its steps, and the command that repeats it."""
    again = f"python -m fuzz schedules --seed {result.seed} --database {database} --seconds 0"
    return "\n".join(
        [f"schedule {result.seed}, repeated by {again}:"]
        + [f"  {fault}" for fault in result.faults]
        + ["after these steps:"]
        + [f"  {step}" for step in result.trace]
    )


@dataclass
class Schedule:
    """One schedule, while it runs."""

    store: SharedStore
    seed: int
    random: Random = field(init=False)
    observations: Observations = field(default_factory=Observations)
    workers: list[Worker] = field(default_factory=list)
    asleep: dict[Worker, int] = field(default_factory=dict)
    """For each sleeping worker, which has lost its locks, the turn at which it wakes."""
    turn: int = 0
    steps: int = 0
    lock_losses: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Seed the generator and draw the options."""
        self.random = Random(self.seed)  # noqa: S311 - the same seed must give the same schedule
        self.options = draw_options(self.random)

    def run(self, undisturbed: UndisturbedRuns) -> ScheduleResult:
        """Run the schedule to its end, then one undisturbed night, and check the final state."""
        self.store.reset()
        with stops_at_files(self.store.home, Random(self.seed)):  # noqa: S311 - see above
            for number in range(self.options.workers):
                self._begin("abcd"[number])
            self._interleave()
            self._finish()
        is_thorough = self.seed % THOROUGH == 0
        faults = undisturbed.find_faults(
            self.observations, self.options.examples, is_thorough=is_thorough
        )
        return ScheduleResult(
            seed=self.seed,
            steps=self.steps,
            lock_losses=self.lock_losses,
            repeats=self.observations.repeats,
            kills=self.kills,
            faults=tuple(faults),
            trace=tuple(self.trace),
        )

    def _begin(self, name: str, *, is_last: bool = False) -> None:
        """Start a worker on all batches, in a drawn order."""
        examples = list(self.options.examples)
        self.random.shuffle(examples)
        model = self.random.choice(MODELS)
        night = BatchWork(
            store=self.store,
            observations=self.observations,
            examples=tuple(examples),
            model=model,
            version=self.store.versions[model],
            started_at=ARRIVED + timedelta(hours=len(self.workers) + 1),
            is_whole=is_last or self._chance(self.options.whole_ratio),
            is_hasty=is_last or self._chance(self.options.hasty_ratio),
            is_repeated=self._chance(self.options.repeated_ratio),
        )
        self.workers.append(Worker(f"{name}{len(self.workers) + 1}", night.work))

    def _interleave(self) -> None:
        """Resume workers until each has ended or sleeps until the end."""
        chosen: Worker | None = None
        while alive := [worker for worker in self.workers if not worker.dead]:
            self.turn += 1
            awake = [worker for worker in alive if self.asleep.get(worker, 0) <= self.turn]
            ready = [worker for worker in awake if not self.store.has_to_wait(worker, alive)]
            if not ready:
                if not self._wake(alive):
                    return
                continue
            if chosen not in ready or self._chance(self.options.change_ratio):
                chosen = self.random.choice(ready)
            assert chosen is not None
            is_other = self._chance(self.options.elsewhere_ratio)
            victim = self.random.choice(awake) if is_other else chosen
            if self._is_to_be_killed(victim):
                self._kill(victim)
            elif self._is_to_lose_locks(chosen):
                self._take_locks(chosen)
            else:
                self._go_on(chosen)

    def _wake(self, alive: list[Worker]) -> bool:
        """Wake a sleeping worker; if none sleeps, report the others as deadlocked and kill them."""
        waiting = [worker for worker in alive if self.asleep.get(worker, 0) <= self.turn]
        soon = [worker for worker in alive if self.turn < self.asleep.get(worker, 0) < NEVER]
        if soon:
            del self.asleep[soon[0]]
        elif waiting:
            self.observations.faults.append(f"{[each.name for each in waiting]} are deadlocked")
            for worker in waiting:
                self.store.kill(worker)
        return bool(soon)

    def _chance(self, ratio: float) -> bool:
        return self.random.random() < ratio

    def _is_to_be_killed(self, worker: Worker) -> bool:
        ratio = self.options.crash_ratio * WEIGHTS.get(worker.next.kind, 1)
        return len(self.workers) < MOST_WORKERS and self._chance(ratio)

    def _kill(self, worker: Worker) -> None:
        """Kill a worker, and perhaps start it again."""
        self.kills[worker.next.kind] += 1
        self._note(worker, "is killed before ")
        if worker.has_lost_locks:
            self.observations.killed_without_lock.add(str(worker.claimed))
        self.store.kill(worker)
        self._check_batches()
        self.observations.faults += find_partial_stages(self.store, is_thorough=True)
        if self._chance(self.options.again_ratio):
            self._begin(worker.name[0])

    def _is_to_lose_locks(self, worker: Worker) -> bool:
        is_able = worker.claimed is not None and not worker.has_lost_locks
        return is_able and self._chance(self.options.lock_loss_ratio)

    def _take_locks(self, worker: Worker) -> None:
        """Take a worker's locks away; it then sleeps, unless it is in a transaction."""
        self.lock_losses += 1
        self._note(worker, "loses its locks before ")
        self.store.take_locks(worker)
        worker.has_lost_locks, worker.run_id = True, None
        self.observations.worked_without_lock.add(str(worker.claimed))
        if not worker.holdings.writing:
            sleep = self.random.randrange(self.options.longest_sleep)
            is_late = self._chance(self.options.late_ratio)
            self.asleep[worker] = NEVER if is_late else self.turn + sleep

    def _go_on(self, worker: Worker) -> None:
        """Resume a worker for one step."""
        self.steps += 1
        self._note(worker, "")
        kind, is_of_batch = worker.next.kind, worker.is_holding
        worker.switch()
        if worker.error is not None:
            said = "".join(traceback.format_exception(worker.error))
            self.observations.faults.append(f"{worker.name} ended with {said}")
        if kind == "commit" and is_of_batch:
            self._check_batches()
        elif kind in SHOWING:
            self.observations.faults += find_partial_stages(self.store, is_thorough=False)

    def _check_batches(self) -> None:
        """Check that a reader of the database sees only whole batches."""
        known = {example.batch_id: example for example in ALL}
        self.observations.faults += find_partial_batches(self.store, known)

    def _finish(self) -> None:
        """Run one undisturbed worker to its end, then wake the sleeping ones."""
        self.asleep = dict.fromkeys((each for each in self.workers if not each.dead), NEVER)
        self._begin("z", is_last=True)
        last, self.asleep = self.workers[-1], {}
        for worker in (last, *self.workers[:-1]):
            while not worker.dead:
                self._go_on(worker)

    def _note(self, worker: Worker, what: str) -> None:
        self.trace.append(f"{worker.name} {what}{worker.next.kind} {worker.next.what}")
