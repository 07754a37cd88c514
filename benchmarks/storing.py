"""One million predictions into PostgreSQL: Noctule's commit compared with a bare COPY.

Noctule's side is ``storage.batches.commit_batch``, from BEGIN to COMMIT, for a million scored rows
of which one in a thousand is flagged. It reads four Parquet parts of scores and turns them into
CSV; it stores a thousand flagged connections with their records, 2,500 reasons, the scoring and the
row counts; it checks the fencing token and every count, and updates the planner's statistics. The
claim, which is taken when a night begins, is not measured.

The bare side is ``cursor.copy`` of psycopg, from BEGIN to COMMIT, of the same predictions into a
table with the same columns and primary key. Polars makes its CSV in memory beforehand, in chunks of
as many rows as Noctule's. It reads and checks nothing.

Before each run both tables are emptied and the server's buffers are flushed; that is not measured.
The server is durable: fsync is on, as in production. CPU time is that of the client only.
"""

from statistics import median

import polars as pl
import psycopg
from rich.table import Table

from benchmarks.batches import MadeBatch, claimed, make_result, make_scoring
from benchmarks.bench import Bench, check_bound, console, ratios, spread
from benchmarks.databases import postgres_server, prepared
from storage.batches import commit_batch
from storage.bulk import SLICE_ROWS
from storage.cost import Cost, measured
from storage.schema import prediction
from storage.scorings import PREDICTION_COLUMNS, ScoringResult

TIMES = 5
"""Runs of each side."""
ROWS = 1_000_000
FLAG_RATIO = 0.001
"""Share of flagged rows: few, because predictions are measured."""
MAX_RATIO = 1.6
"""Bound of the wall time, set when the work was agreed."""


def bench_store(bench: Bench) -> list[str]:
    """Measure a commit against a bare COPY of its predictions."""
    commits: list[Cost] = []
    copies: list[Cost] = []
    with (
        postgres_server(bench.folder / "storing") as url,
        prepared(url, bench.folder / "storing-home") as engine,
        psycopg.connect(url, autocommit=True) as server,
    ):
        server.execute("CREATE TABLE bare (LIKE prediction INCLUDING ALL)")
        for number in bench.repeat(TIMES):
            night = MadeBatch(number, ROWS, FLAG_RATIO)
            scoring = make_scoring(bench.folder / "storing-batch", night)
            text = render_predictions(scoring, night)
            empty_tables(server)
            copies.append(copy_bare(server, text))
            with claimed(engine, bench.folder, night) as held:
                empty_tables(server)
                with measured() as cost:
                    commit_batch(engine, held, make_result(scoring))
            commits.append(cost)
        (stored,) = server.execute("SELECT count(*) FROM prediction").fetchone() or (0,)
        assert stored == ROWS, f"{stored} rows stored"  # noqa: S101 - our own mistake
    return _show(commits, copies)


def render_predictions(scoring: ScoringResult, night: MadeBatch) -> list[bytes]:
    """Return the predictions of a batch as CSV, in chunks."""
    day, key = pl.lit(night.day).alias("batch_date"), pl.lit(1).alias("scoring_id")
    rows = pl.concat(map(pl.read_parquet, scoring.scores))
    predictions = rows.select(day, key, *PREDICTION_COLUMNS).select(prediction.columns.keys())
    return [
        part.write_csv(include_header=False).encode()
        for part in predictions.iter_slices(SLICE_ROWS)
    ]


def empty_tables(server: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Empty both tables, and let the server write what earlier runs have left."""
    server.execute("TRUNCATE prediction, bare")
    server.execute("CHECKPOINT")


def copy_bare(server: "psycopg.Connection[tuple[object, ...]]", text: list[bytes]) -> Cost:
    """Measure a COPY in its own transaction."""
    with (
        measured() as cost,
        server.transaction(),
        server.cursor() as cursor,
        cursor.copy("COPY bare FROM STDIN (FORMAT csv)") as copy,
    ):
        for chunk in text:
            copy.write(chunk)
    return cost


def _show(commits: list[Cost], copies: list[Cost]) -> list[str]:
    """Print both sides, and check the bound of the ratio of their wall times."""
    table = Table("1 M predictions, PostgreSQL", title="A commit and a bare COPY: medians (spread)")
    for column in ("wall s", "client's CPU s"):
        table.add_column(column, justify="right")
    for name, costs in (("Noctule's commit", commits), ("bare COPY", copies)):
        walls, cpus = [one.wall_s for one in costs], [one.cpu_s for one in costs]
        table.add_row(name, spread(walls), spread(cpus))
    console.print(table)
    found = ratios([one.wall_s for one in commits], [one.wall_s for one in copies])
    return check_bound(
        f"a commit takes {spread(found)} times a bare COPY", median(found), MAX_RATIO
    )
