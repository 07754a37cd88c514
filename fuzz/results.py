"""What a part of the fuzzing did: its counts, and its failures with their seeds.

Belongs here: what every part hands back. Does not belong here: how it is printed (see
``__main__``), or what any one part does.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PartResult:
    """What one part did in its seconds."""

    counts: Mapping[str, int]
    """How often each thing was done, by its name in the plural, in the order to print."""
    failures: tuple[str, ...]
    """One text each, with the seed that brings it back; empty where every promise held."""
