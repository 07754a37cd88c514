"""The top 100 flagged connections of one batch among ten million stored predictions.

The database is filled through ``storage.batches.commit_batch``: ten nights of a million rows. One
row in twenty is flagged and has its record of 41 features (some 800 bytes); the 500 highest of each
night have five reasons. Then a batch in the middle is queried through all columns of the view
``flagged_connections``. A time lasts from sending the query until all its rows are Python objects.
The first query runs on a new connection, the second warms up, the others count.
"""

from pathlib import Path
from statistics import median
from time import perf_counter

import sqlalchemy as sa
from rich.table import Table
from sqlalchemy import Engine

from benchmarks.batches import MadeBatch, claimed, make_result, make_scoring
from benchmarks.bench import Bench, check_bound, console
from benchmarks.databases import postgres_server, prepared
from storage.batches import commit_batch
from storage.cost import measured
from storage.database import read

NIGHTS = 10
ROWS = 1_000_000
QUICK_ROWS = 100_000
"""Rows of a night with ``--quick``."""
FLAG_RATIO = 0.05
"""Share of flagged rows. A guess for a noisy network: more flags make the query slower."""
QUERIES = 30
"""Number of queries: cheap compared with filling the database."""
MAX_MS = 20.0
"""Bound of a query, in ms, set when the work was agreed."""
QUERY = sa.text(
    "SELECT * FROM flagged_connections WHERE batch_id = :batch"
    " ORDER BY anomaly_score DESC LIMIT 100"
)


def bench_ask(bench: Bench) -> list[str]:
    """Measure the query on SQLite and on PostgreSQL."""
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
                times = ask(engine, MadeBatch(NIGHTS // 2, rows, FLAG_RATIO))
            first, _, *rest = times
            medians[name] = median(rest)
            figures = (first, min(rest), medians[name], max(rest))
            table.add_row(name, *(f"{one:.1f}" for one in figures), f"{commit_s:.1f}")
    console.print(table)
    return [
        line
        for name, found in medians.items()
        for line in check_bound(f"the query takes {found:.1f} ms on {name}", found, MAX_MS)
    ]


def fill(engine: Engine, folder: Path, rows: int) -> float:
    """Commit all batches; return the median wall time of a commit, in seconds."""
    times = []
    for number in range(NIGHTS):
        night = MadeBatch(number, rows, FLAG_RATIO)
        result = make_result(make_scoring(folder / "asking-batch", night))
        with claimed(engine, folder / engine.dialect.name, night) as held, measured() as cost:
            commit_batch(engine, held, result)
        times.append(cost.wall_s)
    return median(times)


def ask(engine: Engine, night: MadeBatch) -> list[float]:
    """Query a batch's 100 highest rows; return each time in ms, the first on a new connection."""
    engine.dispose()
    times = []
    for _ in range(QUERIES + 2):
        began = perf_counter()
        with read(engine) as connection:
            found = connection.execute(QUERY, {"batch": night.batch_id}).all()
        times.append(1_000 * (perf_counter() - began))
        assert len(found) == 100, f"{len(found)} rows found"  # noqa: S101 - our own mistake
    return times
