"""The rows that champion and challenger are compared on, with the scores and flags of both.

Belongs here: joining the held-out scores of two fits. Does not belong here: comparing
(``comparison``), or scoring (``challengers``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from expectations.errors import TrainingDataError
from tasks.arrays import Floats, Mask
from tasks.detectors.thresholds import OperatingPointName
from tasks.evaluation.metrics import FlagMetrics
from tasks.training.attack_groups import GroupSource
from tasks.training.held_out_table import HeldOutTable

ComparisonSource = Literal["held_out_families", "labelled_batches", "random_split"]

ModelSide = Literal["champion", "challenger"]


@dataclass(frozen=True)
class ComparisonRows:
    """The rows of one source, as both models score and flag them."""

    source: ComparisonSource
    is_attack: Mask
    """(n_rows,)."""
    group: npt.NDArray[np.str_]
    """(n_rows,), the family of each attack, or its held-out group; empty for normal rows and where
    it is not known."""
    champion: Floats
    """(n_rows,), anomaly scores; of a held-out group, by a fit without the group."""
    challenger: Floats
    is_flagged_by_champion: Mask
    """(n_rows,), at each model's own threshold."""
    is_flagged_by_challenger: Mask
    alike: npt.NDArray[np.intp] | None = None
    """(n_rows,), the same number for rows with the same features: copies are one observation. None
    where all rows differ."""
    made_from: GroupSource | None = None
    """What held-out groups are."""
    points: Mapping[ModelSide, Mapping[str, FlagMetrics]] = field(default_factory=dict)
    """Metrics of each model at each operating point; only reported."""

    @property
    def is_by_group(self) -> bool:
        """Whether detection is the mean over the groups, each as likely as another."""
        return self.source == "held_out_families"


def join_held_out_scores(
    champion: HeldOutTable,
    challenger: HeldOutTable,
    operating_point: OperatingPointName,
    made_from: GroupSource,
    *,
    rate: float | None = None,
) -> list[ComparisonRows]:
    """Join the held-out scores of two fits on the same rows, in the same order.

    ``rate`` is the share of the normal rows that the operating point must flag; None for the
    thresholds that the fits chose.

    Returns:
        The random split. Before it, where groups of attacks were held out, their attacks and the
        same normal rows.

    Raises:
        TrainingDataError: the rows are not the same.
    """
    if not champion.has_rows_of(challenger):
        message = "Cannot compare two fits: they were not fitted on the same rows in the same order"
        raise TrainingDataError(message)
    is_attack, group, alike = champion.is_attack, champion.group, champion.alike
    sides = (champion, challenger)
    known = [one.known_score for one in sides]
    # At a rate, a model flags what is above ``default`` and above that share of its normal rows.
    point = operating_point if rate is None else "default"
    limits = [
        -np.inf if rate is None else np.quantile(scores[~is_attack], 1.0 - rate, method="higher")
        for scores in known
    ]
    flags = [
        one.flags[point] & (scores > limit)
        for one, scores, limit in zip(sides, known, limits, strict=True)
    ]

    def take(
        rows: Mask | slice, source: ComparisonSource, scores: list[Floats], flags: list[Mask]
    ) -> ComparisonRows:
        return ComparisonRows(
            source=source,
            is_attack=is_attack[rows],
            group=group[rows],
            champion=scores[0][rows],
            challenger=scores[1][rows],
            is_flagged_by_champion=flags[0][rows],
            is_flagged_by_challenger=flags[1][rows],
            alike=alike[rows],
            made_from=made_from if source == "held_out_families" else None,
        )

    split = take(slice(None), "random_split", known, flags)
    is_novel = ~np.isnan(champion.novel_score) & ~np.isnan(challenger.novel_score)
    if not is_novel.any():
        return [split]
    novel = [np.where(is_novel, one.novel_score, one.known_score) for one in sides]
    novel_flags = [
        np.where(is_novel, one.novel_flags[point] & (scores > limit), other)
        for one, scores, limit, other in zip(sides, novel, limits, flags, strict=True)
    ]
    return [take(~is_attack | is_novel, "held_out_families", novel, novel_flags), split]
