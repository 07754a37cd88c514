"""Prints the README's figures: ``make bench``, or ``python -m benchmarks night plain help``.

Each figure is a median over whole-process runs, of one each with ``--quick``; night and floor are
run in turn, so that a ratio survives a machine whose speed drifts. CPU time counts the command and
its children; the Prefect server runs beside it and is not counted, as in production.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

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


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    quiet_libraries()
    times = 1 if "--quick" in sys.argv else TIMES
    known: dict[str, Callable[[Path], list[str]]] = {
        "help": bench_help,
        "night": lambda folder: bench_night(folder, times),
        "plain": bench_plain,
    }
    chosen = [word for word in sys.argv[1:] if word != "--quick"] or list(known)
    if unknown := set(chosen) - set(known):
        sys.exit(f"No benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if not TRAIN.exists():
        sys.exit(f"The benchmarks resample {TRAIN}, which is not there")
    with tempfile.TemporaryDirectory(prefix="noctule-bench-") as folder:
        missed = [line for name in chosen for line in known[name](Path(folder))]
    if missed:
        sys.exit("Bounds missed: " + "; ".join(missed))


def bench_help(folder: Path) -> list[str]:
    """Measure ``noctule --help``."""
    usage = middle([run([NOCTULE, "--help"], {"NOCTULE_HOME": str(folder)}) for _ in range(5)])
    console.print(f"noctule --help: {usage.cpu_s:.2f} CPU s (at most {MAX_HELP_S})")
    return [f"--help {usage.cpu_s:.2f} CPU s"] if usage.cpu_s > MAX_HELP_S else []


def bench_night(folder: Path, times: int) -> list[str]:
    """Measure a night against the bare floor at three sizes."""
    trained = folder / "trained"
    nights: dict[int, Usage] = {}
    floors: dict[int, Usage] = {}
    with private_server(folder / "prefect") as address:
        environment = {"PREFECT_API_URL": address, "NOCTULE_HOME": str(trained)}
        run([NOCTULE, "train", str(TRAIN)], environment)
        model = next(path for path in (trained / "models").iterdir() if path.is_dir())
        for rows in SIZES:
            source = resample(folder, rows)
            night: list[Usage] = []
            floor: list[Usage] = []
            for _ in range(times):
                floor.append(_run_floor(folder, source, model))
                home = folder / "home"
                shutil.copytree(trained, home)
                environment["NOCTULE_HOME"] = str(home)
                night.append(run([NOCTULE, "run", str(source), "--json"], environment))
                shutil.rmtree(home)
            nights[rows], floors[rows] = middle(night), middle(floor)
    _show_stages(nights)
    return _show_night(nights, floors)


def bench_plain(folder: Path) -> list[str]:
    """Measure the plain stack, part by part, with and without drift."""
    train = resample(folder, 25_000, labelled=True)
    source = resample(folder, PLAIN_ROWS)
    table = Table("part", title=f"The plain stack, {PLAIN_ROWS:,} connections: CPU s")
    columns: list[dict[str, float]] = []
    for drift in ("drift", "no drift"):
        usage = run(
            [
                PYTHON,
                "-m",
                "benchmarks.plain",
                *map(str, (train, source, folder / "plain.db")),
                drift,
            ],
            {},
        )
        table.add_column(drift, justify="right")
        columns.append(_parts(usage))
        columns[-1]["wall s, fit included"] = usage.wall_s
        columns[-1]["peak MB, fit included"] = usage.peak_mb
    for part in columns[0]:
        table.add_row(part, *(f"{one[part]:.1f}" if part in one else "-" for one in columns))
    console.print(table)
    return []


def _run_floor(folder: Path, source: Path, model: Path) -> Usage:
    """Run the floor once, into a fresh database."""
    database = folder / "floor.db"
    usage = run(
        [sys.executable, "-m", "benchmarks.floor", str(source), str(model), str(database)], {}
    )
    for file in folder.glob("floor.db*"):
        file.unlink()
    return usage


def _parts(usage: Usage) -> dict[str, float]:
    """Read the CPU seconds of each part from a benchmark's output."""
    return {
        name: float(cpu_s)
        for name, _, cpu_s in (line.partition("\t") for line in usage.output.splitlines())
        if cpu_s
    }


def _show_stages(nights: dict[int, Usage]) -> None:
    """Print wall time, CPU time and peak memory of each stage, as the last run had them."""
    for rows, usage in nights.items():
        table = Table("stage", title=f"Stages of a night of {rows:,} connections")
        for column in ("wall s", "CPU s", "peak MB"):
            table.add_column(column, justify="right")
        for stage, cost in json.loads(usage.output)["files"][0]["costs"].items():
            table.add_row(
                stage, f"{cost['wall_s']:.1f}", f"{cost['cpu_s']:.1f}", f"{cost['peak_mb']:.0f}"
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
