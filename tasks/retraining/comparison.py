"""Two models on the same rows: what each finds, the difference, and how sure one may be of it.

Belongs here: pairing scores and comparing them row by row. Does not belong here: which differences
decide (``tasks.retraining.gate``), or making the scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict

from expectations.errors import TrainingDataError
from tasks.arrays import Floats, Mask
from tasks.detectors.thresholds import OperatingPointName
from tasks.evaluation.metrics import CONFIDENCE, FlagMetrics
from tasks.training.attack_groups import GroupSource

MATCHED_RATE = 0.01
"""Share of normal connections that both models may flag when their detection is compared: without
a common rate, the one that flags more finds more. A guess, between the two operating points."""

RESAMPLES = 300
"""Bootstrap samples: they give a standard error to within 4 %."""

FAMILY_MIN_ROWS = 10
"""Fewest different attacks by which a family is compared: a guess; of fewer, three by chance would
be a family lost."""

ComparisonSource = Literal["held_out_families", "labelled_batches", "random_split"]

ModelSide = Literal["champion", "challenger"]


@dataclass(frozen=True)
class ComparisonRows:
    """The rows of one source of evidence, as both models score and flag them."""

    source: ComparisonSource
    is_attack: Mask
    """(n_rows,)."""
    group: npt.NDArray[np.str_]
    """(n_rows,), the family of each attack, or its held-out kind; empty for normals and where it is
    not known."""
    champion: Floats
    """(n_rows,), anomaly scores; of a held-out kind, by a fit that met none of it."""
    challenger: Floats
    is_flagged_by_champion: Mask
    """(n_rows,), at each model's own threshold."""
    is_flagged_by_challenger: Mask
    alike: npt.NDArray[np.intp] | None = None
    """(n_rows,), the same number for rows with the same features: they are one observation, however
    often it occurs. None where all rows differ."""
    made_from: GroupSource | None = None
    """What held-out kinds are."""
    points: Mapping[ModelSide, Mapping[str, FlagMetrics]] = field(default_factory=dict)
    """What each operating point does of each model; only reported."""

    @property
    def is_by_kind(self) -> bool:
        """Whether detection is the mean over the groups, each as likely as another."""
        return self.source == "held_out_families"


class MetricChange(BaseModel):
    """A difference, challenger less champion, with a confidence interval.

    The interval is normal, with the bootstrap's standard error (Efron & Tibshirani 1993, chapter
    13).
    """

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float


class ModelComparison(BaseModel):
    """What one source of evidence says of two models. Differences are challenger less champion."""

    model_config = ConfigDict(frozen=True)

    source: ComparisonSource
    made_from: GroupSource | None
    """What was held out, where the source is that."""
    rows: int
    attacks: int
    distinct_normals: int
    """Normal connections with different features: what there is to be sure by."""
    distinct_attacks: int
    champion: float | None
    """Detection: share of attacks found where ``MATCHED_RATE`` of the normals are flagged; of
    attacks held out by kind, the mean over the kinds. None where there is no attack or no normal.
    """
    challenger: float | None
    gain: MetricChange | None
    """In detection; so sure that all comparisons of a retraining hold at once."""
    f1: MetricChange | None
    """Difference in F1 at each model's own threshold: what that makes of the scores. Recall alone
    would blame a model for flagging fewer normals."""
    false_positives: MetricChange | None
    """Difference in the share of normals flagged there."""
    families: dict[str, MetricChange]
    """Difference in detection of each family with enough different attacks."""
    families_flagged: dict[str, MetricChange]
    """And at each model's own threshold."""
    points: dict[ModelSide, dict[str, FlagMetrics]]
    """What each operating point does of each model: ``default``, ``low_alert``, ``p50``. Of attacks
    held out by kind, that is to be expected where ``NOVEL_SHARE`` of the attacks are of one."""

    @property
    def name(self) -> str:
        """What evidence it is, in words that follow "on"."""
        if self.source == "held_out_families":
            made_from = "name" if self.made_from == "attack" else self.made_from or "kind"
            return f"attacks held out by {made_from}"
        if self.source == "labelled_batches":
            return "the latest labelled batches"
        return "a random split"


