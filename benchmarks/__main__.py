"""Prints the README's figures: ``make bench``, or ``python -m benchmarks night plain help``.

Each figure is a median over whole-process runs, of one each with ``--quick``; night and floor are
run in turn, so that a ratio survives a machine whose speed drifts. CPU time counts the command and
its children; the Prefect server runs beside it and is not counted, as in production.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.data import TRAIN, resample
from benchmarks.measure import Usage, middle, run
from flows.prefect_api import quiet_libraries
from flows.private_server import private_server

PYTHON = sys.executable
NOCTULE = str(Path(sys.executable).with_name("noctule"))
SIZES = (250_000, 1_000_000, 3_000_000)
"""Connections of a night."""
TIMES = 3
"""How often each size is run: the median of three leaves out one run that was disturbed."""
PLAIN_ROWS = 250_000
"""Connections the plain stack is given: it needs minutes, and memory that grows with the file."""
MAX_RATIO = 1.8
MAX_FIXED_S = 45.0
MAX_PEAK_MB = 1_800.0
MAX_GROWTH = 1.15
MAX_HELP_S = 0.5
"""The bounds a night must keep, set when the design was agreed."""

console = Console(width=110)


@dataclass
class Bench:
    """What the benchmarks share: a trained home, a Prefect server, and runs already measured."""

    folder: Path
    address: str
    """Of the Prefect API."""
    times: int
    """How often each thing is run."""
    measured: dict[int, tuple[list[Usage], list[Usage]]] = field(default_factory=dict)

    @cached_property
    def trained(self) -> Path:
        """A home whose champion was trained on the whole training file."""
        home = self.folder / "trained"
        self.run_noctule(home, "train", TRAIN)
        return home

    @cached_property
    def model(self) -> Path:
        """The champion's folder."""
        return next(path for path in (self.trained / "models").iterdir() if path.is_dir())

    def run_noctule(self, home: Path, *arguments: object) -> Usage:
        """Run a command on a home."""
        environment = {"PREFECT_API_URL": self.address, "NOCTULE_HOME": str(home)}
        return run([NOCTULE, *map(str, arguments)], environment)

    def run_module(self, name: str, *arguments: object) -> Usage:
        """Run another module of the benchmarks."""
        return run([PYTHON, "-m", f"benchmarks.{name}", *map(str, arguments)], {})

    def nights_and_floors(self, rows: int) -> tuple[list[Usage], list[Usage]]:
        """Run a night and the floor in turn, each into a fresh database."""
        if rows not in self.measured:
            source = resample(self.folder, rows)
            nights, floors = [], []
            for _ in range(self.times):
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


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    quiet_libraries()
    times = 1 if "--quick" in sys.argv else TIMES
    known = {"help": bench_help, "night": bench_night, "plain": bench_plain}
    chosen = [word for word in sys.argv[1:] if word != "--quick"] or list(known)
    if unknown := set(chosen) - set(known):
        sys.exit(f"No benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if not TRAIN.exists():
        sys.exit(f"The benchmarks resample {TRAIN}, which is not there")
    with (
        tempfile.TemporaryDirectory(prefix="noctule-bench-") as folder,
        private_server(Path(folder) / "prefect") as address,
    ):
        bench = Bench(Path(folder), address, times)
        missed = [line for name in chosen for line in known[name](bench)]
    if missed:
        sys.exit("Bounds missed: " + "; ".join(missed))


def bench_help(bench: Bench) -> list[str]:
    """Measure ``noctule --help``."""
    usage = middle([bench.run_noctule(bench.folder, "--help") for _ in range(5)])
    console.print(f"noctule --help: {usage.cpu_s:.2f} CPU s (at most {MAX_HELP_S})")
    return [f"--help {usage.cpu_s:.2f} CPU s"] if usage.cpu_s > MAX_HELP_S else []


def bench_night(bench: Bench) -> list[str]:
    """Measure a night against the bare floor at three sizes."""
    runs = {rows: bench.nights_and_floors(rows) for rows in SIZES}
    for rows, (nights, _) in runs.items():
        _show_stages(rows, nights)
    return _show_night(
        {rows: middle(nights) for rows, (nights, _) in runs.items()},
        {rows: middle(floors) for rows, (_, floors) in runs.items()},
    )


def bench_plain(bench: Bench) -> list[str]:
    """Measure the plain stack, part by part, with and without drift, beside a night as large."""
    train = resample(bench.folder, 25_000, labelled=True)
    source = resample(bench.folder, PLAIN_ROWS)
    nights, _ = bench.nights_and_floors(PLAIN_ROWS)
    night = middle(nights).cpu_s
    table = Table("part", title=f"The plain stack, {PLAIN_ROWS:,} connections, CPU s: medians")
    columns: list[dict[str, float]] = []
    for drift in ("drift", "no drift"):
        arguments = (train, source, bench.folder / "plain.db", drift)
        runs = [bench.run_module("plain", *arguments) for _ in range(bench.times)]
        parts = _medians([_parts(one) for one in runs])
        total = sum(parts.values())
        usage = middle(runs)
        table.add_column(drift, justify="right")
        columns.append(
            {
                **parts,
                "all of these": total,
                "a night of Noctule": night,
                "night / plain stack": night / total,
                "wall s, its fit included": usage.wall_s,
                "peak MB, its fit included": usage.peak_mb,
            }
        )
    for part in columns[0]:
        table.add_row(part, *(_figure(one.get(part)) for one in columns))
    console.print(table)
    return []


def _figure(value: float | None) -> str:
    """Write a figure with two digits at least; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}"


def _parts(usage: Usage) -> dict[str, float]:
    """Read the CPU seconds of each part from a benchmark's output."""
    return {
        name: float(cpu_s)
        for name, _, cpu_s in (line.partition("\t") for line in usage.output.splitlines())
        if cpu_s
    }


def _medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each figure over several runs."""
    return {name: median(one[name] for one in runs) for name in runs[0]}


def _show_stages(rows: int, runs: Sequence[Usage]) -> None:
    """Print wall time, CPU time and peak memory of each stage."""
    costs = [json.loads(one.output)["files"][0]["costs"] for one in runs]
    table = Table("stage", title=f"Stages of a night of {rows:,} connections: medians")
    for column in ("wall s", "CPU s", "peak MB"):
        table.add_column(column, justify="right")
    for stage in costs[0]:
        cost = _medians([one[stage] for one in costs])
        table.add_row(
            stage.partition("-")[0],
            f"{cost['wall_s']:.1f}",
            f"{cost['cpu_s']:.1f}",
            f"{cost['peak_mb']:.0f}",
        )
    console.print(table)


def _show_night(nights: dict[int, Usage], floors: dict[int, Usage]) -> list[str]:
    """Print the totals and the fit, and return the bounds that were missed."""
    table = Table("connections", title="A night and the bare floor, medians")
    for column in ("night wall s", "CPU s", "peak MB", "floor wall s", "CPU s", "peak MB"):
        table.add_column(column, justify="right")
    for rows, night in nights.items():
        floor = floors[rows]
        table.add_row(
            f"{rows:,}",
            *(
                figure
                for one in (night, floor)
                for figure in (f"{one.wall_s:.1f}", f"{one.cpu_s:.1f}", f"{one.peak_mb:.0f}")
            ),
        )
    console.print(table)
    night_fixed, night_row = _fit(nights)
    floor_fixed, floor_row = _fit(floors)
    ratio = night_row / floor_row
    largest, million = nights[max(SIZES)].peak_mb, nights[1_000_000].peak_mb
    console.print(
        f"night: {night_fixed:.1f} CPU s + {night_row * 1e6:.1f} CPU s per million connections; "
        f"floor: {floor_fixed:.1f} + {floor_row * 1e6:.1f}"
    )
    bounds = [
        (f"per-row CPU {ratio:.2f} times the floor's", ratio, MAX_RATIO),
        (f"fixed cost {night_fixed:.1f} CPU s", night_fixed, MAX_FIXED_S),
        (f"peak memory at 1 M {million:.0f} MB", million, MAX_PEAK_MB),
        (f"peak memory at 3 M {largest / million:.2f} times that", largest / million, MAX_GROWTH),
    ]
    for line, _, limit in bounds:
        console.print(f"{line} (at most {limit:g})")
    return [line for line, value, limit in bounds if value > limit]


def _fit(usages: dict[int, Usage]) -> tuple[float, float]:
    """Fit CPU time as fixed + per row over the sizes; return both, in seconds."""
    rows = np.array(list(usages), dtype=np.float64)
    cpu_s = np.array([usage.cpu_s for usage in usages.values()])
    per_row, fixed = np.polyfit(rows, cpu_s, 1)
    return float(fixed), float(per_row)


if __name__ == "__main__":
    main()
