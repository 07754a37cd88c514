"""A shadow scoring is compared with the live scoring, row by row, over any parts."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from storage.shadows import ScoringComparison
from tasks.scoring import shadow
from tasks.scoring.shadow import compare_scores


def write(folder: Path, name: str, scores: np.ndarray, threshold: float) -> str:
    pl.DataFrame({"anomaly_score": scores, "is_flagged": scores > threshold}).write_parquet(
        folder / name
    )
    return name


@pytest.fixture
def scored(tmp_path: Path) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    live = random.exponential(1, 1_000)
    other = live + random.normal(0, 0.5, 1_000)
    cuts = (0, 1, 400, 1_000)
    parts = [
        [
            write(tmp_path, f"{name}-{first}", scores[first:last], threshold)
            for first, last in pairwise(cuts)
        ]
        for name, scores, threshold in (("live", live, 2.0), ("shadow", other, 2.5))
    ]
    return parts[0], parts[1], live, other


def test_flags_are_counted_and_ranks_compared_over_all_parts(
    scored: tuple[list[str], list[str], np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    live_parts, shadow_parts, live, other = scored
    found = compare_scores(tmp_path, live_parts, shadow_parts)
    assert found.rows_compared == len(live)
    assert found.rows_flagged_by_both == ((live > 2) & (other > 2.5)).sum()
    assert found.rows_flagged_by_live == ((live > 2) & (other <= 2.5)).sum()
    assert found.rows_flagged_by_shadow == ((live <= 2) & (other > 2.5)).sum()
    assert found.rank_correlation == pytest.approx(spearmanr(live, other).statistic)


def test_evenly_spaced_rows_of_a_large_batch_are_ranked(
    scored: tuple[list[str], list[str], np.ndarray, np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live_parts, shadow_parts, live, other = scored
    monkeypatch.setattr(shadow, "RANKED_ROWS", 300)
    correlation = compare_scores(tmp_path, live_parts, shadow_parts).rank_correlation
    assert correlation == pytest.approx(spearmanr(live[::4], other[::4]).statistic)


def test_equal_scores_have_no_rank_correlation(tmp_path: Path) -> None:
    live = write(tmp_path, "live", np.arange(5.0), 3.0)
    flat = write(tmp_path, "flat", np.ones(5), 3.0)
    assert compare_scores(tmp_path, [live], [flat]) == ScoringComparison(
        rows_compared=5,
        rows_flagged_by_both=0,
        rows_flagged_by_live=1,
        rows_flagged_by_shadow=0,
        rank_correlation=None,
    )
