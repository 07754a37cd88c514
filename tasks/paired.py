"""Two models on the same rows: what each finds, the difference, and how sure one may be of it.

Belongs here: pairing scores and comparing them row by row. Does not belong here: which differences
decide (``tasks.gate``), or making the scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict

from tasks.encode import Floats, Mask
from tasks.thresholds import NOVEL_SHARE

MATCHED_RATE = 0.01
"""Share of normal connections that both models may flag when their detection is compared: without
a common rate, the one that flags more finds more. A guess, between the two operating points."""

RESAMPLES = 300
"""Bootstrap samples. Of the 2.5 % at either end, seven or eight lie beyond the bound."""

FAMILY_MIN_ROWS = 30
"""Fewest rows by which a family is compared: a guess; of fewer, one row is more than ``LOST``."""

Source = Literal["held_out_families", "labelled_batches", "random_split"]


@dataclass(frozen=True)
class PairedScores:
    """The rows of one source of evidence, as both models score and flag them."""

    source: Source
    is_attack: Mask
    """(n_rows,)."""
    group: npt.NDArray[np.str_]
    """(n_rows,), the family of each attack, or its held-out kind; empty for normals and where it is
    not known."""
    champion: Floats
    """(n_rows,), anomaly scores."""
    challenger: Floats
    is_flagged_by_champion: Mask | None = None
    """(n_rows,), at each model's own threshold; None where only ranks are compared."""
    is_flagged_by_challenger: Mask | None = None
    novel_share: float | None = None
    """How much the groups weigh, each the same, beside all attacks together; None for not apart."""
    novel_champion: Floats | None = None
    """(n_rows,), scores of the attacks of a held-out kind by a fit without it; NaN for others."""
    novel_challenger: Floats | None = None


