"""Schedules: workers that share batches, interleaved and struck as one number says.

Belongs here: who goes next, who is struck, who loses its lock, all drawn from the seed. Does not
belong here: what must come of it (see ``truths``).
"""

import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from random import Random
from typing import Final

from fuzz.grounds import Ground, available_databases, open_ground
from fuzz.guards import guarded_files
from fuzz.nights import Ledger, Night
from fuzz.sights import look, look_at_lake
from fuzz.specimens import ALL, ARRIVED, MODELS
from fuzz.steps import Worker
from fuzz.tally import Tally
from fuzz.tempers import WEIGHTS, draw_temper
from fuzz.truths import Truths

MOST_FAILURES: Final = 3
"""Of one database; more of them are seldom of another kind. A guess."""

MOST_WORKERS: Final = 12
"""Of one schedule, counting those that are begun again. A guess; with it every schedule ends."""

NEVER: Final = 1 << 30
"""A turn that is not reached."""

SHOWING: Final = frozenset({"mkdir", "rename"})
"""Kinds of steps after which something new can be seen in the lake."""

THOROUGH: Final = 40
"""One schedule in so many ends with all checks there are: they take as long as it does."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one schedule did."""

    seed: int
    steps: int
    zombies: int
    """Workers that lost their locks."""
    repeats: int
    """Events delivered more than once."""
    struck: Counter[str]
    """How many workers were struck before a step of each kind."""
    faults: tuple[str, ...]
    """What was not as it must be; empty if all was."""
    trace: tuple[str, ...]
    """Every step, in order."""


def run(seconds: float, seed: int, databases: Sequence[str] = ()) -> Tally:
    """Try schedules for a time, on each database as long as on the others.

    Args:
        seconds: for how long; one schedule each is tried in any case.
        seed: of the first schedule; the next ones follow.
        databases: their names; all there are if none is named.

    Returns:
        What they did. A database is left after ``MOST_FAILURES``.
    """
    chosen = databases or available_databases()
    counts = Counter({f"schedules on {database}": 0 for database in chosen})
    failures: list[str] = []
    for database in chosen:
        with open_ground(database) as ground:
            truths = Truths(ground, ALL)
            end = time.monotonic() + seconds / len(chosen)
            failed = 0
            for number in count(seed):
                report = Schedule(ground, number).run(truths)
                counts.update(count_up(database, report))
                if report.faults:
                    failures.append(f"{database}, {tell(report, database)}")
                    failed += 1
                if failed == MOST_FAILURES or time.monotonic() > end:
                    break
    return Tally(counts=counts, failures=tuple(failures))


def count_up(database: str, report: Report) -> dict[str, int]:
    """Count what one schedule did."""
    return {
        f"schedules on {database}": 1,
        "steps": report.steps,
        "crashes": report.struck.total(),
        "workers that lost their locks": report.zombies,
        "events delivered again": report.repeats,
    }


def tell(report: Report, database: str) -> str:
    """Say what was wrong with a schedule, how it came about, and how to see it again."""
    again = f"python -m fuzz schedules --seed {report.seed} --database {database} --seconds 0"
    return "\n".join(
        [f"schedule {report.seed}, which comes again with {again}:"]
        + [f"  {fault}" for fault in report.faults]
        + ["after these steps:"]
        + [f"  {step}" for step in report.trace]
    )


