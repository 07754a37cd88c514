"""Wall time of fitting the default champion, and CPU time per row of scoring with it.

Belongs here: only models. Does not belong here: whole nights (see ``__main__``).
"""

import shutil
import time
from pathlib import Path

import polars as pl

from benchmarks.bench import Bench, check_bound, console, spread
from benchmarks.data import WHOLE
from expectations.registry import get_contract
from tasks.scoring.score import ScoreOptions, score_batch
from tasks.validation.summary import PartFile

NSL_KDD = get_contract("nsl_kdd")

MAX_FIT_S = 360.0
"""Bound on two cores, with all held-out fits: by fold, by family and by attack."""
MIN_ROWS_PER_CPU_S = 45_000
"""The bounds of a model, set when the work was agreed."""
PART_ROWS = 250_000
TIMES = 5


def bench_model(bench: Bench) -> list[str]:
    """Measure the fit of the default champion on 125,973 rows, and scoring by one thread."""
    if not WHOLE.exists():
        console.print(f"The fit is measured on {WHOLE}, which does not exist")
        return []
    fits = []
    for _ in bench.repeat(3):
        home = bench.folder / "fitted"
        shutil.rmtree(home, ignore_errors=True)
        fits.append(bench.run_noctule(home, "train", WHOLE).wall_s)
    model = next(path for path in (home / "models").iterdir() if path.is_dir())
    missed = check_bound(
        f"training on 125,973 connections: {spread(fits, 0)} s",
        sorted(fits)[len(fits) // 2],
        MAX_FIT_S,
    )
    speeds = [_score(bench.folder, model) for _ in bench.repeat(TIMES)]
    middle = sorted(speeds)[len(speeds) // 2]
    line = f"scoring: {spread(speeds, 0)} connections per CPU second"
    bound = 1e6 / MIN_ROWS_PER_CPU_S
    return missed + check_bound(f"{line}; CPU s a million {1e6 / middle:.1f}", 1e6 / middle, bound)


def _score(folder: Path, model: Path) -> float:
    """Score one part with one thread; return connections per CPU second, file access included."""
    rows = pl.read_csv(
        WHOLE, has_header=False, new_columns=[*NSL_KDD.form.orders[2]], infer_schema_length=None
    ).select(pl.col(column.name).cast(column.dtype) for column in NSL_KDD.features)
    many = pl.concat([rows, rows]).head(PART_ROWS).with_row_index("row_number", 1)
    many.with_columns(pl.col("row_number").cast(pl.Int64)).write_parquet(folder / "part.parquet")
    out = folder / "score-bench"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    began = time.process_time()
    scored = score_batch(
        folder, [PartFile(path="part.parquet", rows=many.height)], model, out, ScoreOptions()
    )
    return scored.rows_scored / (time.process_time() - began)
