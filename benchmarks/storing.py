"""One million predictions into PostgreSQL: Noctule's commit beside a bare COPY.

Noctule's side is ``storage.batches.commit_batch``, from its BEGIN to its COMMIT, for a quiet night
of a million scored rows of which one in a thousand is flagged: four Parquet parts of scores read
and turned into CSV, a thousand flagged connections with their records, 2,500 reasons, the
scoring, the accounting, the fence, the checks of every count and the planner's statistics. Taking
the claim, which is done when the night begins, is not in it.

The bare side is ``cursor.copy`` of psycopg, from BEGIN to COMMIT, of the same million predictions
into a table of the same columns and the same primary key. Its CSV is in memory, made beforehand by
polars in chunks of as many rows as Noctule hands over; it reads and checks nothing.

Both tables are emptied and the server's buffers flushed before each run, outside the clock. The
server is durable: fsync is on, as in production. CPU time is the client's alone.
"""

from statistics import median

import polars as pl
import psycopg
from rich.table import Table

from benchmarks.batches import Night, claimed, make_result, make_scoring
from benchmarks.bench import Bench, console, judge, ratios, spread
from benchmarks.databases import postgres_server, prepared
from storage.batches import commit_batch
from storage.bulk import SLICE_ROWS
from storage.cost import Cost, measured
from storage.schema import prediction
from storage.scorings import PREDICTION_COLUMNS, ScoringResult

TIMES = 5
"""How often each side is run."""
ROWS = 1_000_000
FLAG_RATIO = 0.001
"""Of a quiet night: what is measured are predictions."""
MAX_RATIO = 1.6
"""Of wall time, set when the work was agreed."""


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
            night = Night(number, ROWS, FLAG_RATIO)
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


def render_predictions(scoring: ScoringResult, night: Night) -> list[bytes]:
    """Write a batch's predictions as CSV, in chunks."""
    day, key = pl.lit(night.day).alias("batch_date"), pl.lit(1).alias("scoring_id")
    rows = pl.concat(map(pl.read_parquet, scoring.scores))
    predictions = rows.select(day, key, *PREDICTION_COLUMNS).select(prediction.columns.keys())
    return [
        part.write_csv(include_header=False).encode()
        for part in predictions.iter_slices(SLICE_ROWS)
    ]


def empty_tables(server: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Empty both tables, and leave the server nothing to write for runs before."""
    server.execute("TRUNCATE prediction, bare")
    server.execute("CHECKPOINT")


def copy_bare(server: "psycopg.Connection[tuple[object, ...]]", text: list[bytes]) -> Cost:
    """Measure a COPY in a transaction of its own."""
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
    """Print both sides, and judge the ratio of their wall times."""
    table = Table("1 M predictions, PostgreSQL", title="A commit and a bare COPY: medians (spread)")
    for column in ("wall s", "client's CPU s"):
        table.add_column(column, justify="right")
    for name, costs in (("Noctule's commit", commits), ("bare COPY", copies)):
        walls, cpus = [one.wall_s for one in costs], [one.cpu_s for one in costs]
        table.add_row(name, spread(walls), spread(cpus))
    console.print(table)
    found = ratios([one.wall_s for one in commits], [one.wall_s for one in copies])
    return judge(f"a commit takes {spread(found)} times a bare COPY", median(found), MAX_RATIO)
