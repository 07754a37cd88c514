"""How good a model is to be expected to be, before its first night: the metrics kept with it.

Belongs here: judging what ``calibration`` chooses by rows and kinds of attack that had no part in
the choice. Does not belong here: the metrics themselves (see ``evaluate``), or anything that is
served.
"""

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from tasks.calibration import Evidence, calibrate, score_kind
from tasks.detectors.hybrid import OPERATING_POINTS, ModelCard, flag
from tasks.encode import Floats
from tasks.evaluate import Evaluation, evaluate_flags
from tasks.holdout import Kinds, TrainingOptions
from tasks.training_data import TrainingRows, assign_blocks

BLOCKS = 5
"""Blocks the rows are judged in, each by what the others choose. A guess: four fifths of the rows
choose nearly as all of them do, and a choice takes well under a second."""


class HeldOutKind(BaseModel):
    """How a kind of attack fares by a classifier that never met it.

    The classifier that scores it was fitted without it, the one-class detector on normals only, and
    no row of it is among those that chose the thresholds. It is not erased from the past
    altogether: the classifiers that scored the rows that did choose (by fold, or without another
    kind) were fitted on it, so the thresholds may lie a little better for it than for a kind never
    met at all. Only a fit for each kind and fold and for each pair of kinds could avoid that: with
    four folds and four kinds 22 more of the classifier, beside the nine there are.
    """

    model_config = ConfigDict(frozen=True)

    rows: int
    recall_default: float
    recall_low_alert: float


class TrainingMetrics(BaseModel):
    """What is known of a model before its first night.

    No row is scored by a detector that was fitted on it, or flagged by tails or thresholds that it
    helped to choose. But the scores that choose for it are given by detectors of other folds, and
    those may have been fitted on it: the choice is not free of it at second hand.
    """

    model_config = ConfigDict(frozen=True)

    known: Evaluation
    """Traffic like the past: every training row, scored by detectors of the other folds and flagged
    by tails and thresholds of the other blocks. The ``threshold`` of an operating point is the one
    that serves, which is chosen from all blocks; the figures beside it are estimates for it."""
    unknown_made_from: str
    """What the held-out kinds of attack are: ``family``, ``attack`` (the name) or ``cluster``."""
    unknown: dict[str, HeldOutKind]
    """For each held-out kind; empty where no kind could be held out."""
    rows_conflicting: int
    """Rows whose features occur both as normal and as attack."""


def judge_fit(
    rows: TrainingRows,
    contract: Contract,
    evidence: Evidence,
    kinds: Kinds,
    served: ModelCard,
    options: TrainingOptions,
) -> TrainingMetrics:
    """Judge a model by its training rows, each by a calibration that had no part of it.

    Args:
        rows: the training rows.
        contract: names the attack families.
        evidence: their held-out scores.
        kinds: which attacks are of which kind.
        served: the card of the model that serves.
        options: how it was fitted; the same seed deals the rows into blocks as into folds.

    Returns:
        The metrics.
    """
    return TrainingMetrics(
        known=_judge_known(rows, contract, evidence, served, options),
        unknown_made_from=kinds.made_from,
        unknown=_judge_kinds(evidence, kinds),
        rows_conflicting=rows.count_conflicts(),
    )


def _judge_known(
    rows: TrainingRows,
    contract: Contract,
    evidence: Evidence,
    served: ModelCard,
    options: TrainingOptions,
) -> Evaluation:
    """Judge each block's rows by what the other blocks choose, and pool the outcomes.

    Flags are pooled as they are. Scores are pooled into one ranking, which is fair because they are
    in one unit: each block's are decades of surprise among the normals of the others, and any two
    calibrations share three quarters of their rows.
    """
    block = assign_blocks(rows, options.folds, BLOCKS, options.seed)
    flags = {name: np.empty(rows.count, dtype=np.bool_) for name in OPERATING_POINTS}
    anomaly_score = np.empty(rows.count)
    for index in range(BLOCKS):
        judged = block == index
        calibration = calibrate(evidence, ~judged)
        card = served.model_copy(update={"thresholds": calibration.thresholds})
        anomaly_score[judged] = calibration.score(evidence.out_of_fold)[judged]
        scores = pl.DataFrame(
            {
                "anomaly_score": anomaly_score[judged],
                "classifier_score": evidence.out_of_fold.classifier[judged],
            }
        )
        for name in OPERATING_POINTS:
            flags[name][judged] = flag(scores, name, card.threshold(name)).to_numpy()
    labels = pl.DataFrame({"is_attack": rows.is_attack}).with_columns(
        pl.lit(None, dtype=pl.String).alias("attack")
        if rows.attacks is None
        else pl.Series("attack", rows.attacks).replace("", None)
    )
    return evaluate_flags(
        labels.with_columns(anomaly_score=anomaly_score),
        {name: pl.Series("is_flagged", flagged) for name, flagged in flags.items()},
        served,
        contract.families or {},
        rows_unlabelled=rows.rows_unlabelled,
    )


def _judge_kinds(evidence: Evidence, kinds: Kinds) -> dict[str, HeldOutKind]:
    """Judge each held-out kind by what all rows choose but its own and those that may be."""
    every = np.ones(len(evidence.is_attack), dtype=np.bool_)
    judged = {}
    for name, kind in evidence.kinds.items():
        calibration = calibrate(evidence, ~kinds.may_be(name, evidence.is_attack))
        scores = score_kind(kind, evidence.out_of_fold, calibration.tails["one_class"], every)
        judged[name] = HeldOutKind(
            rows=len(scores),
            recall_default=_share_above(scores, calibration.thresholds.default),
            recall_low_alert=_share_above(scores, calibration.thresholds.low_alert),
        )
    return judged


def _share_above(scores: Floats, threshold: float) -> float:
    return float((scores > threshold).mean())
