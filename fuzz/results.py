"""The result of one part of the fuzzing, which ``fuzz.__main__`` prints."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PartResult:
    """What one part did."""

    counts: Mapping[str, int]
    """How often each thing was done, by its name in the plural, in the order of printing."""
    failures: tuple[str, ...]
    """One text for each failure, with the seed that repeats it."""
