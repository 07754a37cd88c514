"""Tempers: how a schedule goes about it, drawn from its seed.

Belongs here: how many workers and batches meet, and how often anything happens to them. Does not
belong here: that it happens (see ``schedules``). Every number is a guess, chosen small: what can go
wrong between many goes wrong between few.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.support.workers.example_batches import ALL, GROWN, QUIET, REJECTED, SMALL, ExampleBatch

MIXTURES: Final[Mapping[tuple[ExampleBatch, ...], int]] = {
    (QUIET, REJECTED): 8,
    (SMALL, REJECTED): 5,
    (SMALL, GROWN): 5,
    (SMALL, GROWN, REJECTED): 1,
    ALL: 1,
}
"""Which batches meet in a schedule, and how often. Guesses: the smaller ones are the quicker."""

WEIGHTS: Final[Mapping[str, int]] = {
    "analyze": 3,
    "copy": 4,
    "delete": 3,
    "deliver": 10,
    "flock": 2,
    "open": 3,
    "rename": 3,
    "rmdir": 4,
    "unlink": 12,
    "wait": 10,
    "write": 3,
}
"""How much more often than others a step is kills that is rare; guesses, to be kills at all."""


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """How a schedule goes about it."""

    workers: int
    examples: tuple[ExampleBatch, ...]
    change_ratio: float
    """How often another worker goes on than the one before."""
    crash_ratio: float
    """How often a step is kills."""
    lock_loss_ratio: float
    """How often a worker that holds a batch loses its locks."""
    elsewhere_ratio: float = 0.1
    """How often it is another worker that is kills than the one that is to go on."""
    again_ratio: float = 0.5
    """How often a worker that was kills is begun again at once."""
    late_ratio: float = 0.3
    """How often a worker that lost its locks sleeps until all is done."""
    whole_ratio: float = 0.3
    """How often a worker is the nightly flow, and not that of each file alone."""
    hasty_ratio: float = 0.85
    """How often a worker leaves finished files alone."""
    repeated_ratio: float = 0.2
    """How often a worker makes each commit twice."""
    longest_sleep: int = 200
    """Turns that a worker which lost its locks may sleep else."""


def draw_options(random: Random) -> ScheduleOptions:
    """Draw how a schedule goes about it."""
    return ScheduleOptions(
        workers=random.choices((2, 3, 4), weights=(17, 2, 1))[0],
        examples=random.choices(tuple(MIXTURES), weights=tuple(MIXTURES.values()))[0],
        change_ratio=random.choice((0.05, 0.25, 0.8)),
        crash_ratio=random.choice((0.0, 0.002, 0.004, 0.008)),
        lock_loss_ratio=random.choice((0.0, 0.0, 0.01, 0.02)),
    )
