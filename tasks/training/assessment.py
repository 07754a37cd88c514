"""How good a model is to be expected to be, before its first night: the metrics kept with it.

Belongs here: judging what ``calibration`` chooses by rows and kinds of attack that had no part in
the choice. Does not belong here: the metrics themselves (see ``metrics``), or anything that is
served.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from tasks.arrays import Floats, Mask
from tasks.detectors.model_card import ModelCard
from tasks.detectors.thresholds import P50_LOG_ODDS, OperatingPointName, flag
from tasks.evaluation.evaluate import Evaluation, evaluate_flags
from tasks.evaluation.metrics import FlagMetrics, compute_count_metrics, roc_auc
from tasks.training.attack_groups import AttackGroups, GroupSource
from tasks.training.calibration import HeldOutScores, calibrate, score_group
from tasks.training.families import FamilyMetrics
from tasks.training.held_out import HeldOutGroupScores
from tasks.training.options import TrainingOptions
from tasks.training.rows import TrainingRows, assign_blocks
from tasks.training.threshold_choice import NOVEL_SHARE

BLOCKS = 5
"""Blocks the rows are judged in, each by what the others choose. A guess: four fifths of the rows
choose nearly as all of them do, and a choice takes well under a second."""

SERVED_POINTS: tuple[OperatingPointName, ...] = ("default", "low_alert")
"""Those with a threshold that is chosen."""

HELD_OUT_SCHEMA = pl.Schema(
    {
        "is_attack": pl.Boolean,
        "kind": pl.String,
        "known_score": pl.Float64,
        "novel_score": pl.Float64,
        "flagged_default": pl.Boolean,
        "flagged_low_alert": pl.Boolean,
        "novel_flagged_default": pl.Boolean,
        "novel_flagged_low_alert": pl.Boolean,
        "alike": pl.Int64,
    }
)
"""Grain: one training row. ``kind`` is that of an attack, whether held out or too rare for it;
empty for normal rows and for attacks without a name. ``known_score`` is the anomaly score by
detectors of the other folds; ``novel_score``, for attacks of a held-out kind, by a classifier that
met none of it, and null for all other rows. The flags are by detectors of the other folds and
thresholds of the other blocks; the novel ones, null for all other rows, by thresholds of the other
kinds too. ``alike`` is the position of the first row with the same features."""


class HeldOutGroupMetrics(BaseModel):
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
    false_positive_rate_default: float
    """Of held-out normals at the thresholds of ``recall_default``: chosen without the kind, they
    are not those that serve."""
    false_positive_rate_low_alert: float
    false_positive_rate_p50: float
    """Of the normals that the classifier which never met the kind was kept from."""
    rows_shared: int = 0
    """Rows of the kind that are not among ``rows``: the classifier was fitted on their like, of
    another kind or normal."""


@dataclass(frozen=True)
class _GroupAssessment:
    """A held-out kind, and what its thresholds make of the other attacks."""

    figures: HeldOutGroupMetrics
    is_flagged: Mapping[OperatingPointName, Mask]
    """(n_kind,), its rows, in the order of ``HeldOutGroupScores.rows``."""
    recall_known: Mapping[str, float]
    """Of the attacks that chose."""


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
    unknown_made_from: GroupSource
    """What the held-out kinds of attack are: ``family``, ``attack`` (the name) or ``cluster``."""
    unknown: dict[str, HeldOutGroupMetrics]
    """For each held-out kind; empty where no kind could be held out."""
    unknown_attacks: dict[str, HeldOutGroupMetrics] = {}
    """The same for attacks held out by name, the others of their family left; empty where
    ``unknown`` is of names or of clusters."""
    mixed: dict[str, FlagMetrics] = {}
    """What to expect where ``NOVEL_SHARE`` of the attacks are of a kind never met, each held-out
    kind as likely as another, and as many attacks as in training: false alarms and both recalls
    are those at the thresholds chosen without that kind. The ``threshold`` is the one that
    serves."""
    categories: FamilyMetrics | None = None
    """How well families of attack are told apart; None where they are not."""
    rows_conflicting: int
    """Rows whose features occur both as normal and as attack."""
    rows_duplicated: int = 0
    """Rows with the features of an earlier one. They are in the same fold and block as that: no
    copy crosses a split."""


def assess_fit(
    rows: TrainingRows,
    contract: Contract,
    evidence: Sequence[HeldOutScores],
    divisions: Sequence[AttackGroups],
    served: ModelCard,
    options: TrainingOptions,
    categories: FamilyMetrics | None = None,
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
        The metrics, and the scores and flags they come of; see ``HELD_OUT_SCHEMA``. The latter are
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
        return unjudged, HELD_OUT_SCHEMA.to_frame()
    block = assign_blocks(rows, options.folds, BLOCKS, options.seed)
    first, *finer = (
        _judge_kinds(one, kinds, block) for one, kinds in zip(evidence, divisions, strict=True)
    )
    known, flags = _judge_known(rows, contract, evidence[0], served, block)
    metrics = TrainingMetrics(
        known=known,
        unknown_made_from=divisions[0].made_from,
        unknown=_figures_of(first),
        unknown_attacks=_figures_of(finer[0]) if finer else {},
        mixed=_mix(known, first, int(rows.is_attack.sum())),
        categories=categories,
        rows_conflicting=rows.count_conflicts(),
        rows_duplicated=rows.count_duplicates(),
    )
    return metrics, _tabulate(evidence[0], divisions[0], rows, flags, first)


def _tabulate(
    evidence: HeldOutScores,
    kinds: AttackGroups,
    rows: TrainingRows,
    flags: Mapping[OperatingPointName, Mask],
    judged: Mapping[str, _GroupAssessment],
) -> pl.DataFrame:
    """Put the held-out scores of every training row in a table; see ``HELD_OUT_SCHEMA``.

    All scores are in one unit, decades of surprise among held-out normals, so that two models
    fitted on the same rows can be compared row by row.
    """
    every = np.ones(len(evidence.is_attack), dtype=np.bool_)
    calibration = calibrate(evidence, every)
    novel = np.full(len(every), np.nan)
    novel_flags = {point: np.zeros(len(every), dtype=np.bool_) for point in SERVED_POINTS}
    for name, kind in evidence.kinds.items():
        novel[kind.rows] = score_group(
            kind, evidence.out_of_fold, calibration.tails["one_class"], every
        )
        for point, flagged in novel_flags.items():
            flagged[kind.rows] = judged[name].is_flagged[point]
    return pl.DataFrame(
        {
            "is_attack": evidence.is_attack,
            "kind": np.where(evidence.is_attack, kinds.of_row, "").tolist(),
            "known_score": calibration.score(evidence.out_of_fold),
            "novel_score": novel,
            **{f"flagged_{point}": flags[point] for point in SERVED_POINTS},
            **{f"novel_flagged_{point}": flagged for point, flagged in novel_flags.items()},
            "alike": rows.alike,
        },
        schema=HELD_OUT_SCHEMA,
    ).with_columns(
        pl.col("novel_score").fill_nan(None),
        pl.when(pl.col("novel_score").is_not_nan()).then(pl.col("^novel_flagged_.*$")),
    )


def _judge_known(
    rows: TrainingRows,
    contract: Contract,
    evidence: HeldOutScores,
    served: ModelCard,
    block: npt.NDArray[np.intp],
) -> tuple[Evaluation, Mapping[OperatingPointName, Mask]]:
    """Judge each block's rows by what the other blocks choose, and pool the outcomes.

    Flags are pooled as they are. Scores are pooled into one ranking, which is fair because they are
    in one unit: each block's are decades of surprise among the normals of the others, and any two
    calibrations share three quarters of their rows.
    """
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
            flags[name][judged] = flag(scores, name, card.thresholds.value(name)).to_numpy()
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


def _judge_kinds(
    evidence: HeldOutScores, kinds: AttackGroups, block: npt.NDArray[np.intp]
) -> dict[str, _GroupAssessment]:
    """Judge each held-out kind by what the others choose, and each block by what the others do."""
    return {
        name: _judge_kind(evidence, kind, kinds.may_be(name, evidence.is_attack), block)
        for name, kind in evidence.kinds.items()
    }


def _judge_kind(
    evidence: HeldOutScores, kind: HeldOutGroupScores, hidden: Mask, block: npt.NDArray[np.intp]
) -> _GroupAssessment:
    """Judge a held-out kind: no row that may be of it, and none of the block, chooses."""
    is_attack, raw = evidence.is_attack, evidence.out_of_fold
    score = np.empty(len(is_attack))
    novel = np.empty(len(kind.rows))
    flags = {point: np.empty(len(is_attack), dtype=np.bool_) for point in SERVED_POINTS}
    novel_flags = {point: np.empty(len(kind.rows), dtype=np.bool_) for point in SERVED_POINTS}
    for index in range(BLOCKS):
        judged = block == index
        calibration = calibrate(evidence, ~hidden & ~judged)
        of_kind = judged[kind.rows]
        # Its rows of this block are scored, by a tail of the normals of the others.
        novel[of_kind] = score_group(
            kind, raw, calibration.tails["one_class"], np.where(is_attack, judged, ~judged)
        )
        score[judged] = calibration.score(raw)[judged]
        for point in SERVED_POINTS:
            threshold = getattr(calibration.thresholds, point)
            flags[point][judged] = score[judged] > threshold
            novel_flags[point][of_kind] = novel[of_kind] > threshold
    normal = score[~is_attack]
    rates = {point: float(flagged[~is_attack].mean()) for point, flagged in flags.items()}
    recalls = {point: float(flagged.mean()) for point, flagged in novel_flags.items()}
    return _GroupAssessment(
        figures=HeldOutGroupMetrics(
            rows=len(novel),
            roc_auc=roc_auc(_truth(normal, novel), np.concatenate([normal, novel])),
            recall_default=recalls["default"],
            recall_low_alert=recalls["low_alert"],
            recall_p50=_share_above(kind.classifier, P50_LOG_ODDS),
            false_positive_rate_default=rates["default"],
            false_positive_rate_low_alert=rates["low_alert"],
            false_positive_rate_p50=_share_above(kind.classifier_of_normals, P50_LOG_ODDS),
            rows_shared=kind.rows_shared,
        ),
        is_flagged=novel_flags,
        recall_known={
            point: float(flagged[is_attack & ~hidden].mean()) for point, flagged in flags.items()
        },
    )


def _figures_of(judged: Mapping[str, _GroupAssessment]) -> dict[str, HeldOutGroupMetrics]:
    return {name: one.figures for name, one in judged.items()}


def _mix(
    known: Evaluation, unknown: Mapping[str, _GroupAssessment], attacks: int
) -> dict[str, FlagMetrics]:
    """Judge the operating points where some of the attacks are of a kind never met."""
    if not unknown:
        return {}
    mixed = {}
    normals = known.rows - attacks
    for name, point in known.operating_points.items():
        recalls, rates = [], []
        for kind in unknown.values():
            taught = kind.recall_known.get(name, point.recall or 0.0)  # p50 has no threshold
            novel = getattr(kind.figures, f"recall_{name}")
            recalls.append((1.0 - NOVEL_SHARE) * taught + NOVEL_SHARE * novel)
            rates.append(getattr(kind.figures, f"false_positive_rate_{name}"))
        recall, alarms = float(np.mean(recalls)), float(np.mean(rates)) * normals
        mixed[name] = compute_count_metrics(
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
