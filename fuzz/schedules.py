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
"""Of one database; more of them are seldom of another kind. A guess."""


def run(seconds: float, seed: int, databases: Sequence[str] = ()) -> PartResult:
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
    """Count what one schedule did."""
    return {
        f"schedules on {database}": 1,
        "steps": result.steps,
        "crashes": result.kills.total(),
        "workers that lost their locks": result.lock_losses,
        "events delivered again": result.repeats,
    }
