"""The comparison of two models on the same rows: what each finds, and how sure the change is.

Belongs here: comparing the scores and flags of two models, with confidence intervals. Does not
belong here: which changes decide (``gate``), or which rows these are (``comparison_rows``).
"""

from statistics import NormalDist

import numpy as np
from pydantic import BaseModel

from tasks.arrays import Floats, Mask
from tasks.evaluation.metrics import CONFIDENCE, FlagMetrics
from tasks.retraining.comparison_rows import ComparisonRows, ComparisonSource, ModelSide
from tasks.training.attack_groups import GroupSource

MATCHED_RATE = 0.01
"""Share of normal connections that both models may flag when their detection is compared. Without
a common rate, the model that flags more finds more. A guess, between the two operating points."""

RESAMPLES = 300
"""Bootstrap samples: they give a standard error to within 4 %."""

FAMILY_MIN_ROWS = 10
"""Fewest different attacks of a family that is compared. A guess: of fewer, three missed by chance
would count as a family lost."""


class MetricChange(BaseModel, frozen=True):
    """The change of a metric from champion to challenger, with a confidence interval.

    The interval is normal, with the bootstrap's standard error (Efron & Tibshirani 1993, chapter
    13).
    """

    value: float
    low: float
    high: float


class ModelComparison(BaseModel, frozen=True):
    """Champion and challenger on the rows of one source. Changes are challenger less champion."""

    source: ComparisonSource
    made_from: GroupSource | None
    """What the held-out groups are; None for other sources."""
    rows: int
    attacks: int
    distinct_normals: int
    """Normal connections with different features; copies add no certainty."""
    distinct_attacks: int
    champion: float | None
    """Detection: share of attacks found where ``MATCHED_RATE`` of the normal rows are flagged; of
    held-out groups, the mean over the groups. None where there is no attack or no normal row."""
    challenger: float | None
    gain: MetricChange | None
    """Change of detection. Its interval is so wide that all comparisons of a retraining hold at
    once."""
    f1: MetricChange | None
    """Change of F1 at each model's own threshold. Recall by itself would count against a model that
    flags fewer normal rows."""
    false_positives: MetricChange | None
    """Change of the share of normal rows flagged there."""
    families: dict[str, MetricChange]
    """Change of detection for each family with enough different attacks."""
    families_flagged: dict[str, MetricChange]
    """The same at each model's own threshold."""
    points: dict[ModelSide, dict[str, FlagMetrics]]
    """Metrics of each model at ``default``, ``low_alert`` and ``p50``. For held-out groups, what to
    expect where ``NOVEL_SHARE`` of the attacks belong to one."""

    @property
    def name(self) -> str:
        """What the rows are, in words that follow "on"."""
        if self.source == "held_out_families":
            made_from = "name" if self.made_from == "attack" else self.made_from or "group"
            return f"attacks held out by {made_from}"
        if self.source == "labelled_batches":
            return "the latest labelled batches"
        return "a random split"


def compare_models(rows: ComparisonRows, seed: int, tests: int = 1) -> ModelComparison:
    """Compare two models on the rows of one source, with confidence intervals.

    The bootstrap draws different connections, each with all its copies and its scores by both
    models, so that what both models have in common cancels (Efron & Tibshirani 1993, chapter 8).
    Each connection's weight is Poisson (Hanley & MacGibbon 2006).

    Args:
        rows: the rows with their scores and flags.
        seed: of the bootstrap.
        tests: gains that one decision looks at; the interval of a gain is widened so that all of
            them hold at once (Bonferroni).
    """
    first, observed = np.unique(
        np.arange(len(rows.is_attack)) if rows.alike is None else rows.alike,
        return_index=True,
        return_inverse=True,
    )[1:]
    is_attack = rows.is_attack[first]
    names = tuple(
        str(name)
        for name, count in zip(*np.unique(rows.group[first], return_counts=True), strict=True)
        if name and count >= FAMILY_MIN_ROWS
    )
    before = _Detection(rows, rows.champion, rows.is_flagged_by_champion, names)
    after = _Detection(rows, rows.challenger, rows.is_flagged_by_challenger, names)
    even = np.ones(len(observed))
    champion, challenger = before.measure(even), after.measure(even)
    random = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        weight = random.poisson(1.0, len(first)).astype(np.float64)[observed]
        draws.append(after.measure(weight) - before.measure(weight))
    error = _standard_errors(np.array(draws))
    level = np.full(len(error), CONFIDENCE)
    level[0] = 1.0 - (1.0 - CONFIDENCE) / tests
    found = [_change(*one) for one in zip(challenger - champion, error, level, strict=True)]
    families, flagged = found[3 : 3 + len(names)], found[3 + len(names) :]
    return ModelComparison(
        source=rows.source,
        made_from=rows.made_from,
        rows=len(rows.is_attack),
        attacks=int(rows.is_attack.sum()),
        distinct_normals=int((~is_attack).sum()),
        distinct_attacks=int(is_attack.sum()),
        champion=None if np.isnan(champion[0]) else float(champion[0]),
        challenger=None if np.isnan(challenger[0]) else float(challenger[0]),
        gain=found[0],
        f1=found[1],
        false_positives=found[2],
        families={name: one for name, one in zip(names, families, strict=True) if one},
        families_flagged={name: one for name, one in zip(names, flagged, strict=True) if one},
        points={side: dict(points) for side, points in rows.points.items()},
    )


