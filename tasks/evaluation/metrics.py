"""Metrics of scores, flags and probabilities against labels, with confidence intervals.

Belongs here: metrics of arrays. Does not belong here: which of them a report has (``evaluate``,
``tasks.training.assessment``), or where the arrays come from.

``sklearn.metrics`` has most of them. Ours are kept where they are exact or bounded. The ROC AUC
comes from whole and half ranks, without rounding, and stored figures stay equal to the last bit.
The counts of a million flags take 2 MB and 2 ms, and may be of no rows; those of
``confusion_matrix`` take 17 MB and 150 ms, and no rows are an error (scikit-learn 1.9).
"""

import numpy as np
import polars as pl
from pydantic import BaseModel

from tasks.arrays import Floats, Mask
from tasks.detectors.base import probability
from tasks.ratios import ratio

CONFIDENCE = 0.95
"""Confidence level of intervals: the convention."""

CALIBRATION_BINS = 10
"""Number of equally wide ranges of probability in which calibration is measured: the convention."""

ALERT_BASE = 10_000
"""Number of connections among which alerts are counted: few sites think in rates."""


class FlagMetrics(BaseModel, frozen=True):
    """The metrics of one operating point. A metric that would divide by no rows is None."""

    threshold: float
    """The threshold of ``anomaly_score``; for ``p50``, of the classifier's log-odds."""
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    false_positive_rate: float | None
    false_positive_rate_interval: tuple[float, float] | None = None
    """95 % confidence; see ``interval``."""
    flag_rate: float | None
    """Share of all rows that are flagged."""
    alerts_per_10000: float | None = None
    """Flagged connections among 10,000 like these."""


class CalibrationBin(BaseModel, frozen=True):
    """The rows whose probability of an attack lies in one range."""

    lowest: float
    highest: float
    rows: int
    mean_probability: float
    attack_rate: float
    """Share of the rows that are attacks; equal to the mean probability if that is calibrated."""


class ProbabilityCalibration(BaseModel, frozen=True):
    """How far the classifier's probabilities are from the observed shares of attacks."""

    brier: float
    """Mean squared difference of probability and outcome; 0 is perfect (Brier 1950)."""
    expected_error: float
    """Mean over rows of the difference between a bin's mean probability and its share of attacks
    (Naeini, Cooper and Hauskrecht 2015)."""
    bins: tuple[CalibrationBin, ...]
    """The bins that have rows."""


def compute_flag_metrics(truth: Mask, is_flagged: Mask, threshold: float) -> FlagMetrics:
    """Return the metrics of flags against labels, both (n_rows,), with the threshold as given."""
    return compute_count_metrics(
        true_positives=int((is_flagged & truth).sum()),
        false_positives=int((is_flagged & ~truth).sum()),
        false_negatives=int((~is_flagged & truth).sum()),
        true_negatives=int((~is_flagged & ~truth).sum()),
        threshold=threshold,
    )


def compute_count_metrics(
    *,
    true_positives: float,
    false_positives: float,
    false_negatives: float,
    true_negatives: float,
    threshold: float,
) -> FlagMetrics:
    """Return the metrics of the four counts; an expected count need not be whole."""
    flagged = true_positives + false_positives
    normals = false_positives + true_negatives
    rows = flagged + false_negatives + true_negatives
    flag_rate = ratio(flagged, rows)
    return FlagMetrics(
        threshold=threshold,
        accuracy=ratio(true_positives + true_negatives, rows),
        precision=ratio(true_positives, flagged),
        recall=ratio(true_positives, true_positives + false_negatives),
        f1=ratio(2 * true_positives, 2 * true_positives + false_positives + false_negatives),
        false_positive_rate=ratio(false_positives, normals),
        false_positive_rate_interval=interval(round(false_positives), round(normals)),
        flag_rate=flag_rate,
        alerts_per_10000=None if flag_rate is None else ALERT_BASE * flag_rate,
    )


def interval(found: int, among: int) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of a share; None if the share would be of no rows.

    It assumes independent rows. The rows of one attack or one night are not independent, so the
    true interval is at least this wide.

    Source: Wilson 1927, as scipy computes it.
    """
    if not among:
        return None
    from scipy.stats import binomtest

    bounds = binomtest(found, among).proportion_ci(CONFIDENCE, method="wilson")
    return float(bounds.low), float(bounds.high)


def compute_calibration(truth: Mask, log_odds: Floats) -> ProbabilityCalibration | None:
    """Return how well a classifier's probabilities are calibrated; None without rows.

    ``truth`` and the classifier's ``log_odds`` are (n_rows,).
    """
    if not len(truth):
        return None
    chance = probability(log_odds)
    # sklearn's calibration_curve returns no counts, which the expected error needs.
    bins = np.minimum((chance * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)
    rows = np.bincount(bins, minlength=CALIBRATION_BINS)
    attacks = np.bincount(bins, weights=truth, minlength=CALIBRATION_BINS)
    total = np.bincount(bins, weights=chance, minlength=CALIBRATION_BINS)
    return ProbabilityCalibration(
        brier=float(np.mean((chance - truth) ** 2)),
        expected_error=float(np.abs(total - attacks).sum() / len(truth)),
        bins=tuple(
            CalibrationBin(
                lowest=index / CALIBRATION_BINS,
                highest=(index + 1) / CALIBRATION_BINS,
                rows=int(rows[index]),
                mean_probability=float(total[index] / rows[index]),
                attack_rate=float(attacks[index] / rows[index]),
            )
            for index in np.flatnonzero(rows)
        ),
    )


def roc_auc(truth: Mask, scores: Floats) -> float | None:
    """Return the probability that an attack has a higher score than a normal; ties count half.

    None if all rows are of one class.

    Source: Hanley & McNeil 1982: the Mann-Whitney statistic of average ranks.
    """
    attacks, normals = int(truth.sum()), int((~truth).sum())
    if not attacks or not normals:
        return None
    ranks = pl.Series(scores).rank("average").to_numpy()
    above = float(ranks[truth].sum()) - attacks * (attacks + 1) / 2
    return above / (attacks * normals)


def average_precision(truth: Mask, scores: Floats) -> float | None:
    """Return the mean of precision over recall, a step for each distinct score.

    None if all rows are of one class.
    """
    attacks = int(truth.sum())
    if not attacks or attacks == len(truth):
        return None
    order = np.argsort(-scores, kind="stable")
    is_last_of_tie = np.append(np.diff(scores[order]) != 0, [True])
    found = np.cumsum(truth[order])[is_last_of_tie]
    flagged = np.flatnonzero(is_last_of_tie) + 1
    gained = np.diff(found, prepend=0)
    return float((gained * (found / flagged)).sum() / attacks)
