import math

import numpy as np
import polars as pl
import pytest

from tasks.drift.psi import (
    CategoryBins,
    NumericBins,
    compare_counts,
    count_categories,
    count_numeric,
    make_bins,
)


def rows(*counts: int) -> np.ndarray:
    return np.array(counts, dtype=np.int64)


def shift(reference: np.ndarray, current: np.ndarray) -> float:
    return compare_counts(reference, current, effect_size=0.2, confidence=0.999).statistic


def test_a_numeric_column_is_cut_into_ten_bins_of_equal_counts() -> None:
    bins = make_bins(pl.Series("count", range(1, 1001)))

    assert isinstance(bins, NumericBins)
    assert bins.edges == (100, 200, 300, 400, 500, 600, 700, 800, 900)
    assert bins.counts == (100,) * 10 + (0,)


def test_a_value_that_fills_a_bin_alone_has_a_bin_of_exactly_that_value() -> None:
    bins = make_bins(pl.Series("src_bytes", [0.0] * 80 + [float(n) for n in range(1, 21)]))

    counted = count_numeric(pl.Series([-1.0, 0.0, 0.0, 0.5, 99.0]), bins.edges)
    assert counted[:2].tolist() == [1, 2]
    assert counted[2:].sum() == 2
    assert bins.counts[:2] == (0, 80)
    assert max(bins.counts[2:]) <= 3  # the other twenty values are still separate


def test_equal_values_are_never_split_between_bins() -> None:
    values = pl.Series("rate", [0.1] * 7 + [0.2] * 8 + [0.3] * 9 + [0.4] * 76)
    bins = make_bins(values)

    for value in (0.1, 0.2, 0.3, 0.4):
        counted = count_numeric(values.filter(values == value), bins.edges)
        assert np.count_nonzero(counted) == 1


def test_a_constant_column_has_a_place_for_any_other_value() -> None:
    bins = make_bins(pl.Series("num_outbound_cmds", [0] * 50))

    assert count_numeric(pl.Series([0, 0, 0, 1, -1]), bins.edges).tolist() == [1, 3, 1, 0]


def test_a_constant_column_that_stays_constant_has_not_drifted() -> None:
    stability = compare_counts(
        rows(0, 500, 0, 0), rows(0, 90, 0, 0), effect_size=0.2, confidence=0.999
    )

    assert stability.statistic == 0
    assert not stability.is_drifted


def test_bins_do_not_depend_on_the_order_of_the_rows() -> None:
    values = pl.Series("count", [5, 1, 3, 3, 9, 0, 0, 0])
    assert make_bins(values) == make_bins(values.reverse())


def test_bins_survive_json_exactly() -> None:
    bins = make_bins(pl.Series("rate", [0.0] * 50 + [n / 49 for n in range(50)]))

    assert NumericBins.model_validate_json(bins.model_dump_json()) == bins


def test_unseen_and_rare_categories_share_a_bin() -> None:
    trained = pl.Series("service", ["http"] * 3000 + ["smtp"] * 1999 + ["tftp_u"])
    bins = make_bins(trained)

    assert isinstance(bins, CategoryBins)
    assert bins.levels == ("http", "smtp")
    assert bins.counts == (3000, 1999, 1, 0)
    tonight = pl.Series(["http", "gopher", "tftp_u", None])
    assert bins.count(tonight).tolist() == [1, 0, 2, 1]


def test_missing_numbers_are_counted_apart() -> None:
    counted = count_numeric(pl.Series([1.0, None, math.nan, 3.0]), (2.0,))
    assert counted.tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([None] * 100, dtype=pl.Float64),
        pl.Series([None] * 100, dtype=pl.String),
        pl.Series([-1.7976931348623157e308, 1.7976931348623157e308] * 50),
        pl.Series([2**63 - 1, -(2**63), None, 1] * 25),
        pl.Series([f"host{number}" for number in range(2_000)]),
    ],
)
def test_any_column_has_bins_that_survive_json_and_do_not_drift_by_themselves(
    values: pl.Series,
) -> None:
    bins = make_bins(values)
    assert type(bins).model_validate_json(bins.model_dump_json()) == bins
    assert sum(bins.counts) == len(values)
    same = compare_counts(
        np.array(bins.counts), bins.count(values), effect_size=0.2, confidence=0.999
    )
    assert same.statistic == 0
    assert not same.is_drifted


