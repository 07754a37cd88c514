"""Compares options of the models, to choose the defaults: ``python -m benchmarks.choices``.

It takes some ten minutes and uses only the training file: each row is scored by models that were
fitted on the other folds. It does not use the test rows of published figures.
"""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

import tasks.features.parameters
from benchmarks.data import TRAIN
from expectations.registry import get_contract
from tasks.arrays import Mask
from tasks.detectors.autoencoder import AutoencoderOptions
from tasks.detectors.gradient_boosting import LightGBMOptions
from tasks.training.members import fit_encoder, fit_supervised, fit_unsupervised
from tasks.training.options import TrainingOptions
from tasks.training.rows import TrainingRows, assign_folds, read_training_rows

NSL_KDD = get_contract("nsl_kdd")

SEEDS = (42, 43, 44)
"""Each seed decides the folds and the start of every fit."""

console = Console(width=110)


def main() -> None:
    """Print a table of the figures: one line for each option, one column for each seed."""
    if not TRAIN.exists():
        sys.exit(f"The options are compared on {TRAIN}, which does not exist")
    with tempfile.TemporaryDirectory(prefix="noctule-choices-") as folder:
        part = Path(folder) / "rows.parquet"
        pl.read_csv(TRAIN, schema_overrides=dict(NSL_KDD.schema)).write_parquet(part)
        rows = read_training_rows([part], NSL_KDD)
    trees = {f"{count} trees": LightGBMOptions(trees=count) for count in (150, 200, 250, 300)}
    trees["250 trees, all inputs"] = LightGBMOptions(trees=250, feature_fraction=1.0)
    show_figures(
        "Rows on the wrong side of even odds",
        {
            name: [count_errors(rows, TrainingOptions(seed=seed, classifier=one)) for seed in SEEDS]
            for name, one in trees.items()
        },
        digits=0,
    )
    networks = {
        "512 rows a step, clipped at 5": (512, 5.0),
        "256 rows a step": (256, 5.0),
        "clipped at 10": (512, 10.0),
        "not clipped": (512, np.inf),
    }
    show_figures(
        "ROC AUC of the autoencoder alone",
        {
            name: [measure_network(rows, seed, batch_rows, clip) for seed in SEEDS]
            for name, (batch_rows, clip) in networks.items()
        },
        digits=4,
    )


def folds_of(rows: TrainingRows, options: TrainingOptions) -> Iterator[Mask]:
    """Yield the held-out rows of each fold: bool, (n_rows,)."""
    fold = assign_folds(rows, options.folds, options.seed)
    for number in range(options.folds):
        yield fold == number


def count_errors(rows: TrainingRows, options: TrainingOptions) -> float:
    """Count the held-out rows that a classifier puts into the wrong class."""
    errors = 0
    for held_out in folds_of(rows, options):
        model = fit_supervised(rows, ~held_out, options)
        scores = model.score(model.encoder.encode(rows.features.filter(held_out)))
        errors += int(((scores > 0) != rows.is_attack[held_out]).sum())
    return errors


def measure_network(rows: TrainingRows, seed: int, batch_rows: int, clip: float) -> float:
    """Return the mean held-out ROC AUC of a network that is fitted on normal rows only."""
    options = TrainingOptions(seed=seed, one_class=AutoencoderOptions(batch_rows=batch_rows))
    found = []
    with clipped_at(clip):
        for held_out in folds_of(rows, options):
            encoder = fit_encoder(rows, ~held_out)
            served = fit_unsupervised(rows, ~held_out, encoder, options)
            scores = served.score(encoder.encode(rows.features.filter(held_out)))
            found.append(roc_auc_score(rows.is_attack[held_out], scores))
    return float(np.mean(found))


@contextmanager
def clipped_at(clip: float) -> Iterator[None]:
    """Encode with another clip within the block."""
    chosen = tasks.features.parameters.CLIP
    tasks.features.parameters.CLIP = clip
    try:
        yield
    finally:
        tasks.features.parameters.CLIP = chosen


def show_figures(title: str, figures: dict[str, Sequence[float]], digits: int) -> None:
    """Print a table: one line for each option, one column for each seed."""
    table = Table("option", title=title)
    for seed in SEEDS:
        table.add_column(f"seed {seed}", justify="right")
    for name, values in figures.items():
        table.add_row(name, *(f"{value:.{digits}f}" for value in values))
    console.print(table)


if __name__ == "__main__":
    main()