class _Detection:
    """What one model finds and flags, for any weights of the rows."""

    def __init__(
        self, rows: ComparisonRows, scores: Floats, flags: Mask, names: tuple[str, ...]
    ) -> None:
        normal = np.flatnonzero(~rows.is_attack)
        self._normals = normal[np.argsort(-scores[normal], kind="stable")]
        self._normal_scores = scores[self._normals]
        self._normal_flags = flags[self._normals]
        self._attacks = np.flatnonzero(rows.is_attack)
        self._scores, self._flags = scores[self._attacks], flags[self._attacks]
        groups, self._group = np.unique(rows.group[self._attacks], return_inverse=True)
        self._groups = len(groups)
        self._reported = np.searchsorted(groups, np.array(names, dtype=groups.dtype))
        self._averaged = np.flatnonzero(groups != "") if rows.is_by_group else None

    def measure(self, weight: Floats) -> Floats:
        """Return detection, F1 and false-positive rate; then each family's detection and recall.

        A figure is NaN where no row has weight to define it.
        """
        normal, attack = weight[self._normals], weight[self._attacks]
        detected: Floats = np.full(len(attack), np.nan)
        rate = np.nan
        if normal.any():
            drawn = np.cumsum(normal)
            place = int(np.searchsorted(drawn, MATCHED_RATE * drawn[-1], side="right"))
            threshold = self._normal_scores[min(place, len(drawn) - 1)]
            detected = (self._scores > threshold).astype(np.float64)
            rate = float(normal[self._normal_flags].sum()) / float(drawn[-1])
        detection, families = self._share(detected, attack)
        recall, flagged = self._share(self._flags.astype(np.float64), attack)
        f1 = np.nan
        if attack.any():
            hits = recall * float(attack.sum())
            alarms = 0.0 if np.isnan(rate) else rate * float(normal.sum())
            f1 = 2.0 * hits / (hits + alarms + float(attack.sum()))
        return np.array([detection, f1, rate, *families, *flagged])

    def _share(self, found: Floats, weight: Floats) -> tuple[float, Floats]:
        """Return the share of the attacks that is found: of all, and of each reported family."""
        whole = np.bincount(self._group, weight, self._groups)
        part = np.bincount(self._group, weight * found, self._groups)
        share = np.divide(part, whole, out=np.full(self._groups, np.nan), where=whole > 0)
        if self._averaged is None:
            total = float(whole.sum())
            overall = float(part.sum()) / total if total else np.nan
        else:
            of_groups = share[self._averaged]
            of_groups = of_groups[~np.isnan(of_groups)]
            overall = float(of_groups.mean()) if len(of_groups) else np.nan
        return overall, share[self._reported]


def _standard_errors(draws: Floats) -> Floats:
    """Return the standard deviation of each column over the rows where it is defined, or 0."""
    is_defined = ~np.isnan(draws)
    count = np.maximum(is_defined.sum(axis=0), 1)
    mean = np.where(is_defined, draws, 0.0).sum(axis=0) / count
    squares = np.where(is_defined, np.square(draws - mean), 0.0)
    spread: Floats = np.sqrt(squares.sum(axis=0) / count)
    return spread


def _change(value: float, error: float, level: float) -> MetricChange | None:
    if np.isnan(value):
        return None
    reach = NormalDist().inv_cdf((1.0 + level) / 2.0) * error
    return MetricChange(value=float(value), low=float(value - reach), high=float(value + reach))
