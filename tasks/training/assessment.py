"""The assessment of a model by training rows that had no part in the choice of its thresholds.

Belongs here: flagging each block of rows, and each held-out group of attacks, by a calibration that
was chosen without it. Does not belong here: the figures themselves (``training_metrics``,
``tasks.evaluation.metrics``), or anything that serves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from expectations.contract import Contract
from tasks.arrays import Floats, Mask
from tasks.detectors.model_card import ModelCard
from tasks.detectors.thresholds import P50_LOG_ODDS, OperatingPointName, flag
from tasks.evaluation.evaluate import Evaluation, compare_simply, evaluate_flags
from tasks.evaluation.metrics import FlagMetrics, compute_count_metrics, roc_auc
from tasks.evaluation.single_feature import find_best_feature
from tasks.intake.label_words import ATTACK, IS_ATTACK
from tasks.training.attack_groups import AttackGroups
from tasks.training.calibration import HeldOutScores, calibrate, score_group
from tasks.training.families import FamilyMetrics
from tasks.training.held_out import HeldOutGroupScores
from tasks.training.held_out_table import CHOSEN_POINTS, HELD_OUT_SCHEMA, HeldOutTable
from tasks.training.options import TrainingOptions
from tasks.training.rows import TrainingRows, assign_blocks, assign_folds
from tasks.training.threshold_choice import NOVEL_SHARE
from tasks.training.training_metrics import HeldOutGroupMetrics, TrainingMetrics

BLOCKS = 5
"""Blocks of rows, each assessed by what the others choose. A guess: four fifths of the rows choose
nearly the same as all rows, and a choice takes well under a second."""


@dataclass(frozen=True)
class _GroupAssessment:
    """A held-out group of attacks under thresholds that the other attacks choose."""

    metrics: HeldOutGroupMetrics
    is_flagged: Mapping[OperatingPointName, Mask]
    """(n_group,), the group's rows, in the order of ``HeldOutGroupScores.rows``."""
    recall_known: Mapping[str, float]
    """Recall of the attacks that chose the thresholds."""


def assess_fit(
    rows: TrainingRows,
    contract: Contract,
    scores: Sequence[HeldOutScores],
    groupings: Sequence[AttackGroups],
    served: ModelCard,
    options: TrainingOptions,
    families: FamilyMetrics | None = None,
) -> tuple[TrainingMetrics, HeldOutTable]:
    """Assess a model by its training rows, each under a calibration chosen without it.

    There are held-out scores for each grouping; the first is by family, where families are known.
    The card is that of the model that serves. Blocks are dealt by the seed of the folds.

    Returns:
        The metrics, and the scores and flags they are computed from. The table is empty where there
        are no labels.
    """
    if not rows.is_labelled:
        unlabelled = TrainingMetrics(
            known=None,
            unknown_made_from=groupings[0].made_from,
            unknown={},
            rows_conflicting=0,
            rows_duplicated=rows.count_duplicates(),
        )
        return unlabelled, HeldOutTable.from_frame(HELD_OUT_SCHEMA.to_frame())
    block = assign_blocks(rows, options.folds, BLOCKS, options.seed)
    first, *finer = (
        {
            name: _assess_group(one, group, groups.may_belong(name, one.is_attack), block)
            for name, group in one.groups.items()
        }
        for one, groups in zip(scores, groupings, strict=True)
    )
    known, flags = _assess_known(rows, contract, scores[0], served, block, options)
    metrics = TrainingMetrics(
        known=known,
        unknown_made_from=groupings[0].made_from,
        unknown={name: one.metrics for name, one in first.items()},
        unknown_attacks={name: one.metrics for each in finer for name, one in each.items()},
        mixed=_mix(known, first, int(rows.is_attack.sum())),
        categories=families,
        rows_conflicting=rows.count_conflicts(),
        rows_duplicated=rows.count_duplicates(),
    )
    return metrics, _tabulate(scores[0], groupings[0], rows, flags, first)


def _tabulate(
    scores: HeldOutScores,
    groups: AttackGroups,
    rows: TrainingRows,
    flags: Mapping[OperatingPointName, Mask],
    assessed: Mapping[str, _GroupAssessment],
) -> HeldOutTable:
    """Put the held-out scores of every training row in a table.

    All scores have the unit of the anomaly score, decades of surprise among held-out normal rows,
    so that two models fitted on the same rows can be compared row by row.
    """
    every = np.ones(rows.count, dtype=np.bool_)
    calibration = calibrate(scores, every)
    novel = np.full(rows.count, np.nan)
    novel_flags = {point: np.zeros(rows.count, dtype=np.bool_) for point in CHOSEN_POINTS}
    for name, group in scores.groups.items():
        tail = calibration.tails["one_class"]
        novel[group.rows] = score_group(group, scores.out_of_fold, tail, every)
        for point, flagged in novel_flags.items():
            flagged[group.rows] = assessed[name].is_flagged[point]
    return HeldOutTable(
        is_attack=rows.is_attack,
        group=np.where(rows.is_attack, groups.of_row, ""),
        alike=rows.alike,
        known_score=calibration.score(scores.out_of_fold),
        novel_score=novel,
        flags={point: flags[point] for point in CHOSEN_POINTS},
        novel_flags=novel_flags,
    )


