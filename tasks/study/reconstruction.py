"""The autoencoder of the second work: rows that it reconstructs badly are anomalous.

Belongs here: both recipes, their errors, and two thresholds. Does not belong here: the network
(``tasks.detectors.autoencoder``).
"""

import numpy as np
import polars as pl
from pydantic import BaseModel

from expectations.contract import Contract
from tasks.arrays import Floats, Mask, Matrix
from tasks.detectors.autoencoder import (
    Autoencoder,
    AutoencoderOptions,
    build_network,
    fit_autoencoder,
)
from tasks.evaluation.metrics import roc_auc
from tasks.features.encoding import Encoder
from tasks.study.results import (
    ClassificationReport,
    Curve,
    report_flags,
    trace_precision,
    trace_roc,
)
from tasks.study.split import SEED, Split, fill_missing

PERCENTILES = (95, 98)
"""The thresholds of the second work: percentiles of the errors of normal training rows."""

BINS = 60
"""Bins of the histogram of errors. A guess."""

AS_DESCRIBED = AutoencoderOptions(
    recipe="as_described", epochs=50, batch_rows=256, learning_rate=1e-3, max_steps=5_000
)
"""The second work names layers, dropout, optimiser and loss; the other options are a guess from the
defaults of its time. It does not define its scaling and its error. Here quantities are standardised
by the normal rows of the fit, and the error is the mean absolute error, which comes nearest to its
ROC AUC of .99. The mean squared error gives .965."""

DEFAULT = AutoencoderOptions(batch_rows=256, max_steps=5_000)
"""The default of training with half its batch, which is slightly better on files of 25,192 rows
(``benchmarks.choices``)."""


class PercentileThreshold(BaseModel, frozen=True):
    """A threshold at a percentile of the errors, and its report on the test part."""

    percentile: int
    threshold: float
    test: ClassificationReport


class Histogram(BaseModel, frozen=True):
    """A histogram of errors, on a logarithmic axis."""

    edges: tuple[float, ...]
    """(n_bins + 1,), of log10 of the error."""
    normal: tuple[int, ...]
    attack: tuple[int, ...]


class Reconstruction(BaseModel, frozen=True):
    """An autoencoder of one recipe, and its errors."""

    recipe: str
    inputs: str
    """How its rows were encoded, in words."""
    layers: tuple[tuple[str, str, int], ...]
    """Name, output shape and parameters of each layer."""
    history: tuple[dict[str, float], ...]
    """For each epoch ``loss`` and ``held_out_loss``."""
    roc_auc: float | None
    """ROC AUC of the errors of the test part."""
    roc: Curve
    """False-positive rate and recall."""
    precision_recall: Curve
    """Recall and precision."""
    histogram: Histogram
    """Histogram of the errors of the test part."""
    thresholds: tuple[PercentileThreshold, ...]


def evaluate_autoencoders(
    features: pl.DataFrame, contract: Contract, split: Split
) -> tuple[Reconstruction, ...]:
    """Train both recipes on normal rows of the training part; evaluate them on the test part.

    Returns:
        The recipe as described, on standardised and one-hot columns. Then the default recipe, on
        standardised and clipped logarithms, and the same one-hot columns.
    """
    parts = features[split.train_rows], features[split.test_rows]
    encoder = Encoder.fit(parts[0], contract.features, ~split.train_is_attack)
    encoded = [encoder.encode(part).neural for part in parts]
    normal = parts[0].filter(~split.train_is_attack)
    standardised = [
        _standardise(encoder, normal, part, neural)
        for part, neural in zip(parts, encoded, strict=True)
    ]
    return (
        _evaluate("as_described", "standardised, one-hot", standardised, split, AS_DESCRIBED),
        _evaluate("default", "log1p, standardised, clipped at 5, one-hot", encoded, split, DEFAULT),
    )


def _standardise(
    encoder: Encoder, normal: pl.DataFrame, rows: pl.DataFrame, neural: Matrix
) -> Matrix:
    """Return quantities standardised by the normal rows, then the one-hot columns."""
    names = [quantity.name for quantity in encoder.quantities]
    usual = normal.select(names).to_numpy().astype(np.float64)
    known = fill_missing(usual, usual)
    spread = known.std(axis=0)
    values = fill_missing(rows.select(names).to_numpy().astype(np.float64), usual)
    scaled = (values - known.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.hstack([scaled.astype(np.float32), neural[:, len(names) :]])


def _evaluate(
    recipe: str, inputs: str, parts: list[Matrix], split: Split, options: AutoencoderOptions
) -> Reconstruction:
    train, test = parts
    normal = train[~split.train_is_attack]
    fitted = fit_autoencoder(normal, options, SEED)
    measure = _absolute_errors if recipe == "as_described" else Autoencoder.anomaly_scores
    usual, errors = measure(fitted, normal), measure(fitted, test)
    truth = split.test_is_attack
    thresholds = {at: float(np.percentile(usual, at)) for at in PERCENTILES}
    return Reconstruction(
        recipe=recipe,
        inputs=inputs,
        layers=tuple(
            (layer.name, f"({layer.output.shape[1]})", int(layer.count_params()))
            for layer in build_network(train.shape[1], options).layers
        ),
        history=fitted.history,
        roc_auc=roc_auc(truth, errors),
        roc=trace_roc(truth, errors),
        precision_recall=trace_precision(truth, errors),
        histogram=_make_histogram(truth, errors),
        thresholds=tuple(
            PercentileThreshold(
                percentile=at, threshold=threshold, test=report_flags(truth, errors > threshold)
            )
            for at, threshold in thresholds.items()
        ),
    )


def _absolute_errors(fitted: Autoencoder, inputs: Matrix) -> Floats:
    errors: Floats = np.abs(inputs - fitted.graph.run(inputs)).mean(axis=1).astype(np.float64)
    return errors


def _make_histogram(truth: Mask, errors: Floats) -> Histogram:
    logs = np.log10(np.maximum(errors, 1e-12))
    edges = np.histogram_bin_edges(logs, BINS)
    return Histogram(
        edges=tuple(edges.round(4).tolist()),
        normal=tuple(np.histogram(logs[~truth], edges)[0].tolist()),
        attack=tuple(np.histogram(logs[truth], edges)[0].tolist()),
    )
