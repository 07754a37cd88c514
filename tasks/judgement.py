"""How good a model is to be expected to be, before its first night: the metrics kept with it.

Belongs here: judging what ``calibration`` chooses by rows and kinds of attack that had no part in
the choice. Does not belong here: the metrics themselves (see ``metrics``), or anything that is
served.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from tasks.calibration import Evidence, calibrate, score_kind
from tasks.categories import CategoryMetrics
from tasks.detectors.hybrid import P50_LOG_ODDS, ModelCard, OperatingPointName, flag
from tasks.encode import Floats, Mask
from tasks.evaluate import Evaluation, evaluate_flags
from tasks.holdout import Kinds, TrainingOptions
from tasks.metrics import OperatingPoint, judge_counts, roc_auc
from tasks.thresholds import NOVEL_SHARE
from tasks.training_data import TrainingRows, assign_blocks

BLOCKS = 5
"""Blocks the rows are judged in, each by what the others choose. A guess: four fifths of the rows
choose nearly as all of them do, and a choice takes well under a second."""

EVIDENCE_SCHEMA = pl.Schema(
    {
        "is_attack": pl.Boolean,
        "kind": pl.String,
        "known_score": pl.Float64,
        "novel_score": pl.Float64,
        "flagged_default": pl.Boolean,
        "flagged_low_alert": pl.Boolean,
    }
)
"""Grain: one training row. ``kind`` is the held-out kind of an attack, empty for all other rows.
``known_score`` is the anomaly score by detectors of the other folds; ``novel_score``, for attacks
of a held-out kind, by a classifier that met none of it, and null for all other rows. The flags are
by detectors of the other folds and thresholds of the other blocks."""


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
    roc_auc: float | None
    """Of its rows among the held-out normals."""
    recall_default: float
    recall_low_alert: float
    recall_p50: float
    """Where the classifier alone would cut at even odds: what a random split would serve."""


class TrainingMetrics(BaseModel):
    """What is known of a model before its first night.

    No row is scored by a detector that was fitted on it, or flagged by tails or thresholds that it
    helped to choose. But the scores that choose for it are given by detectors of other folds, and
    those may have been fitted on it: the choice is not free of it at second hand.
    """

    model_config = ConfigDict(frozen=True)

    known: Evaluation | None
    """Traffic like the past: every training row, scored by detectors of the other folds and flagged
    by tails and thresholds of the other blocks: what a random split shows. The ``threshold`` of an
    operating point is the one that serves, which is chosen from all blocks; the figures beside it
    are estimates for it. None where the rows have no labels to judge by, and then the rest is
    empty too."""
    unknown_made_from: str
    """What the held-out kinds of attack are: ``family``, ``attack`` (the name) or ``cluster``."""
    unknown: dict[str, HeldOutKind]
    """For each held-out kind; empty where no kind could be held out."""
    unknown_attacks: dict[str, HeldOutKind] = {}
    """The same for attacks held out by name, the others of their family left; empty where
    ``unknown`` is of names or of clusters."""
    mixed: dict[str, OperatingPoint] = {}
    """What to expect where ``NOVEL_SHARE`` of the attacks are of a kind never met, each held-out
    kind as likely as another: the false alarms and the share of attacks of ``known``, and both
    recalls."""
    categories: CategoryMetrics | None = None
    """How well families of attack are told apart; None where they are not."""
    rows_conflicting: int
    """Rows whose features occur both as normal and as attack."""
    rows_duplicated: int = 0
    """Rows with the features of an earlier one. They are in the same fold and block as that: no
    copy crosses a split."""


def judge_fit(
    rows: TrainingRows,
    contract: Contract,
    evidence: Sequence[Evidence],
    divisions: Sequence[Kinds],
    served: ModelCard,
    options: TrainingOptions,
    categories: CategoryMetrics | None = None,
) -> tuple[TrainingMetrics, pl.DataFrame]:
    """Judge a model by its training rows, each by a calibration that had no part of it.

    Args:
        rows: the training rows.
        contract: names the attack families.
        evidence: their held-out scores, for each division.
        divisions: which attacks are of which kind; the first are families, or what there is.
        served: the card of the model that serves.
        options: how it was fitted; the same seed deals the rows into blocks as into folds.
        categories: how well families are told apart.

    Returns:
        The metrics, and the scores and flags they come of; see ``EVIDENCE_SCHEMA``. The latter are
        empty where there are no labels.
    """
    if not rows.is_labelled:
        unjudged = TrainingMetrics(
            known=None,
            unknown_made_from=divisions[0].made_from,
            unknown={},
            rows_conflicting=0,
            rows_duplicated=rows.count_duplicates(),
        )
        return unjudged, EVIDENCE_SCHEMA.to_frame()
    first, *finer = (
        _judge_kinds(one, kinds) for one, kinds in zip(evidence, divisions, strict=True)
    )
    known, flags = _judge_known(rows, contract, evidence[0], served, options)
    metrics = TrainingMetrics(
        known=known,
        unknown_made_from=divisions[0].made_from,
        unknown=first,
        unknown_attacks=finer[0] if finer else {},
        mixed=_mix(known, first, int(rows.is_attack.sum())),
        categories=categories,
        rows_conflicting=rows.count_conflicts(),
        rows_duplicated=rows.count_duplicates(),
    )
    return metrics, _tabulate(evidence[0], divisions[0], flags)


def _tabulate(
    evidence: Evidence, kinds: Kinds, flags: Mapping[OperatingPointName, Mask]
) -> pl.DataFrame:
    """Put the held-out scores of every training row in a table; see ``EVIDENCE_SCHEMA``.

    All scores are in one unit, decades of surprise among held-out normals, so that two models
    fitted on the same rows can be compared row by row.
    """
    every = np.ones(len(evidence.is_attack), dtype=np.bool_)
    calibration = calibrate(evidence, every)
    novel = np.full(len(every), np.nan)
    for kind in evidence.kinds.values():
        novel[kind.rows] = score_kind(
            kind, evidence.out_of_fold, calibration.tails["one_class"], every
        )
    kind_of_row = np.where(np.isin(kinds.of_row, list(evidence.kinds)), kinds.of_row, "")
    return pl.DataFrame(
        {
            "is_attack": evidence.is_attack,
            "kind": kind_of_row.tolist(),
            "known_score": calibration.score(evidence.out_of_fold),
            "novel_score": novel,
            "flagged_default": flags["default"],
            "flagged_low_alert": flags["low_alert"],
        },
        schema=EVIDENCE_SCHEMA,
    ).with_columns(pl.col("novel_score").fill_nan(None))


def _judge_known(
    rows: TrainingRows,
    contract: Contract,
    evidence: Evidence,
    served: ModelCard,
    options: TrainingOptions,
) -> tuple[Evaluation, Mapping[OperatingPointName, Mask]]:
    """Judge each block's rows by what the other blocks choose, and pool the outcomes.

    Flags are pooled as they are. Scores are pooled into one ranking, which is fair because they are
    in one unit: each block's are decades of surprise among the normals of the others, and any two
    calibrations share three quarters of their rows.
    """
    block = assign_blocks(rows, options.folds, BLOCKS, options.seed)
    points = served.operating_points
    flags = {name: np.empty(rows.count, dtype=np.bool_) for name in points}
    log_odds = evidence.out_of_fold.scores["classifier"]
    anomaly_score = np.empty(rows.count)
    for index in range(BLOCKS):
        judged = block == index
        calibration = calibrate(evidence, ~judged)
        card = served.model_copy(update={"thresholds": calibration.thresholds})
        anomaly_score[judged] = calibration.score(evidence.out_of_fold)[judged]
        scores = pl.DataFrame(
            {"anomaly_score": anomaly_score[judged], "classifier_score": log_odds[judged]}
        )
        for name in points:
            flags[name][judged] = flag(scores, name, card.threshold(name)).to_numpy()
    labels = pl.DataFrame({"is_attack": rows.is_attack}).with_columns(
        pl.lit(None, dtype=pl.String).alias("attack")
        if rows.attacks is None
        else pl.Series("attack", rows.attacks).replace("", None)
    )
    evaluation = evaluate_flags(
        labels.with_columns(anomaly_score=anomaly_score, classifier_score=log_odds),
        {name: pl.Series("is_flagged", flagged) for name, flagged in flags.items()},
        served,
        contract.families or {},
        rows_unlabelled=rows.rows_unlabelled,
    )
    return evaluation, flags


def _judge_kinds(evidence: Evidence, kinds: Kinds) -> dict[str, HeldOutKind]:
    """Judge each held-out kind by what all rows choose but its own and those that may be."""
    every = np.ones(len(evidence.is_attack), dtype=np.bool_)
    judged = {}
    for name, kind in evidence.kinds.items():
        calibration = calibrate(evidence, ~kinds.may_be(name, evidence.is_attack))
        scores = score_kind(kind, evidence.out_of_fold, calibration.tails["one_class"], every)
        normal = calibration.score(evidence.out_of_fold)[~evidence.is_attack]
        judged[name] = HeldOutKind(
            rows=len(scores),
            roc_auc=roc_auc(_truth(normal, scores), np.concatenate([normal, scores])),
            recall_default=_share_above(scores, calibration.thresholds.default),
            recall_low_alert=_share_above(scores, calibration.thresholds.low_alert),
            recall_p50=_share_above(kind.classifier, P50_LOG_ODDS),
        )
    return judged


def _mix(
    known: Evaluation, unknown: Mapping[str, HeldOutKind], attacks: int
) -> dict[str, OperatingPoint]:
    """Judge the operating points where some of the attacks are of a kind never met."""
    if not unknown:
        return {}
    mixed = {}
    normals = known.rows - attacks
    for name, point in known.operating_points.items():
        novel = float(np.mean([getattr(kind, f"recall_{name}") for kind in unknown.values()]))
        recall = (1.0 - NOVEL_SHARE) * (point.recall or 0.0) + NOVEL_SHARE * novel
        alarms = (point.false_positive_rate or 0.0) * normals
        mixed[name] = judge_counts(
            hits=recall * attacks,
            alarms=alarms,
            misses=(1.0 - recall) * attacks,
            rests=normals - alarms,
            threshold=point.threshold,
        )
    return mixed


def _truth(normal: Floats, attack: Floats) -> Mask:
    """Say which of normals and attacks, one after the other, are attacks."""
    truth: Mask = np.arange(len(normal) + len(attack)) >= len(normal)
    return truth


def _share_above(scores: Floats, threshold: float) -> float:
    return float((scores > threshold).mean())
