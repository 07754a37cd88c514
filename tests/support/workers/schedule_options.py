"""The options of a schedule, drawn from its seed.

Belongs here: how many workers and batches meet, and how often each event happens. Does not belong
here: the events themselves (see ``schedule``). Every number is a guess. The numbers are small,
because a fault between many workers also occurs between few.
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
"""Sets of batches, with their weights in the draw. Guesses: small sets run faster."""

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
"""How much more often than others a rare kind of step is killed. Guesses: without them some kinds
are never killed."""


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """How many workers and batches meet in a schedule, and how often each event happens."""

    workers: int
    examples: tuple[ExampleBatch, ...]
    change_ratio: float
    """Share of the turns at which another worker is resumed than the one before."""
    crash_ratio: float
    """Share of the steps before which the worker is killed."""
    lock_loss_ratio: float
    """Share of the steps before which a worker that holds a batch loses its locks."""
    elsewhere_ratio: float = 0.1
    """Share of the kills that hit another worker than the one to be resumed."""
    again_ratio: float = 0.5
    """Share of the killed workers that are started again at once."""
    late_ratio: float = 0.3
    """Share of the workers without locks that sleep until all others have ended."""
    whole_ratio: float = 0.3
    """Share of the workers that run the nightly flow, not only the flow of each file."""
    hasty_ratio: float = 0.85
    """Share of the workers that skip finished files."""
    repeated_ratio: float = 0.2
    """Share of the workers that make each commit twice."""
    longest_sleep: int = 200
    """Most turns that any other worker without locks sleeps."""


def draw_options(random: Random) -> ScheduleOptions:
    """Draw the options of a schedule."""
    return ScheduleOptions(
        workers=random.choices((2, 3, 4), weights=(17, 2, 1))[0],
        examples=random.choices(tuple(MIXTURES), weights=tuple(MIXTURES.values()))[0],
        change_ratio=random.choice((0.05, 0.25, 0.8)),
        crash_ratio=random.choice((0.0, 0.002, 0.004, 0.008)),
        lock_loss_ratio=random.choice((0.0, 0.0, 0.01, 0.02)),
    )
