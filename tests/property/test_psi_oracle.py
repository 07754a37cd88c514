"""The stability index equals a plain-Python oracle, and counts of parts add up to the whole."""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.drift.psi import (
    MIN_EXPECTED,
    CategoryBins,
    NumericBins,
    compare_counts,
    count_numeric,
    make_bins,
)

numbers = st.lists(
    st.one_of(
        st.sampled_from([0.0, 0.0, 1.0, -3.5, 1e9, math.inf, math.nan, None]),
        st.floats(-1e6, 1e6, width=32),
    ),
    min_size=1,
    max_size=60,
)
names = st.lists(st.sampled_from(["http", "smtp", "ftp", "", None]), min_size=1, max_size=60)
counts = st.integers(2, 8).flatmap(
    lambda size: st.tuples(
        *[st.lists(st.integers(0, 400), min_size=size, max_size=size).filter(any) for _ in range(2)]
    )
)


def cut(values: pl.Series, at: int) -> list[pl.Series]:
    return [values[:at], values[at:]]


def slow_numeric_counts(values: Sequence[float | None], edges: Sequence[float]) -> list[int]:
    counted = [0] * (len(edges) + 2)
    for value in values:
        if value is None or math.isnan(value):
            counted[-1] += 1
            continue
        place = 0
        while place < len(edges) and value > edges[place]:
            place += 1
        counted[place] += 1
    return counted


def slow_category_counts(values: Sequence[str | None], levels: Sequence[str]) -> list[int]:
    counted = [0] * (len(levels) + 2)
    for value in values:
        if value is None:
            counted[-1] += 1
        elif value in levels:
            counted[levels.index(value)] += 1
        else:
            counted[-2] += 1
    return counted


def slow_index(reference: Sequence[int], current: Sequence[int]) -> float:
    m, n = sum(reference), sum(current)
    pairs: list[tuple[int, int]] = []
    rare = (0, 0)
    for before, now in zip(reference, current, strict=True):
        if min(m, n) * before / m >= MIN_EXPECTED:
            pairs.append((before, now))
        else:
            rare = (rare[0] + before, rare[1] + now)
    if rare != (0, 0):
        pairs.append(rare)
    index = 0.0
    for before, now in pairs:
        q = (before + 0.5) / (m + 0.5 * len(pairs))
        p = (now + 0.5) / (n + 0.5 * len(pairs))
        index += (p - q) * math.log(p / q)
    return index


@given(trained=numbers, tonight=numbers, at=st.integers(0, 60))
def test_numeric_counts_agree_with_the_oracle_for_any_division_into_parts(
    trained: list[float | None], tonight: list[float | None], at: int
) -> None:
    bins = make_bins(pl.Series("x", trained, dtype=pl.Float64))
    values = pl.Series("x", tonight, dtype=pl.Float64)

    assert isinstance(bins, NumericBins)
    assert list(bins.counts) == slow_numeric_counts(trained, bins.edges)
    whole = slow_numeric_counts(tonight, bins.edges)
    assert bins.count(values).tolist() == whole
    assert sum(bins.count(part) for part in cut(values, at)).tolist() == whole


@given(values=st.lists(st.integers(-3, 300), min_size=1, max_size=200))
def test_no_bin_that_could_be_cut_holds_much_more_than_its_share(values: list[int]) -> None:
    bins = make_bins(pl.Series("x", values))
    heaviest = max(values.count(value) for value in values)

    assert isinstance(bins, NumericBins)
    assert list(bins.edges) == sorted(set(bins.edges))
    # A tenth, and at most half a value more at either end, which weighs less than a tenth itself.
    assert max(bins.counts) <= max(heaviest, 0.2 * len(values))
    assert count_numeric(pl.Series(values), bins.edges).sum() == len(values)


@given(trained=names, tonight=names, at=st.integers(0, 60))
def test_category_counts_agree_with_the_oracle_for_any_division_into_parts(
    trained: list[str | None], tonight: list[str | None], at: int
) -> None:
    bins = make_bins(pl.Series("service", trained, dtype=pl.String))
    values = pl.Series("service", tonight, dtype=pl.String)

    assert isinstance(bins, CategoryBins)
    assert list(bins.counts) == slow_category_counts(trained, bins.levels)
    whole = slow_category_counts(tonight, bins.levels)
    assert bins.count(values).tolist() == whole
    assert sum(bins.count(part) for part in cut(values, at)).tolist() == whole


@given(pair=counts)
def test_the_index_agrees_with_the_oracle(pair: tuple[list[int], list[int]]) -> None:
    reference, current = pair
    found = compare_counts(
        np.array(reference), np.array(current), effect_size=0.2, confidence=0.999
    )

    assert found.statistic == pytest.approx(slow_index(reference, current), abs=1e-12)
    assert found.statistic >= 0
    assert found.threshold >= 0.2
