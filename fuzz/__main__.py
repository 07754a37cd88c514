"""Runs the fuzzing: ``make fuzz``, or ``python -m fuzz schedules --seed 12 --database sqlite``.

Belongs here: the parts, their times and the printing. Does not belong here: what a part does. Each
part is a module with a function ``run``, which is imported when its turn comes.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Final

from fuzz.results import PartResult


@dataclass(frozen=True)
class Part:
    """One part of the fuzzing."""

    seconds: float
    """How long it runs, unless the command says otherwise."""
    takes_database: bool = False
    """Whether the option ``--database`` applies to it."""


PARTS: Final[Mapping[str, Part]] = {
    "schedules": Part(120, takes_database=True),
    "mutations": Part(600),
    "kills": Part(120),
}


def main() -> None:
    """Run the parts named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=main.__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seconds", type=float, help="how long each part runs")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; the next ones follow")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "postgresql15"))
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}")
    failures = 0
    for name, part in PARTS.items():
        if asked.parts and name not in asked.parts:
            continue
        run: Callable[..., PartResult] = import_module(f"fuzz.{name}").run
        if asked.database is not None and part.takes_database:
            run = partial(run, databases=(asked.database,))
        seconds = part.seconds if asked.seconds is None else asked.seconds
        began = time.monotonic()
        result = run(seconds, asked.seed)
        failures += len(result.failures)
        print_result(name, result, time.monotonic() - began)
    sys.exit(1 if failures else 0)


def print_result(name: str, result: PartResult, seconds: float) -> None:
    """Print the counts and the failures of a part."""
    print(f"{name}, {seconds:,.0f} s")
    width = max(map(len, result.counts), default=0)
    for what, count in result.counts.items():
        print(f"  {what:<{width}} {count:>11,}")
    for failure in result.failures:
        print(f"FAILED: {failure}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