def _assess_known(
    rows: TrainingRows,
    contract: Contract,
    held_out: HeldOutScores,
    served: ModelCard,
    block: npt.NDArray[np.intp],
    options: TrainingOptions,
) -> tuple[Evaluation, Mapping[OperatingPointName, Mask]]:
    """Flag each block's rows by what the other blocks choose, and evaluate all of them together.

    The scores of all blocks share one ranking. That is fair because they have one unit: the scores
    of a block are decades of surprise among the normal rows of the other blocks, and any two
    calibrations share three quarters of their rows.
    """
    points = served.operating_points
    flags = {name: np.empty(rows.count, dtype=np.bool_) for name in points}
    log_odds = held_out.out_of_fold.scores["classifier"]
    anomaly_score = np.empty(rows.count)
    for index in range(BLOCKS):
        within = block == index
        calibration = calibrate(held_out, ~within)
        card = served.model_copy(update={"thresholds": calibration.thresholds})
        anomaly_score[within] = calibration.score(held_out.out_of_fold)[within]
        scores = pl.DataFrame(
            {"anomaly_score": anomaly_score[within], "classifier_score": log_odds[within]}
        )
        for name in points:
            flags[name][within] = flag(scores, name, card.thresholds.value(name)).to_numpy()
    labels = pl.DataFrame({IS_ATTACK: rows.is_attack}).with_columns(
        pl.lit(None, dtype=pl.String).alias(ATTACK)
        if rows.attacks is None
        else pl.Series(ATTACK, rows.attacks).replace("", None)
    )
    evaluation = evaluate_flags(
        labels.with_columns(anomaly_score=anomaly_score, classifier_score=log_odds),
        {name: pl.Series("is_flagged", flagged) for name, flagged in flags.items()},
        served,
        contract,
        rows_unlabelled=rows.rows_unlabelled,
    )
    fold = assign_folds(rows, options.folds, options.seed)
    best = find_best_feature(rows.features, rows.columns, rows.is_attack, fold)
    return compare_simply(evaluation, best, rows.count_duplicates()), flags


def _assess_group(
    held_out: HeldOutScores, group: HeldOutGroupScores, hidden: Mask, block: npt.NDArray[np.intp]
) -> _GroupAssessment:
    """Assess a held-out group by thresholds that neither it nor the assessed block chooses.

    ``hidden`` is (n_rows,), the rows that may belong to the group; ``block`` is each row's block.
    """
    is_attack, raw = held_out.is_attack, held_out.out_of_fold
    score = np.empty(len(is_attack))
    novel = np.empty(len(group.rows))
    flags = {point: np.empty(len(is_attack), dtype=np.bool_) for point in CHOSEN_POINTS}
    novel_flags = {point: np.empty(len(group.rows), dtype=np.bool_) for point in CHOSEN_POINTS}
    for index in range(BLOCKS):
        within = block == index
        calibration = calibrate(held_out, ~hidden & ~within)
        of_group = within[group.rows]
        # The group's rows of this block are scored by a tail of the other blocks' normal rows.
        keep = np.where(is_attack, within, ~within)
        novel[of_group] = score_group(group, raw, calibration.tails["one_class"], keep)
        score[within] = calibration.score(raw)[within]
        for point in CHOSEN_POINTS:
            threshold = getattr(calibration.thresholds, point)
            flags[point][within] = score[within] > threshold
            novel_flags[point][of_group] = novel[of_group] > threshold
    normal = score[~is_attack]
    truth = np.arange(len(normal) + len(novel)) >= len(normal)
    return _GroupAssessment(
        metrics=HeldOutGroupMetrics(
            rows=len(novel),
            roc_auc=roc_auc(truth, np.concatenate([normal, novel])),
            recall_default=float(novel_flags["default"].mean()),
            recall_low_alert=float(novel_flags["low_alert"].mean()),
            recall_p50=_share_above_even_odds(group.classifier),
            false_positive_rate_default=float(flags["default"][~is_attack].mean()),
            false_positive_rate_low_alert=float(flags["low_alert"][~is_attack].mean()),
            false_positive_rate_p50=_share_above_even_odds(group.classifier_of_normals),
            rows_shared=group.rows_shared,
        ),
        is_flagged=novel_flags,
        recall_known={
            point: float(flagged[is_attack & ~hidden].mean()) for point, flagged in flags.items()
        },
    )


def _mix(
    known: Evaluation, unknown: Mapping[str, _GroupAssessment], attacks: int
) -> dict[str, FlagMetrics]:
    """Compute the operating points where some of the attacks belong to a group that is new."""
    if not unknown:
        return {}
    mixed = {}
    normals = known.rows - attacks
    for name, point in known.operating_points.items():
        recalls, rates = [], []
        for group in unknown.values():
            of_known = group.recall_known.get(name, point.recall or 0.0)  # p50 has no threshold
            of_novel = getattr(group.metrics, f"recall_{name}")
            recalls.append((1.0 - NOVEL_SHARE) * of_known + NOVEL_SHARE * of_novel)
            rates.append(getattr(group.metrics, f"false_positive_rate_{name}"))
        recall, alarms = float(np.mean(recalls)), float(np.mean(rates)) * normals
        mixed[name] = compute_count_metrics(
            true_positives=recall * attacks,
            false_positives=alarms,
            false_negatives=(1.0 - recall) * attacks,
            true_negatives=normals - alarms,
            threshold=point.threshold,
        )
    return mixed


def _share_above_even_odds(log_odds: Floats) -> float:
    return float((log_odds > P50_LOG_ODDS).mean())
