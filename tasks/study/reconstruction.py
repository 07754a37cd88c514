"""The autoencoder of the second work: normal traffic rebuilt, and what cannot be is anomalous.

Belongs here: both recipes, their errors, and two thresholds. Does not belong here: the network
(``tasks.detectors.autoencoder_training``).
"""

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from tasks.arrays import Floats, Mask, Matrix
from tasks.detectors.autoencoder import Autoencoder
from tasks.detectors.autoencoder_training import AutoencoderOptions, build_network, fit_autoencoder
from tasks.evaluation.metrics import roc_auc
from tasks.features.encoding import Encoder
from tasks.study.comparison import ClassificationReport, report_flags
from tasks.study.curves import Curve, trace_precision, trace_roc
from tasks.study.split import SEED, Split

PERCENTILES = (95, 98)
"""Of the errors of normal training rows: the thresholds of the second work."""

BINS = 60
"""Of a histogram. A guess."""

AS_DESCRIBED = AutoencoderOptions(
    recipe="as_described", epochs=50, batch_rows=256, learning_rate=1e-3, max_steps=5_000
)
"""The second work names layers, dropout, optimiser and loss; the rest is a guess, of its time's
defaults. Of its scaling and its error it says no more than their names: quantities are standardised
by the normal rows it is trained on, and the error is the mean absolute one, the reading that comes
nearest to its ROC AUC of .99. By the mean squared error it is .965."""

DEFAULT = AutoencoderOptions(batch_rows=256, max_steps=5_000)
"""What trains by default, at half its batch: on files of 25,192 rows that does slightly better
(``benchmarks.choices``)."""


class PercentileThreshold(BaseModel):
    """What a threshold does."""

    model_config = ConfigDict(frozen=True)

    percentile: int
    threshold: float
    test: ClassificationReport


class Histogram(BaseModel):
    """How errors are spread, on a logarithmic axis."""

    model_config = ConfigDict(frozen=True)

    edges: tuple[float, ...]
    """(n_bins + 1,), of log10 of the error."""
    normal: tuple[int, ...]
    anomaly: tuple[int, ...]


class Reconstruction(BaseModel):
    """One recipe."""

    model_config = ConfigDict(frozen=True)

    recipe: str
    inputs: str
    """How rows were encoded for it."""
    layers: tuple[tuple[str, str, int], ...]
    """Of the network: name, output shape and parameters."""
    history: tuple[dict[str, float], ...]
    """For each epoch ``loss`` and ``held_out_loss``."""
    roc_auc: float | None
    """Of the errors of the test part."""
    roc: Curve
    """False-positive rate and recall."""
    precision_recall: Curve
    """Recall and precision."""
    histogram: Histogram
    """Of the errors of the test part."""
    thresholds: tuple[PercentileThreshold, ...]


def evaluate_autoencoders(
    features: pl.DataFrame, contract: Contract, split: Split
) -> tuple[Reconstruction, ...]:
    """Train both recipes on the normal rows of the training part and judge them on the test part.

    Args:
        features: the file's rows, with every feature.
        contract: declares them.
        split: which rows are of which part.

    Returns:
        As described, on standardised and one-hot columns; then the default, on logarithms,
        standardised and clipped, beside the same one-hot columns.
    """
    parts = features[split.train_rows], features[split.test_rows]
    encoder = Encoder.fit(parts[0], contract.features, ~split.train_is_attack)
    sane = [encoder.encode(part).neural for part in parts]
    normal = parts[0].filter(~split.train_is_attack)
    plain = [_standardise(encoder, normal, part, sane[at]) for at, part in enumerate(parts)]
    return (
        _judge("as_described", "standardised, one-hot", plain, split, AS_DESCRIBED),
        _judge("default", "log1p, standardised, clipped at 5, one-hot", sane, split, DEFAULT),
    )


def _standardise(
    encoder: Encoder, normal: pl.DataFrame, rows: pl.DataFrame, neural: Matrix
) -> Matrix:
    """Standardise quantities as they are, by the normal rows, beside the one-hot columns."""
    names = [quantity.name for quantity in encoder.quantities]
    known = normal.select(names).to_numpy().astype(np.float64)
    spread = known.std(axis=0)
    values = rows.select(names).to_numpy().astype(np.float64)
    scaled = (values - known.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return np.hstack([scaled.astype(np.float32), neural[:, len(names) :]])


def _judge(
    recipe: str,
    inputs: str,
    parts: list[Matrix],
    split: Split,
    options: AutoencoderOptions,
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
        histogram=_count(truth, errors),
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


def _count(truth: Mask, errors: Floats) -> Histogram:
    logs = np.log10(np.maximum(errors, 1e-12))
    edges = np.histogram_bin_edges(logs, BINS)
    return Histogram(
        edges=tuple(edges.round(4).tolist()),
        normal=tuple(np.histogram(logs[~truth], edges)[0].tolist()),
        anomaly=tuple(np.histogram(logs[truth], edges)[0].tolist()),
    )
