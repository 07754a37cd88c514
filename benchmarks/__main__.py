"""Prints the figures of ``docs/benchmarks.md``: ``make bench``, or ``python -m benchmarks PART``.

Belongs here: the list of the parts, and the parts about whole nights. Does not belong here: the
other parts, which are modules of this package.

Each figure is the median of several runs; with ``--quick``, of one. The sides of a comparison run
in turn, so that a slow drift of the machine's speed does not change a ratio. The CPU time of a
night is that of the command and its children. The Prefect server is not counted, as in production.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np
from rich.table import Table

from benchmarks.asking import bench_ask
from benchmarks.bad_lines import bench_ingest
from benchmarks.bench import Bench, check_bound, console
from benchmarks.data import TRAIN, resample
from benchmarks.measure import Usage, middle
from benchmarks.modelling import bench_model
from benchmarks.storing import bench_store
from flows.prefect_api import quiet_libraries

QUICK = "--quick"
SIZES = (250_000, 1_000_000, 3_000_000)
"""Connections of each measured night."""
TIMES = 3
"""Runs of each size: the median of three ignores one disturbed run."""
PLAIN_ROWS = 250_000
"""Connections for the plain stack, whose time and memory grow with the file."""
MAX_RATIO = 1.8
MAX_FIXED_S = 45.0
MAX_PEAK_MB = 1_800.0
MAX_GROWTH = 1.15
MAX_HELP_S = 0.5
"""The bounds of a night, set when the design was agreed."""


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    quiet_libraries()
    # Parts that need no Prefect server come first, before one is started.
    known: dict[str, Callable[[Bench], list[str]]] = {
        "ingest": bench_ingest,
        "store": bench_store,
        "ask": bench_ask,
        "help": bench_help,
        "model": bench_model,
        "night": bench_night,
        "plain": bench_plain,
    }
    words = [word for word in sys.argv[1:] if word != QUICK]
    if unknown := set(words) - set(known):
        sys.exit(f"No benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if not TRAIN.exists():
        sys.exit(f"The benchmarks resample {TRAIN}, which does not exist")
    with tempfile.TemporaryDirectory(prefix="noctule-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), is_quick=QUICK in sys.argv, open=stack)
        missed = [line for name in words or known for line in known[name](bench)]
    if missed:
        sys.exit("Bounds missed: " + "; ".join(missed))


def bench_help(bench: Bench) -> list[str]:
    """Measure ``noctule --help``."""
    usage = middle([bench.run_noctule(bench.folder, "--help") for _ in range(5)])
    return check_bound(f"noctule --help: {usage.cpu_s:.2f} CPU s", usage.cpu_s, MAX_HELP_S)


def bench_night(bench: Bench) -> list[str]:
    """Measure a night against the bare floor at three sizes."""
    runs = {rows: bench.nights_and_floors(rows, TIMES) for rows in SIZES}
    for rows, (nights, _) in runs.items():
        _show_stages(rows, nights)
    return _show_night(
        {rows: middle(nights) for rows, (nights, _) in runs.items()},
        {rows: middle(floors) for rows, (_, floors) in runs.items()},
    )


def bench_plain(bench: Bench) -> list[str]:
    """Measure the parts of the plain stack, with and without drift, and a night of that size."""
    train = resample(bench.folder, 25_000, labelled=True)
    source = resample(bench.folder, PLAIN_ROWS)
    nights, _ = bench.nights_and_floors(PLAIN_ROWS, TIMES)
    night = middle(nights).cpu_s
    table = Table("part", title=f"The plain stack, {PLAIN_ROWS:,} connections, CPU s: medians")
    columns: list[dict[str, float]] = []
    for drift in ("drift", "no drift"):
        arguments = (train, source, bench.folder / "plain.db", drift)
        runs = [bench.run_module("plain", *arguments) for _ in bench.repeat(TIMES)]
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
    """Format a figure with at least two digits; a dash for None."""
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
    """Print the totals and the linear fit, and return the missed bounds."""
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
    return [line for bound in bounds for line in check_bound(*bound)]


def _fit(usages: dict[int, Usage]) -> tuple[float, float]:
    """Fit CPU time as fixed + per row over the sizes; return both, in seconds."""
    rows = np.array(list(usages), dtype=np.float64)
    cpu_s = np.array([usage.cpu_s for usage in usages.values()])
    per_row, fixed = np.polyfit(rows, cpu_s, 1)
    return float(fixed), float(per_row)


if __name__ == "__main__":
    main()