def compare_models(pair: ComparisonRows, seed: int, tests: int = 1) -> ModelComparison:
    """Compare two models on one source of evidence, with intervals.

    Different connections are drawn again with all their copies and their scores by both models, so
    what is common to both cancels (Efron & Tibshirani 1993, chapter 8); each one's weight is
    Poisson (Hanley & MacGibbon 2006).

    Args:
        pair: the rows.
        seed: of the bootstrap.
        tests: gains that are looked at in one decision; the interval of a gain is widened so that
            all of them hold at once (Bonferroni).
    """
    first, observed = np.unique(
        np.arange(len(pair.is_attack)) if pair.alike is None else pair.alike,
        return_index=True,
        return_inverse=True,
    )[1:]
    is_attack = pair.is_attack[first]
    names = tuple(
        str(name)
        for name, count in zip(*np.unique(pair.group[first], return_counts=True), strict=True)
        if name and count >= FAMILY_MIN_ROWS
    )
    before = _ModelOutcomes(pair, pair.champion, pair.is_flagged_by_champion, names)
    after = _ModelOutcomes(pair, pair.challenger, pair.is_flagged_by_challenger, names)
    even = np.ones(len(observed))
    champion, challenger = before.measure(even), after.measure(even)
    random = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        weight = random.poisson(1.0, len(first)).astype(np.float64)[observed]
        draws.append(after.measure(weight) - before.measure(weight))
    error = _spread(np.array(draws))
    level = np.full(len(error), CONFIDENCE)
    level[0] = 1.0 - (1.0 - CONFIDENCE) / tests
    found = [_interval(*one) for one in zip(challenger - champion, error, level, strict=True)]
    families, flagged = found[3 : 3 + len(names)], found[3 + len(names) :]
    return ModelComparison(
        source=pair.source,
        made_from=pair.made_from,
        rows=len(pair.is_attack),
        attacks=int(pair.is_attack.sum()),
        distinct_normals=int((~is_attack).sum()),
        distinct_attacks=int(is_attack.sum()),
        champion=None if np.isnan(champion[0]) else float(champion[0]),
        challenger=None if np.isnan(challenger[0]) else float(challenger[0]),
        gain=found[0],
        f1=found[1],
        false_positives=found[2],
        families={name: one for name, one in zip(names, families, strict=True) if one},
        families_flagged={name: one for name, one in zip(names, flagged, strict=True) if one},
        points={side: dict(points) for side, points in pair.points.items()},
    )


class _ModelOutcomes:
    """What one model finds and flags, for any weights of the rows."""

    def __init__(
        self, pair: ComparisonRows, scores: Floats, flags: Mask, names: tuple[str, ...]
    ) -> None:
        normal = np.flatnonzero(~pair.is_attack)
        self._normals = normal[np.argsort(-scores[normal], kind="stable")]
        self._normal_scores = scores[self._normals]
        self._normal_flags = flags[self._normals]
        self._attacks = np.flatnonzero(pair.is_attack)
        self._scores, self._flags = scores[self._attacks], flags[self._attacks]
        groups, self._group = np.unique(pair.group[self._attacks], return_inverse=True)
        self._groups = len(groups)
        self._shown = np.searchsorted(groups, np.array(names, dtype=groups.dtype))
        self._kinds = np.flatnonzero(groups != "") if pair.is_by_kind else None

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
            cut = self._normal_scores[min(place, len(drawn) - 1)]
            detected = (self._scores > cut).astype(np.float64)
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
        """Return the share of the attacks that is found: of all, and of each family shown."""
        whole = np.bincount(self._group, weight, self._groups)
        part = np.bincount(self._group, weight * found, self._groups)
        share = np.divide(part, whole, out=np.full(self._groups, np.nan), where=whole > 0)
        if self._kinds is None:
            total = float(whole.sum())
            overall = float(part.sum()) / total if total else np.nan
        else:
            of_kinds = share[self._kinds]
            of_kinds = of_kinds[~np.isnan(of_kinds)]
            overall = float(of_kinds.mean()) if len(of_kinds) else np.nan
        return overall, share[self._shown]