class Interval(BaseModel):
    """A difference, challenger less champion, with its 95 % bootstrap interval."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float


class Comparison(BaseModel):
    """What one source of evidence says of two models."""

    model_config = ConfigDict(frozen=True)

    source: Source
    rows: int
    attacks: int
    champion: float | None
    """Detection: share of attacks found where ``MATCHED_RATE`` of the normals are flagged; of
    held-out families, known and novel attacks mixed. None where there is no attack or normal."""
    challenger: float | None
    gain: Interval | None
    """In detection."""
    false_positives: Interval | None
    """Difference of the false-positive rates at each model's own threshold; None where only ranks
    are compared."""
    families: dict[str, Interval]
    """Difference in detection of each family with enough rows."""


def compare(pair: PairedScores, seed: int) -> Comparison:
    """Compare two models on one source of evidence, with intervals.

    Rows are drawn again with their scores by both models, so what is common to both cancels
    (Efron & Tibshirani 1993, chapter 8); each row's weight is Poisson (Hanley & MacGibbon 2006).
    """
    attacks = int(pair.is_attack.sum())
    names, sizes = np.unique(pair.group[pair.group != ""], return_counts=True)
    large = [str(name) for name, size in zip(names, sizes, strict=True) if size >= FAMILY_MIN_ROWS]
    if not attacks or attacks == len(pair.is_attack):
        return Comparison(
            source=pair.source,
            rows=len(pair.is_attack),
            attacks=attacks,
            champion=None,
            challenger=None,
            gain=None,
            false_positives=None,
            families={},
        )
    champion = _Detection(pair, pair.champion, pair.novel_champion, large)
    challenger = _Detection(pair, pair.challenger, pair.novel_challenger, large)
    even = np.ones(len(pair.is_attack))
    before, after = champion.measure(even), challenger.measure(even)
    random = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        weight = random.poisson(1.0, len(even)).astype(np.float64)
        draws.append(
            challenger.measure(weight) - champion.measure(weight)
            if weight[pair.is_attack].any() and weight[~pair.is_attack].any()
            else after - before
        )
    low, high = np.nanquantile(np.array(draws), [0.025, 0.975], axis=0)
    differences = [
        Interval(value=float(value), low=float(first), high=float(last))
        for value, first, last in zip(after - before, low, high, strict=True)
    ]
    return Comparison(
        source=pair.source,
        rows=len(pair.is_attack),
        attacks=attacks,
        champion=float(before[0]),
        challenger=float(after[0]),
        gain=differences[0],
        false_positives=_compare_rates(pair, seed),
        families=dict(zip(large, differences[1:], strict=True)),
    )


class _Detection:
    """How much one model finds at the matched rate, for any weights of the rows."""

    def __init__(
        self, pair: PairedScores, scores: Floats, novel: Floats | None, groups: Sequence[str]
    ) -> None:
        self._is_attack = pair.is_attack
        normal = np.flatnonzero(~pair.is_attack)
        self._normals = normal[np.argsort(-scores[normal], kind="stable")]
        self._normal_scores = scores[self._normals]
        self._scores = scores
        self._by_group = scores if novel is None else novel
        self._groups = [np.flatnonzero(pair.group == name) for name in groups]
        self._novel_share = pair.novel_share if groups else None

    def measure(self, weight: Floats) -> Floats:
        """Return detection overall, then of each group, (1 + n_groups,); NaN without weight."""
        drawn = np.cumsum(weight[self._normals])
        place = min(
            int(np.searchsorted(drawn, MATCHED_RATE * drawn[-1], side="right")), len(drawn) - 1
        )
        threshold = self._normal_scores[place]
        found = self._share(np.flatnonzero(self._is_attack), self._scores, weight, threshold)
        groups = [self._share(rows, self._by_group, weight, threshold) for rows in self._groups]
        if self._novel_share is not None:
            novel = float(np.nanmean(groups)) if not np.isnan(groups).all() else found
            found = (1.0 - self._novel_share) * found + self._novel_share * novel
        return np.array([found, *groups])

    @staticmethod
    def _share(
        rows: npt.NDArray[np.intp], scores: Floats, weight: Floats, threshold: float
    ) -> float:
        whole = float(weight[rows].sum())
        return float(weight[rows[scores[rows] > threshold]].sum()) / whole if whole else np.nan


def _compare_rates(pair: PairedScores, seed: int) -> Interval | None:
    """Compare the false-positive rates at each model's own threshold."""
    if pair.is_flagged_by_champion is None or pair.is_flagged_by_challenger is None:
        return None
    normal = ~pair.is_attack
    difference = pair.is_flagged_by_challenger[normal].astype(np.float64)
    difference -= pair.is_flagged_by_champion[normal]
    random = np.random.default_rng(seed)
    # Three outcomes a row: counts of them, drawn again, are all that the mean depends on.
    shares = np.array([(difference == value).mean() for value in (-1, 0, 1)])
    drawn = random.multinomial(len(difference), shares, size=RESAMPLES) / len(difference)
    low, high = np.quantile(drawn[:, 2] - drawn[:, 0], [0.025, 0.975])
    return Interval(value=float(difference.mean()), low=float(low), high=float(high))


def pair_held_out(
    champion: pl.DataFrame, challenger: pl.DataFrame, operating_point: str
) -> list[PairedScores]:
    """Pair the held-out scores that two fits on the same rows left.

    Args:
        champion: one row per training row: ``judgement.EVIDENCE_SCHEMA``.
        challenger: the same rows in the same order.
        operating_point: whose flags are compared.

    Returns:
        The random split; and before it, where kinds of attack were held out, what they show.
    """
    is_attack = champion["is_attack"].to_numpy()
    kind = champion["kind"].to_numpy().astype(np.str_)
    known = [one["known_score"].to_numpy() for one in (champion, challenger)]
    split = PairedScores(
        source="random_split",
        is_attack=is_attack,
        group=np.full(len(kind), ""),
        champion=known[0],
        challenger=known[1],
    )
    if not (kind != "").any():
        return [split]
    novel = [one["novel_score"].to_numpy() for one in (champion, challenger)]
    flags = [one[f"flagged_{operating_point}"].to_numpy() for one in (champion, challenger)]
    held_out = replace(
        split,
        source="held_out_families",
        group=kind,
        is_flagged_by_champion=flags[0],
        is_flagged_by_challenger=flags[1],
        novel_share=NOVEL_SHARE,
        novel_champion=novel[0],
        novel_challenger=novel[1],
    )
    return [held_out, split]
