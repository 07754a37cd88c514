"""The unit of lengths of time, told from the times at which connections begin and end.

Belongs here: the comparison of two columns of times with one of lengths. Does not belong here:
units that a name tells (``tasks.contracts.known_names``).
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Final

import polars as pl

from tasks.contracts.column_guess import ColumnGuess
from tasks.contracts.number_kinds import UNKNOWN_UNIT
from tasks.contracts.sample import Sample
from tasks.contracts.times import read_seconds

UNITS: Final = ((1.0, "seconds"), (1e-3, "milliseconds"), (1e-6, "microseconds"))
FEWEST: Final = 5
"""Fewest connections that must agree. A guess."""
LONG_S: Final = 3.0
"""Shortest connections that are compared, in seconds: times may be whole seconds."""
WITHIN: Final = 0.4
"""How far the median may be from a unit: two times of whole seconds may miss a second of three."""
MOST_TIMES: Final = 4
"""Columns of times that are tried. A guess; a flow has two, seldom three."""


def tell_units(sample: Sample, guesses: Sequence[ColumnGuess]) -> list[ColumnGuess]:
    """Return the guesses; a length of time whose unit was open has it where two times show it."""
    times = {
        guess.name: read_seconds(sample.cells[str(guess.place)], guess.formats[0])
        for guess in guesses
        if guess.kind == "time"
    }
    pairs = [
        (first, last, times[last] - times[first])
        for first, last in permutations(list(times)[:MOST_TIMES], 2)
    ]
    return [_tell_unit(sample, guess, pairs) for guess in guesses]


def _tell_unit(
    sample: Sample, guess: ColumnGuess, pairs: Sequence[tuple[str, str, pl.Series]]
) -> ColumnGuess:
    """Return a column with its unit, if a pair of times shows it."""
    if UNKNOWN_UNIT not in guess.looks:
        return guess
    numbers = sample.cells[str(guess.place)].cast(pl.Float64, strict=False)
    for first, last, seconds in pairs:
        ratios = (numbers / seconds).filter(seconds >= LONG_S).drop_nulls()
        middle = ratios.median()
        if len(ratios) < FEWEST or not isinstance(middle, float):
            continue
        for scale, unit in UNITS:
            if abs(middle * scale - 1) < WITHIN:
                evidence = f"{guess.evidence}; as {last!r} less {first!r} shows, in {unit}"
                looks = tuple(one for one in guess.looks if one != UNKNOWN_UNIT)
                return replace(guess, scale=scale, evidence=evidence, looks=looks)
    return guess
