"""What the benchmarks share: a folder, a trained home, measured runs, and the check of a bound.

Belongs here: code that more than one part uses. Does not belong here: what a part measures.
"""

import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.data import TRAIN, resample
from benchmarks.measure import Usage, run_measured
from flows.private_server import private_server

PYTHON = sys.executable
NOCTULE = str(Path(sys.executable).with_name("noctule"))

console = Console(width=110)


@dataclass
class Bench:
    """A folder with a trained home, a Prefect server, and the runs that were measured."""

    folder: Path
    is_quick: bool
    """Whether each side runs only once, and on fewer rows where filling a database takes long."""
    open: ExitStack
    """Stops what was started here."""
    measured: dict[int, tuple[list[Usage], list[Usage]]] = field(default_factory=dict)

    @cached_property
    def address(self) -> str:
        """The address of a Prefect API; the first access starts its server."""
        return self.open.enter_context(private_server(self.folder / "prefect"))

    @cached_property
    def trained(self) -> Path:
        """A home with a champion that was trained on the whole training file."""
        home = self.folder / "trained"
        self.run_noctule(home, "train", TRAIN)
        return home

    @cached_property
    def model(self) -> Path:
        """The folder of the champion."""
        return next(path for path in (self.trained / "models").iterdir() if path.is_dir())

    def repeat(self, times: int) -> range:
        """Return the range of the runs: one if the benchmark is quick."""
        return range(1 if self.is_quick else times)

    def run_noctule(self, home: Path, *arguments: object) -> Usage:
        """Run ``noctule`` on a home."""
        environment = {"PREFECT_API_URL": self.address, "NOCTULE_HOME": str(home)}
        return run_measured([NOCTULE, *map(str, arguments)], environment)

    def run_module(self, name: str, *arguments: object) -> Usage:
        """Run a module of this package in its own process."""
        return run_measured([PYTHON, "-m", f"benchmarks.{name}", *map(str, arguments)], {})

    def nights_and_floors(self, rows: int, times: int) -> tuple[list[Usage], list[Usage]]:
        """Run a night and the floor in turn, each into a new database."""
        if rows not in self.measured:
            source = resample(self.folder, rows)
            nights, floors = [], []
            for _ in self.repeat(times):
                database = self.folder / "floor.db"
                floors.append(self.run_module("floor", source, self.model, database))
                for file in self.folder.glob("floor.db*"):
                    file.unlink()
                home = self.folder / "home"
                shutil.copytree(self.trained, home)
                nights.append(self.run_noctule(home, "run", source, "--json"))
                shutil.rmtree(home)
            self.measured[rows] = nights, floors
        return self.measured[rows]


def check_bound(line: str, value: float, limit: float) -> list[str]:
    """Print a figure and its bound; return the line in a list if the bound is missed."""
    holds = value <= limit
    console.print(f"{line} (at most {limit:g}: {'holds' if holds else 'missed'})")
    return [] if holds else [line]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Format the median of several runs, with their minimum and maximum."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the ratio of each of our runs to the other side's run of the same turn."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]