@dataclass
class Schedule:
    """One schedule under way."""

    ground: Ground
    seed: int
    random: Random = field(init=False)
    ledger: Ledger = field(default_factory=Ledger)
    workers: list[Worker] = field(default_factory=list)
    asleep: dict[Worker, int] = field(default_factory=dict)
    """Workers that lost their locks and are not given a turn before this one."""
    turn: int = 0
    steps: int = 0
    zombies: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw what is drawn first."""
        self.random = Random(self.seed)  # noqa: S311 - a schedule is to be the same each time
        self.temper = draw_temper(self.random)

    def run(self, truths: Truths) -> Report:
        """Run it to its end, and one undisturbed night after it."""
        self.ground.reset()
        with guarded_files(self.ground.home, Random(self.seed)):  # noqa: S311 - see above
            for number in range(self.temper.workers):
                self._begin("abcd"[number])
            self._interleave()
            self._finish()
        is_thorough = self.seed % THOROUGH == 0
        faults = truths.check(self.ledger, self.temper.specimens, is_thorough=is_thorough)
        return Report(
            seed=self.seed,
            steps=self.steps,
            zombies=self.zombies,
            repeats=self.ledger.repeats,
            struck=self.struck,
            faults=tuple(faults),
            trace=tuple(self.trace),
        )

    def _begin(self, name: str, *, is_last: bool = False) -> None:
        """Begin a worker with all of the batches, in an order of its own."""
        specimens = list(self.temper.specimens)
        self.random.shuffle(specimens)
        model = self.random.choice(MODELS)
        night = Night(
            ground=self.ground,
            ledger=self.ledger,
            specimens=tuple(specimens),
            model=model,
            version=self.ground.versions[model],
            started_at=ARRIVED + timedelta(hours=len(self.workers) + 1),
            is_whole=is_last or self._chance(self.temper.whole_ratio),
            is_hasty=is_last or self._chance(self.temper.hasty_ratio),
            is_repeated=self._chance(self.temper.repeated_ratio),
        )
        self.workers.append(Worker(f"{name}{len(self.workers) + 1}", night.work))

    def _interleave(self) -> None:
        """Give turns until every worker has ended or sleeps on."""
        chosen: Worker | None = None
        while alive := [worker for worker in self.workers if not worker.dead]:
            self.turn += 1
            awake = [worker for worker in alive if self.asleep.get(worker, 0) <= self.turn]
            ready = [worker for worker in awake if not self.ground.has_to_wait(worker, alive)]
            if not ready:
                if not self._wake(alive):
                    return
                continue
            if chosen not in ready or self._chance(self.temper.change_ratio):
                chosen = self.random.choice(ready)
            assert chosen is not None, "one of those that are ready"  # noqa: S101 - our own mistake
            is_other = self._chance(self.temper.elsewhere_ratio)
            victim = self.random.choice(awake) if is_other else chosen
            if self._is_struck(victim):
                self._strike(victim)
            elif self._is_haunted(chosen):
                self._haunt(chosen)
            else:
                self._go_on(chosen)

    def _wake(self, alive: list[Worker]) -> bool:
        """Wake who sleeps for a while; or say that the others wait for each other."""
        waiting = [worker for worker in alive if self.asleep.get(worker, 0) <= self.turn]
        soon = [worker for worker in alive if self.turn < self.asleep.get(worker, 0) < NEVER]
        if soon:
            del self.asleep[soon[0]]
        elif waiting:
            self.ledger.faults.append(f"{[each.name for each in waiting]} wait for each other")
            for worker in waiting:
                self.ground.strike(worker)
        return bool(soon)

    def _chance(self, ratio: float) -> bool:
        return self.random.random() < ratio

    def _is_struck(self, worker: Worker) -> bool:
        ratio = self.temper.crash_ratio * WEIGHTS.get(worker.next.kind, 1)
        return len(self.workers) < MOST_WORKERS and self._chance(ratio)

    def _strike(self, worker: Worker) -> None:
        """Kill a worker, and perhaps begin it again."""
        self.struck[worker.next.kind] += 1
        self._note(worker, "struck before ")
        if worker.is_zombie:
            self.ledger.littered.add(str(worker.claimed))
        self.ground.strike(worker)
        self._look()
        self.ledger.faults += look_at_lake(self.ground, is_thorough=True)
        if self._chance(self.temper.again_ratio):
            self._begin(worker.name[0])

    def _is_haunted(self, worker: Worker) -> bool:
        is_able = worker.claimed is not None and not worker.is_zombie
        return is_able and self._chance(self.temper.zombie_ratio)

    def _haunt(self, worker: Worker) -> None:
        """Take a worker's locks away; unless it is in a transaction it sleeps on that."""
        self.zombies += 1
        self._note(worker, "loses its locks before ")
        self.ground.take_locks(worker)
        worker.is_zombie, worker.run_id = True, None
        self.ledger.haunted.add(str(worker.claimed))
        if not worker.holdings.writing:
            sleep = self.random.randrange(self.temper.longest_sleep)
            is_late = self._chance(self.temper.late_ratio)
            self.asleep[worker] = NEVER if is_late else self.turn + sleep

    def _go_on(self, worker: Worker) -> None:
        """Let a worker take its step."""
        self.steps += 1
        self._note(worker, "")
        kind, is_of_batch = worker.next.kind, worker.is_holding
        worker.switch()
        if worker.error is not None:
            said = "".join(traceback.format_exception(worker.error))
            self.ledger.faults.append(f"{worker.name} ended with {said}")
        if kind == "commit" and is_of_batch:
            self._look()
        elif kind in SHOWING:
            self.ledger.faults += look_at_lake(self.ground, is_thorough=False)

    def _look(self) -> None:
        """See what a reader of the database sees."""
        known = {specimen.batch_id: specimen for specimen in ALL}
        self.ledger.faults += look(self.ground, known)

    def _finish(self) -> None:
        """Let one undisturbed worker finish all, and wake who still sleeps."""
        self.asleep = dict.fromkeys((each for each in self.workers if not each.dead), NEVER)
        self._begin("z", is_last=True)
        last, self.asleep = self.workers[-1], {}
        for worker in (last, *self.workers[:-1]):
            while not worker.dead:
                self._go_on(worker)

    def _note(self, worker: Worker, what: str) -> None:
        self.trace.append(f"{worker.name} {what}{worker.next.kind} {worker.next.what}")
