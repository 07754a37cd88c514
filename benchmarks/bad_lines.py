"""A million lines of which one in a hundred is bad: ingest compared with ``polars.read_csv``.

Three sides are measured. ``ingest`` is ``tasks.intake.ingest.ingest_file`` as a night calls it: it
hashes the text, cuts it into blocks, parses them, quarantines the bad lines with their reasons, and
writes all rows as Parquet. ``parse`` only cuts and parses the blocks. ``read_csv`` is
``polars.read_csv`` with the contract's types, of the same file without the bad lines, in one frame.

Each run is a process, so that each side pays for its memory as in a night; imports are not counted.
All sides use the default threads of polars, one for each core. The file is in the system's cache.
Run as a module, this file measures one side: see ``main``.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from rich.table import Table

from benchmarks.bench import Bench, check_bound, console, ratios, spread
from benchmarks.data import SEED, resample
from expectations.registry import get_contract
from storage.cost import Cost, measured
from tasks.intake.content import hash_content, read_content
from tasks.intake.ingest import ingest_file
from tasks.intake.lines import cut_blocks, read_head
from tasks.intake.numbered_lines import START, number_lines
from tasks.intake.text_blocks import parse_lines
from tasks.intake.text_layout import recognise_layout
from tasks.simulation.corruption import CORRUPTIONS

NSL_KDD = get_contract("nsl_kdd")

TIMES = 15
"""Runs of each side: the wall time of ``read_csv`` varies by a third with the free memory."""
ROWS = 1_000_000
BAD_RATIO = 0.01
MAX_RATIO = 2.5
"""Bound of the CPU time and of the wall time, set when the work was agreed."""

SPOILT = (
    "too few fields",
    "too many fields",
    "a word for a number",
    "an empty field",
    "a NUL byte",
    "not UTF-8",
)
"""The corruptions of a line that keep it from being parsed; an open quote is one more. Validation
finds the others."""


def bench_ingest(bench: Bench) -> list[str]:
    """Measure ingest, and only the parsing, against ``read_csv``."""
    spoilt, clean = spoil(bench.folder, ROWS)
    sides = {"read_csv": clean, "parse": spoilt, "ingest": spoilt}
    costs: dict[str, list[Cost]] = {side: [] for side in sides}
    for _ in bench.repeat(TIMES):
        for side, source in sides.items():
            usage = bench.run_module("bad_lines", side, source)
            costs[side].append(Cost.model_validate_json(usage.output))
    table = Table("1 M lines, 1 % bad", title="Ingest and read_csv: medians (spread)")
    for column in ("wall s", "CPU s", "peak MB", "wall / read_csv", "CPU / read_csv"):
        table.add_column(column, justify="right")
    walls = {side: [one.wall_s for one in some] for side, some in costs.items()}
    cpus = {side: [one.cpu_s for one in some] for side, some in costs.items()}
    missed = []
    for side, some in costs.items():
        found = {
            "wall": ratios(walls[side], walls["read_csv"]),
            "CPU": ratios(cpus[side], cpus["read_csv"]),
        }
        table.add_row(
            side,
            spread(walls[side]),
            spread(cpus[side]),
            f"{median(one.peak_mb for one in some):.0f}",
            *map(spread, found.values()),
        )
    console.print(table)
    for kind, ratio in found.items():
        line = f"ingest takes {median(ratio):.2f} times the {kind} time of read_csv"
        missed += check_bound(line, median(ratio), MAX_RATIO)
    return missed


def spoil(folder: Path, rows: int) -> tuple[Path, Path]:
    """Write a file of which one line in a hundred is bad, each way in turn.

    Returns:
        The file, and the same without the bad lines.
    """
    header, *lines = resample(folder, rows).read_bytes().splitlines()
    place = {name: index for index, name in enumerate(header.decode().split(","))}
    chosen = np.random.default_rng(SEED).choice(rows, round(rows * BAD_RATIO), replace=False)
    spoilt, clean = folder / f"spoilt_{rows}.csv", folder / f"clean_{rows}.csv"
    is_bad = np.zeros(rows, bool)
    is_bad[chosen] = True
    clean.write_bytes(b"\n".join([header, *(lines[i] for i in np.flatnonzero(~is_bad)), b""]))
    for turn, index in enumerate(chosen):
        fields = lines[index].split(b",")
        way = turn % (len(SPOILT) + 1)
        if way < len(SPOILT):
            fields = CORRUPTIONS[SPOILT[way]](fields, place)
        else:
            fields[place["service"]] = b'"' + fields[place["service"]]
        lines[index] = b",".join(fields)
    spoilt.write_bytes(b"\n".join([header, *lines, b""]))
    return spoilt, clean


def read_plainly(source: Path) -> tuple[int, int]:
    """Read a whole file; return the number of its rows, and 0 for bad ones."""
    return pl.read_csv(source, schema_overrides=dict(NSL_KDD.schema)).height, 0


def parse(source: Path) -> tuple[int, int]:
    """Cut a file into blocks and parse them; return the number of its rows, and of bad ones."""
    head, pieces = read_head(read_content(source))
    layout = recognise_layout(head, NSL_KDD, source)
    place, good, bad = START, 0, 0
    for block in cut_blocks(pieces):
        numbered = number_lines(block, layout, place)
        rows = parse_lines(numbered, layout)
        place = numbered.next
        good, bad = good + rows.parsed.height, bad + rows.unparsed.height
    return good, bad


def main(side: str, source: Path) -> None:
    """Measure one side on one file, and print its cost as JSON.

    Args:
        side: ``read_csv``, ``parse`` or ``ingest``.
        source: the file.

    Raises:
        SystemExit: it found another number of bad lines than ``spoil`` wrote.
    """
    batch = hash_content(source).sha256  # a night knows it before ingest
    with TemporaryDirectory(dir=source.parent) as folder:

        def ingest(source: Path) -> tuple[int, int]:
            summary = ingest_file(source, NSL_KDD, Path(folder), batch)
            return summary.rows_parsed, summary.rows_unparsed

        sides: dict[str, Callable[[Path], tuple[int, int]]] = {
            "read_csv": read_plainly,
            "parse": parse,
            "ingest": ingest,
        }
        with measured() as cost:
            good, bad = sides[side](source)
    expected = 0 if side == "read_csv" else round((good + bad) * BAD_RATIO)
    if bad != expected:
        sys.exit(f"{side} found {bad} bad lines in {source}, expected {expected}")
    print(cost.model_dump_json())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
