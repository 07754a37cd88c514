"""The top 100 flagged connections of one batch among ten million stored predictions.

The database is filled through ``storage.batches.commit_batch``: ten nights of a million rows, one
in twenty flagged with its record of 41 features (some 800 bytes), the 500 highest of each with
five reasons. Then the analyst's question is asked of the view ``flagged_connections``, all
columns, for a batch in the middle; a time is from sending the question to holding all its rows as
Python objects. The first is asked on a new connection, the second warms up, the rest count.
"""

from pathlib import Path
from statistics import median
from time import perf_counter

import sqlalchemy as sa
from rich.table import Table
from sqlalchemy import Engine

from benchmarks.batches import Night, claimed, make_result, make_scoring
from benchmarks.bench import Bench, console, judge
from benchmarks.databases import postgres_server, prepared
from storage.batches import commit_batch
from storage.cost import measured
from storage.database import read

NIGHTS = 10
ROWS = 1_000_000
QUICK_ROWS = 100_000
"""Rows of a night where it must be quick."""
FLAG_RATIO = 0.05
"""A guess at a noisy network: more flags make the question harder."""
ASKED = 30
"""How often the question is asked: cheap beside filling the database."""
MAX_MS = 20.0
"""Set when the work was agreed."""
QUESTION = sa.text(
    "SELECT * FROM flagged_connections WHERE batch_id = :batch"
    " ORDER BY anomaly_score DESC LIMIT 100"
)


def bench_ask(bench: Bench) -> list[str]:
    """Measure the question on SQLite and on PostgreSQL."""
    rows = QUICK_ROWS if bench.is_quick else ROWS
    table = Table(
        "database",
        title=f"The 100 highest of one batch among {NIGHTS * rows:,} predictions, ms",
    )
    for column in ("on a new connection", "least", "median", "most", "a night's commit, wall s"):
        table.add_column(column, justify="right")
    medians = {}
    with postgres_server(bench.folder / "asking") as server:
        for name, url in (("SQLite", None), ("PostgreSQL", server)):
            with prepared(url, bench.folder / f"asking-{name}") as engine:
                commit_s = fill(engine, bench.folder, rows)
                times = ask(engine, Night(NIGHTS // 2, rows, FLAG_RATIO))
            first, _, *rest = times
            medians[name] = median(rest)
            figures = (first, min(rest), medians[name], max(rest))
            table.add_row(name, *(f"{one:.1f}" for one in figures), f"{commit_s:.1f}")
    console.print(table)
    return [
        line
        for name, found in medians.items()
        for line in judge(f"the question takes {found:.1f} ms on {name}", found, MAX_MS)
    ]


def fill(engine: Engine, folder: Path, rows: int) -> float:
    """Commit all nights; return the median wall time of a commit, in seconds."""
    times = []
    for number in range(NIGHTS):
        night = Night(number, rows, FLAG_RATIO)
        result = make_result(make_scoring(folder / "asking-batch", night))
        with claimed(engine, folder / engine.dialect.name, night) as held, measured() as cost:
            commit_batch(engine, held, result)
        times.append(cost.wall_s)
    return median(times)


def ask(engine: Engine, night: Night) -> list[float]:
    """Ask for a batch's 100 highest, the first time on a new connection; return each time in ms."""
    engine.dispose()
    times = []
    for _ in range(ASKED + 2):
        began = perf_counter()
        with read(engine) as connection:
            found = connection.execute(QUESTION, {"batch": night.batch_id}).all()
        times.append(1_000 * (perf_counter() - began))
        assert len(found) == 100, f"{len(found)} rows found"  # noqa: S101 - our own mistake
    return times
