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
and the standard error of a correlation of this many rows is below .004."""


class ShadowSummary(BaseModel, frozen=True):
    """The result of a shadow scoring, compared with the live scoring."""

    model_version: str
    scored: ScoreSummary
    comparison: ScoringComparison

    @property
    def note(self) -> str:
        """A sentence about the shadow for the night's notes."""
        both, live = self.comparison.rows_flagged_by_both, self.comparison.rows_flagged_by_live
        return (
            f"shadow {self.model_version} flagged {plural(self.scored.rows_flagged, 'connection')},"
            f" {both:,} of them live too; {live:,} more are flagged live only"
        )


def compare_scores(folder: Path, live: Sequence[str], shadow: Sequence[str]) -> ScoringComparison:
    """Compare the champion's scores with a challenger's of the same rows, a part at a time.

    Both name one file a part, relative to the batch's folder. The rank correlation is Spearman's,
    of the anomaly scores; None where one side is constant.
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
    return ScoringComparison(
        rows_compared=rows,
        rows_flagged_by_both=both,
        rows_flagged_by_live=only_live,
        rows_flagged_by_shadow=only_shadow,
        rank_correlation=float(correlation) if is_defined else None,
    )


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
        comparison=summary.comparison,
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
