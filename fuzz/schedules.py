"""The long run of schedules: many seeds, on each database that this machine has.

Belongs here: how many schedules are run and what is counted. Does not belong here: one schedule
(see ``tests.support.workers.schedule``).
"""

import time
from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Final

from fuzz.results import PartResult
from tests.support.workers.example_batches import ALL
from tests.support.workers.final_state import UndisturbedRuns
from tests.support.workers.schedule import Schedule, ScheduleResult, describe_faults
from tests.support.workers.shared_stores import available_databases, open_store

MOST_FAILURES: Final = 3
"""Failures after which the run leaves a database: more are seldom of another kind. A guess."""


def run(seconds: float, seed: int, databases: Sequence[str] = ()) -> PartResult:
    """Run schedules for a time, equally long on each database.

    Args:
        seconds: the time; each database gets at least one schedule.
        seed: the seed of the first schedule; the next ones follow.
        databases: their names; all that this machine has if empty.

    Returns:
        The counts and the failures, at most ``MOST_FAILURES`` for each database.
    """
    chosen = databases or available_databases()
    counts = Counter({f"schedules on {database}": 0 for database in chosen})
    failures: list[str] = []
    for database in chosen:
        with open_store(database) as store:
            undisturbed = UndisturbedRuns(store, ALL)
            end = time.monotonic() + seconds / len(chosen)
            failed = 0
            for number in count(seed):
                result = Schedule(store, number).run(undisturbed)
                counts.update(count_events(database, result))
                if result.faults:
                    failures.append(f"{database}, {describe_faults(result, database)}")
                    failed += 1
                if failed == MOST_FAILURES or time.monotonic() > end:
                    break
    return PartResult(counts=counts, failures=tuple(failures))


def count_events(database: str, result: ScheduleResult) -> dict[str, int]:
    """Return what one schedule adds to the counts."""
    return {
        f"schedules on {database}": 1,
        "steps": result.steps,
        "crashes": result.kills.total(),
        "workers that lost their locks": result.lock_losses,
        "events delivered again": result.repeats,
    }
