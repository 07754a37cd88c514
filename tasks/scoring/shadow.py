"""Shadow scoring: a challenger scores the batch too, in comparison with the live scoring.

Belongs here: the comparison of two scorings of the same rows. Does not belong here: scoring, or
storing.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
from pydantic import BaseModel

from storage.scorings import LabelledRows, ScoringResult
from storage.shadows import ScoringComparison, ShadowResult
from tasks.evaluation.labels import LabelledCounts
from tasks.scoring.score import ScoreSummary
from tasks.wording import plural

RANKED_ROWS = 100_000
"""Most rows whose ranks are compared, evenly spaced over the batch: ranks need all rows in memory,
and the standard error of a correlation of so many rows is below .004."""


class ShadowSummary(BaseModel, frozen=True):
    """The result of a shadow scoring, compared with the live scoring."""

    model_version: str
    scored: ScoreSummary
    rows_flagged_by_both: int
    rows_flagged_by_live: int
    """And not by the shadow."""
    rows_flagged_by_shadow: int
    """And not by the live scoring."""
    rank_correlation: float | None
    """Spearman's, of the anomaly scores; None where one side is constant."""

    @property
    def note(self) -> str:
        """A sentence about the shadow for the night's notes."""
        return (
            f"shadow {self.model_version} flagged {plural(self.scored.rows_flagged, 'connection')},"
            f" {self.rows_flagged_by_both:,} of them live too; {self.rows_flagged_by_live:,} more"
            " are flagged live only"
        )


def compare_scores(
    folder: Path, live: Sequence[str], shadow: Sequence[str]
) -> tuple[int, int, int, float | None]:
    """Compare two scorings of the same rows, a part at a time.

    Args:
        folder: the batch's folder; scores are named relative to it.
        live: the scores of the champion, one file a part.
        shadow: those of the challenger, of the same rows in the same order.

    Returns:
        Rows flagged by both, by the live scoring only and by the shadow only; the rank correlation.
    """
    both = only_live = only_shadow = 0
    columns = ["anomaly_score", "is_flagged"]
    rows = sum(_count_rows(folder / name) for name in live)
    step = max(1, -(-rows // RANKED_ROWS))
    ranked = []
    first = 0
    for one, other in zip(live, shadow, strict=True):
        champion = pl.read_parquet(folder / one, columns=columns)
        challenger = pl.read_parquet(folder / other, columns=columns)
        flagged, shadowed = champion["is_flagged"], challenger["is_flagged"]
        both += int((flagged & shadowed).sum())
        only_live += int((flagged & ~shadowed).sum())
        only_shadow += int((~flagged & shadowed).sum())
        pair = pl.DataFrame(
            {"live": champion["anomaly_score"], "shadow": challenger["anomaly_score"]}
        )
        ranked.append(pair.gather_every(step, (-first) % step))
        first += champion.height
    chosen = pl.concat(ranked)
    correlation = chosen.select(pl.corr("live", "shadow", method="spearman")).item()
    is_defined = correlation is not None and correlation == correlation  # noqa: PLR0124 - not NaN
    return both, only_live, only_shadow, float(correlation) if is_defined else None


def _count_rows(path: Path) -> int:
    return int(pl.scan_parquet(path).select(pl.len()).collect().item())


def make_shadow_result(
    folder: Path, summary: ShadowSummary, started_at: datetime, finished_at: datetime
) -> ShadowResult:
    """Return a shadow scoring in the form that the database stores, with its own times."""
    scored = summary.scored
    return ShadowResult(
        scoring=ScoringResult(
            model_version=summary.model_version,
            operating_point=scored.operating_point,
            threshold=scored.threshold,
            target_flag_rate=scored.target_flag_rate,
            rows_scored=scored.rows_scored,
            rows_flagged=scored.rows_flagged,
            labelled=make_labelled_rows(scored.labelled),
            scores=tuple(folder / name for name in scored.parts),
            flagged=(),
            reasons=None,
            drift=None,
            started_at=started_at,
            finished_at=finished_at,
        ),
        comparison=ScoringComparison(
            rows_compared=scored.rows_scored,
            rows_flagged_by_both=summary.rows_flagged_by_both,
            rows_flagged_by_live=summary.rows_flagged_by_live,
            rows_flagged_by_shadow=summary.rows_flagged_by_shadow,
            rank_correlation=summary.rank_correlation,
        ),
    )


def make_labelled_rows(counts: LabelledCounts | None) -> LabelledRows | None:
    """Return the counts of labelled rows in the form that the database stores."""
    if counts is None:
        return None
    return LabelledRows(
        rows_labelled_normal=counts.normal,
        rows_labelled_attack=counts.attack,
        rows_flagged_normal=counts.flagged_normal,
        rows_flagged_attack=counts.flagged_attack,
    )