def test_a_column_that_had_no_value_and_now_has_has_drifted() -> None:
    bins = make_bins(pl.Series([None] * 100, dtype=pl.Float64))
    now = bins.count(pl.Series([1.0] * 100))
    assert shift(np.array(bins.counts), now) > 0.2


def test_missing_categories_are_counted_apart() -> None:
    assert count_categories(pl.Series(["a", None, "b"], dtype=pl.String), ("a",)).tolist() == [
        1,
        1,
        1,
    ]


def test_equal_shares_give_an_index_near_zero_for_any_sizes() -> None:
    assert shift(rows(5000, 3000, 2000), rows(500, 300, 200)) == pytest.approx(0, abs=1e-5)


def test_the_index_of_a_known_shift() -> None:
    # By hand: (0.5 - 0.8) ln(0.5 / 0.8) + (0.5 - 0.2) ln(0.5 / 0.2) = 0.41589.
    stability = compare_counts(
        rows(80_000, 20_000), rows(50_000, 50_000), effect_size=0.2, confidence=0.999
    )

    assert stability.statistic == pytest.approx(0.41589, abs=1e-4)
    assert stability.threshold == 0.2
    assert stability.is_drifted


def test_a_flood_of_an_unseen_category_is_drift() -> None:
    trained = make_bins(pl.Series("service", ["http", "smtp"] * 500))
    tonight = trained.count(pl.Series(["http", "smtp"] * 350 + ["gopher"] * 300))

    assert compare_counts(
        np.array(trained.counts), tonight, effect_size=0.2, confidence=0.999
    ).is_drifted


def test_the_threshold_grows_as_the_batch_shrinks() -> None:
    reference = rows(*[2_500] * 10)
    thresholds = [
        compare_counts(reference, rows(*[n] * 10), effect_size=0.0, confidence=0.999).threshold
        for n in (10, 100, 1000)
    ]

    # chi2 with 9 degrees of freedom stays below 27.877 with probability 0.999 (any printed table).
    assert thresholds == pytest.approx(
        [27.877 * (1 / n + 1 / 25_000) for n in (100, 1_000, 10_000)], rel=1e-4
    )


def test_bins_with_too_few_rows_are_pooled_and_leave_the_threshold_alone() -> None:
    thin = compare_counts(rows(900, 98, 1, 1), rows(90, 8, 1, 1), effect_size=0.0, confidence=0.999)
    pooled = compare_counts(rows(900, 98, 2), rows(90, 8, 2), effect_size=0.0, confidence=0.999)

    assert thin == pooled


@pytest.mark.parametrize("n", [500, 1_000, 5_000])
def test_a_batch_without_drift_raises_no_more_alarms_than_promised(n: int) -> None:
    """66 categories with a long tail, as in ``service``: a fixed 0.1 is exceeded by 95 % of 500."""
    random = np.random.default_rng(7)
    shares = 1 / np.arange(1, 67) ** 1.5
    shares /= shares.sum()
    trials = 2_000
    references = random.multinomial(25_000, shares, size=trials)
    batches = random.multinomial(n, shares, size=trials)
    alarms = sum(
        compare_counts(reference, batch, effect_size=0.0, confidence=0.99).is_drifted
        for reference, batch in zip(references, batches, strict=True)
    )

    # 1 % of 2,000 is 20, standard deviation 4.4; the approximation may cost a little more.
    assert 5 <= alarms <= 36
