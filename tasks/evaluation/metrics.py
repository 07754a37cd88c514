"""Figures from scores, flags and labels: what each is, and how sure one may be of it.

Belongs here: metrics of arrays. Does not belong here: which of them a report has (``evaluate``,
``tasks.training.assessment``), or where the arrays come from.
"""

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from tasks.arrays import Floats, Mask
from tasks.detectors.base import probability
from tasks.ratios import ratio

CONFIDENCE = 0.95
"""Of intervals: the convention."""

CALIBRATION_BINS = 10
"""Equally wide ranges of probability that calibration is judged in: the convention."""

ALERT_BASE = 10_000
"""Connections that alerts are counted among: few sites think in rates."""


class FlagMetrics(BaseModel):
    """What one threshold does. A figure is None where it is not defined: no row to divide by."""

    model_config = ConfigDict(frozen=True)

    threshold: float
    """Of ``anomaly_score``; for ``p50``, of the classifier's log-odds."""
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


class CalibrationBin(BaseModel):
    """The rows whose probability of an attack lies in one range."""

    model_config = ConfigDict(frozen=True)

    lowest: float
    highest: float
    rows: int
    mean_probability: float
    attack_rate: float
    """Share of them that are attacks: of a calibrated probability, the same."""


class ProbabilityCalibration(BaseModel):
    """How far the classifier's probabilities are from how often there is an attack."""

    model_config = ConfigDict(frozen=True)

    brier: float
    """Mean squared difference of probability and outcome; 0 is perfect (Brier 1950)."""
    expected_error: float
    """Mean over rows of the difference between a bin's mean probability and its share of attacks
    (Naeini, Cooper and Hauskrecht 2015)."""
    bins: tuple[CalibrationBin, ...]
    """Those that have rows."""


def compute_flag_metrics(truth: Mask, is_flagged: Mask, threshold: float) -> FlagMetrics:
    """Judge flags by labels.

    Args:
        truth: (n_rows,), whether a row is an attack.
        is_flagged: (n_rows,).
        threshold: what they came of; only reported.
    """
    return compute_count_metrics(
        hits=int((is_flagged & truth).sum()),
        alarms=int((is_flagged & ~truth).sum()),
        misses=int((~is_flagged & truth).sum()),
        rests=int((~is_flagged & ~truth).sum()),
        threshold=threshold,
    )


def compute_count_metrics(
    *, hits: float, alarms: float, misses: float, rests: float, threshold: float
) -> FlagMetrics:
    """Judge an operating point by the four outcomes; an expected number need not be whole."""
    rows = hits + alarms + misses + rests
    flag_rate = ratio(hits + alarms, rows)
    return FlagMetrics(
        threshold=threshold,
        accuracy=ratio(hits + rests, rows),
        precision=ratio(hits, hits + alarms),
        recall=ratio(hits, hits + misses),
        f1=ratio(2 * hits, 2 * hits + alarms + misses),
        false_positive_rate=ratio(alarms, alarms + rests),
        false_positive_rate_interval=interval(round(alarms), round(alarms + rests)),
        flag_rate=flag_rate,
        alerts_per_10000=None if flag_rate is None else ALERT_BASE * flag_rate,
    )


def interval(found: int, among: int) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of a share; None where there is nothing to divide by.

    It takes the rows for independent. Those of one attack or one night are not, so it says at least
    how unsure the share is.

    Source: Wilson 1927, as scipy has it.
    """
    if not among:
        return None
    from scipy.stats import binomtest

    bounds = binomtest(found, among).proportion_ci(CONFIDENCE, method="wilson")
    return float(bounds.low), float(bounds.high)


def compute_calibration(truth: Mask, log_odds: Floats) -> ProbabilityCalibration | None:
    """Judge a classifier's probabilities by how often there is an attack; None without rows.

    Args:
        truth: (n_rows,), whether a row is an attack.
        log_odds: (n_rows,), the classifier's.
    """
    if not len(truth):
        return None
    chance = probability(log_odds)
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
    """Return the probability that an attack outscores a normal connection, ties counting half.

    Source: Hanley & McNeil 1982: the Mann-Whitney statistic of average ranks.
    """
    attacks, normals = int(truth.sum()), int((~truth).sum())
    if not attacks or not normals:
        return None
    ranks = pl.Series(scores).rank("average").to_numpy()
    above = float(ranks[truth].sum()) - attacks * (attacks + 1) / 2
    return above / (attacks * normals)


def average_precision(truth: Mask, scores: Floats) -> float | None:
    """Return the mean of precision over recall, a step for each distinct score."""
    attacks = int(truth.sum())
    if not attacks or attacks == len(truth):
        return None
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.append(np.diff(scores[order]) != 0, [True])
    found = np.cumsum(truth[order])[last_of_tie]
    flagged = np.flatnonzero(last_of_tie) + 1
    gained = np.diff(found, prepend=0)
    return float((gained * (found / flagged)).sum() / attacks)
