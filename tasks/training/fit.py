"""Fitting a model: labelled connections in, a model folder with its metrics out.

Belongs here: the order of the steps, and the folder. Does not belong here: how each step works
(``rows``, ``held_out``, ``calibration``, ``assessment``, ``tasks.detectors``), or which version is
champion.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import BaseModel

from expectations.contract import Contract
from storage.model_store import FINGERPRINT
from tasks.detectors.autoencoder import Autoencoder, save_network
from tasks.detectors.base import write_json
from tasks.detectors.model import Model, hash_model
from tasks.detectors.model_card import TRAINING_FILE, ModelCard, read_card
from tasks.detectors.thresholds import Thresholds
from tasks.drift.measure import build_reference
from tasks.features.row_keys import RowKeys
from tasks.training.assessment import assess_fit
from tasks.training.attack_groups import group_attacks
from tasks.training.calibration import HeldOutScores, calibrate
from tasks.training.families import fit_families
from tasks.training.held_out import score_held_out_groups, score_out_of_fold
from tasks.training.members import fit_members
from tasks.training.options import TrainingOptions
from tasks.training.rows import assign_folds, read_training_rows
from tasks.training.steps import StepTimer
from tasks.training.training_metrics import TrainingMetrics

METRICS_FILE = "metrics.json"
REFERENCE_FOLDER = "reference"


class FitSummary(BaseModel, frozen=True):
    """The result of a fit."""

    content_hash: str
    """The model's identity; see ``hash_model``."""
    rows: int
    classes: dict[str, int]
    """Rows labelled ``normal`` and ``attack``; or only ``unlabelled``."""
    thresholds: Thresholds
    metrics: TrainingMetrics
    seconds: dict[str, float]
    """Wall time of each step."""


def fit_model(
    parts: Sequence[Path],
    contract: Contract,
    out: Path,
    options: TrainingOptions,
    progress: Callable[[str], None] = lambda _: None,
) -> FitSummary:
    """Fit a model on labelled connections and write its folder.

    Tails and thresholds are chosen from rows and groups of attacks that the scoring detectors were
    not fitted on. The detectors that will serve are then fitted on all rows. The metrics come from
    the same held-out scores, but each row and each group is assessed by tails and thresholds that
    were chosen without it.

    Args:
        parts: Parquet files of accepted connections with their label.
        contract: names the features, the label and the attack families.
        out: an existing folder; gets the model's content files, the Keras files, ``metrics.json``,
            ``training.json``, ``evidence.parquet``, ``row_keys.parquet`` and ``reference/``.
        options: how the model is fitted.
        progress: called with each step before it is done.

    Returns:
        The summary; equal rows, options and seed give an equal content hash.

    Raises:
        TrainingDataError: no label, labels that are not clear, one class only, or too few rows.
    """
    steps = StepTimer(progress)
    steps.begin("reading labelled connections")
    rows = read_training_rows(parts, contract)
    fold = assign_folds(rows, options.folds, options.seed)
    groupings = group_attacks(rows, contract, options.seed)

    steps.begin("scoring held-out rows")
    out_of_fold = score_out_of_fold(rows, fold, groupings, options, progress)
    steps.begin("scoring held-out kinds of attack")
    scores = [
        HeldOutScores(
            rows.is_attack, raw, score_held_out_groups(rows, fold, groups, options, progress)
        )
        for raw, groups in zip(out_of_fold, groupings, strict=True)
    ]
    everything = np.ones(rows.count, dtype=np.bool_)
    calibration = calibrate(scores[0], everything)

    steps.begin("fitting on all rows")
    members = fit_members(rows, everything, options)
    encoder, one_class = members[-1].encoder, members[-1]
    steps.begin("telling families of attack apart")
    model_of_families, family_metrics = fit_families(
        rows, contract, encoder, fold, options.seed, options.threads
    ) or (None, None)
    card = ModelCard(
        contract=contract.name,
        thresholds=calibration.thresholds,
        typical=encoder.find_typical(rows.features.filter(~rows.is_attack)),
        attacks=rows.attack_names,
    )
    Model(card, encoder, members, calibration.tails, model_of_families).save(out)
    history: tuple[dict[str, float], ...] = ()
    if isinstance(one_class.detector, Autoencoder) and one_class.detector.network is not None:
        save_network(one_class.detector.network, out)
        history = one_class.detector.history

    steps.begin("keeping metrics and the drift reference")
    metrics, table = assess_fit(
        rows, contract, scores, groupings, read_card(out), options, family_metrics
    )
    table.write(out)
    RowKeys.of(rows.features).save(out)
    write_json(out / METRICS_FILE, metrics.model_dump(mode="json"))
    training = {
        "options": options.model_dump(mode="json"),
        "autoencoder": history,
        FINGERPRINT: contract.feature_fingerprint,
    }
    write_json(out / TRAINING_FILE, training)
    anomaly_score = calibration.score(out_of_fold[0])
    reference = rows.features.with_columns(pl.Series("anomaly_score", anomaly_score))
    build_reference(reference, contract, out / REFERENCE_FOLDER, options.seed)

    attacks = int(rows.is_attack.sum())
    return FitSummary(
        content_hash=hash_model(out),
        rows=rows.count,
        classes=(
            {"normal": rows.count - attacks, "attack": attacks}
            if rows.is_labelled
            else {"unlabelled": rows.count}
        ),
        thresholds=calibration.thresholds,
        metrics=metrics,
        seconds=steps.end(),
    )