def _spread(draws: Floats) -> Floats:
    """Return the standard deviation of each column, over the rows where it is defined."""
    is_defined = ~np.isnan(draws)
    count = np.maximum(is_defined.sum(axis=0), 1)
    values = np.where(is_defined, draws, 0.0)
    mean = values.sum(axis=0) / count
    squares = np.where(is_defined, np.square(values - mean), 0.0)
    spread: Floats = np.sqrt(squares.sum(axis=0) / count)
    return spread


def _interval(value: float, error: float, level: float) -> MetricChange | None:
    if np.isnan(value):
        return None
    reach = NormalDist().inv_cdf((1.0 + level) / 2.0) * error
    return MetricChange(value=float(value), low=float(value - reach), high=float(value + reach))


def join_held_out_scores(
    champion: pl.DataFrame,
    challenger: pl.DataFrame,
    operating_point: OperatingPointName,
    made_from: GroupSource,
    *,
    rate: float | None = None,
) -> list[ComparisonRows]:
    """Pair the held-out scores that two fits on the same rows left.

    Args:
        champion: one row per training row: ``judgement.HELD_OUT_SCHEMA``.
        challenger: the same rows in the same order.
        operating_point: whose flags are compared.
        made_from: what the kinds are.
        rate: share of the normals that the operating point is to flag; None for the thresholds that
            the fits chose.

    Returns:
        The random split; and before it, where kinds of attack were held out, these among the same
        normals.

    Raises:
        TrainingDataError: the rows are not the same.
    """
    same = ["is_attack", "kind", "alike"]
    if not champion.select(same).equals(challenger.select(same)):
        message = "Cannot compare two fits: they were not fitted on the same rows in the same order"
        raise TrainingDataError(message)
    is_attack = champion["is_attack"].to_numpy()
    kind = champion["kind"].to_numpy().astype(np.str_)
    alike = champion["alike"].to_numpy().astype(np.intp)
    sides = (champion, challenger)
    known = [one["known_score"].to_numpy() for one in sides]
    flags = _flags(sides, known, "flagged", operating_point, rate, is_attack)
    split = ComparisonRows(
        source="random_split",
        is_attack=is_attack,
        group=kind,
        champion=known[0],
        challenger=known[1],
        is_flagged_by_champion=flags[0],
        is_flagged_by_challenger=flags[1],
        alike=alike,
    )
    met = [one["novel_score"].is_not_null().to_numpy() for one in sides]
    is_novel = met[0] & met[1]
    if not is_novel.any():
        return [split]
    novel = [
        np.where(is_novel, one["novel_score"].to_numpy(), scores)
        for one, scores in zip(sides, known, strict=True)
    ]
    novel_flags = _flags(sides, novel, "novel_flagged", operating_point, rate, is_attack)
    rows = ~is_attack | is_novel
    flagged = [np.where(is_novel, *one)[rows] for one in zip(novel_flags, flags, strict=True)]
    held_out = ComparisonRows(
        source="held_out_families",
        is_attack=is_attack[rows],
        group=kind[rows],
        champion=novel[0][rows],
        challenger=novel[1][rows],
        is_flagged_by_champion=flagged[0],
        is_flagged_by_challenger=flagged[1],
        alike=alike[rows],
        made_from=made_from,
    )
    return [held_out, split]


def _flags(
    sides: Sequence[pl.DataFrame],
    scores: Sequence[Floats],
    prefix: str,
    operating_point: OperatingPointName,
    rate: float | None,
    is_attack: Mask,
) -> list[Mask]:
    """Return each model's flags: by its own thresholds, or where a share of its normals is flagged.

    The latter is never below ``default``, as when it serves.
    """
    point = operating_point if rate is None else "default"
    chosen = [one[f"{prefix}_{point}"].fill_null(value=False).to_numpy() for one in sides]
    if rate is None:
        return chosen
    cuts = [
        np.quantile(one["known_score"].to_numpy()[~is_attack], 1.0 - rate, method="higher")
        for one in sides
    ]
    return [flags & (score > cut) for flags, score, cut in zip(chosen, scores, cuts, strict=True)]
