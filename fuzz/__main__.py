"""Runs the trials: ``make fuzz``, or ``python -m fuzz schedules --seed 12 --database sqlite``.

Belongs here: which parts there are, for how long, and what is printed. Does not belong here: what
a part does; each is a module with a ``run``, and is imported when its turn comes.
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
    """One of the trials."""

    seconds: float
    """For how long, unless the command says."""
    takes_database: bool = False
    """Whether it can be held to one database."""


PARTS: Final[Mapping[str, Part]] = {
    "schedules": Part(120, takes_database=True),
    "mutations": Part(600),
    "kills": Part(120),
}


def main() -> None:
    """Run the parts named on the command line, or all."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=main.__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seconds", type=float, help="for how long, each part")
    parser.add_argument("--seed", type=int, default=0, help="the first; the next ones follow")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "postgresql15"))
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"there is no {', '.join(sorted(unknown))}, but {', '.join(PARTS)}")
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
        show(name, result, time.monotonic() - began)
    sys.exit(1 if failures else 0)


def show(name: str, result: PartResult, seconds: float) -> None:
    """Print what a part did."""
    print(f"{name}, {seconds:,.0f} s")
    width = max(map(len, result.counts), default=0)
    for what, count in result.counts.items():
        print(f"  {what:<{width}} {count:>11,}")
    for failure in result.failures:
        print(f"FAILED: {failure}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
