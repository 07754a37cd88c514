"""Fitting a model: labelled connections in, a model folder out, with the evidence for it.

Belongs here: the order of the steps, and the folder. Does not belong here: how each step works
(see ``training_data``, ``holdout``, ``thresholds``, ``detectors``), or which version is champion.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from tasks.detectors.hybrid import Model, ModelCard, Thresholds, hash_content, sum_tails
from tasks.detectors.tails import Tail
from tasks.drift import build_reference
from tasks.encode import Floats, Mask
from tasks.evaluate import Evaluation, evaluate_scores
from tasks.holdout import (
    Kinds,
    TrainingOptions,
    divide_attacks,
    fit_network,
    fit_trees,
    score_held_out_kinds,
    score_out_of_fold,
)
from tasks.thresholds import choose_thresholds
from tasks.training_data import TrainingRows, assign_folds, read_training_rows

METRICS_FILE = "metrics.json"
TRAINING_FILE = "training.json"
REFERENCE_FOLDER = "reference"


class HeldOutKind(BaseModel):
    """How a kind of attack fares with a model that never saw it."""

    model_config = ConfigDict(frozen=True)

    rows: int
    recall_default: float
    recall_low_alert: float


class TrainingMetrics(BaseModel):
    """What is known of a model before its first night, all of it from held-out rows."""

    model_config = ConfigDict(frozen=True)

    known: Evaluation
    """On the training rows, each scored by models of the other folds: traffic like the past."""
    unknown_made_from: str
    """What the held-out kinds of attack are: ``family``, ``attack`` (the name) or ``cluster``."""
    unknown: dict[str, HeldOutKind]
    """For each held-out kind; empty where no kind could be held out."""
    rows_conflicting: int
    """Rows whose features occur both as normal and as attack."""


class FitSummary(BaseModel):
    """What fitting came to."""

    model_config = ConfigDict(frozen=True)

    content_hash: str
    """The model's identity; see ``hash_content``."""
    rows: int
    classes: dict[str, int]
    """Rows labelled ``normal`` and ``attack``."""
    thresholds: Thresholds
    metrics: TrainingMetrics
    seconds: dict[str, float]
    """Wall time of each step."""


def fit_model(
    parts: Sequence[Path],
    contract: Contract,
    out: Path,
    options: TrainingOptions,
    progress: Callable[[str], None] | None = None,
) -> FitSummary:
    """Fit a model on labelled connections and write its folder.

    Tails and thresholds come from rows and kinds of attack that the judging models had not seen;
    the detectors that will serve are then fitted on everything.

    Args:
        parts: Parquet files of accepted connections with their label.
        contract: names the features, the label and the attack families.
        out: an existing folder; gets the model's content files, the Keras files,
            ``metrics.json``, ``training.json`` and ``reference/``.
        options: how the model is fitted.
        progress: told each step before it is done.

    Returns:
        The summary; equal rows, options and seed give an equal content hash.

    Raises:
        TrainingDataError: no label, one class only, or too few rows.
    """
    steps = _Steps(progress)
    steps.begin("reading labelled connections")
    rows = read_training_rows(parts, contract)
    fold = assign_folds(rows, options.folds, options.seed)
    kinds = divide_attacks(rows, contract, options.seed)

    steps.begin("scoring held-out rows")
    held_out = score_out_of_fold(rows, fold, options, steps.tell)
    tails = _fit_tails(held_out, ~rows.is_attack)
    decades = {name: tail.decades(held_out[name]) for name, tail in tails.items()}
    anomaly_score = sum_tails(decades)

    steps.begin("scoring held-out kinds of attack")
    novel = score_held_out_kinds(rows, fold, kinds, decades["autoencoder"], options, steps.tell)
    thresholds = choose_thresholds(
        anomaly_score[~rows.is_attack], anomaly_score[rows.is_attack], novel
    )

    steps.begin("fitting on all rows")
    everything = np.ones(rows.count, dtype=np.bool_)
    classifier = fit_trees(rows, everything, options)
    network = fit_network(rows, everything, classifier.encoder, options)
    card = ModelCard(contract=contract.name, thresholds=thresholds)
    Model(card, classifier.encoder, classifier, network.served, tails).save(out)
    network.save(out)

    steps.begin("keeping metrics and the drift reference")
    metrics = _measure(rows, contract, held_out, anomaly_score, card, kinds, novel)
    _write_json(out / METRICS_FILE, metrics.model_dump(mode="json"))
    history = {"options": options.model_dump(mode="json"), "autoencoder": network.history}
    _write_json(out / TRAINING_FILE, history)
    reference = rows.features.with_columns(pl.Series("anomaly_score", anomaly_score))
    build_reference(reference, contract, out / REFERENCE_FOLDER, options.seed)

    attacks = int(rows.is_attack.sum())
    return FitSummary(
        content_hash=hash_content(out),
        rows=rows.count,
        classes={"normal": rows.count - attacks, "attack": attacks},
        thresholds=thresholds,
        metrics=metrics,
        seconds=steps.end(),
    )


def _fit_tails(held_out: Mapping[str, Floats], is_normal: Mask) -> dict[str, Tail]:
    """Fit each detector's tail to the normals it had not seen; errors by their logarithm."""
    return {
        name: Tail.fit(scores[is_normal], is_logarithmic=name == "autoencoder")
        for name, scores in held_out.items()
    }


def _measure(
    rows: TrainingRows,
    contract: Contract,
    held_out: Mapping[str, Floats],
    anomaly_score: Floats,
    card: ModelCard,
    kinds: Kinds,
    novel: Mapping[str, Floats],
) -> TrainingMetrics:
    judged = pl.DataFrame(
        {
            "is_attack": rows.is_attack,
            "anomaly_score": anomaly_score,
            "classifier_score": held_out["classifier"],
        }
    ).with_columns(
        pl.lit(None, dtype=pl.String).alias("attack")
        if rows.attacks is None
        else pl.Series("attack", rows.attacks)
    )
    thresholds = card.thresholds
    return TrainingMetrics(
        known=evaluate_scores(judged, card, contract.families or {}),
        unknown_made_from=kinds.made_from,
        unknown={
            kind: HeldOutKind(
                rows=len(scores),
                recall_default=float((scores > thresholds.default).mean()),
                recall_low_alert=float((scores > thresholds.low_alert).mean()),
            )
            for kind, scores in novel.items()
        },
        rows_conflicting=rows.count_conflicts(),
    )


class _Steps:
    """Tells what is being done, and how long each step took."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._current: tuple[str, float] | None = None

    def begin(self, name: str) -> None:
        self.end()
        self._current = (name, time.perf_counter())
        self.tell(name)

    def tell(self, what: str) -> None:
        if self._progress is not None:
            self._progress(what)

    def end(self) -> dict[str, float]:
        if self._current is not None:
            name, began = self._current
            self._seconds[name] = time.perf_counter() - began
            self._current = None
        return self._seconds


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, sort_keys=True, indent=1) + "\n", encoding="utf-8")
