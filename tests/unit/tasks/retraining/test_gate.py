"""The gate passes a challenger that is surely better, and none that only looks better."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.errors import TrainingDataError
from tasks.retraining.comparison import MATCHED_RATE, compare_models
from tasks.retraining.comparison_rows import ComparisonRows, join_held_out_scores
from tasks.retraining.gate import GateOptions, GateResult, apply_gate
from tasks.training.held_out_table import HELD_OUT_SCHEMA, HeldOutTable

OPTIONS = GateOptions()
NORMALS, ATTACKS = 2_000, 400


def paired(
    champion: float, challenger: float, source: str = "labelled_batches", **more: object
) -> ComparisonRows:
    """Rows of which each model finds a share of the attacks: those score 9, all others below 1."""
    noise = np.random.default_rng(3).random(NORMALS + ATTACKS)
    is_attack = np.arange(NORMALS + ATTACKS) >= NORMALS
    place = np.cumsum(is_attack) - 1

    def found(share: float) -> np.ndarray:
        return np.where(is_attack & (place < share * ATTACKS), 9.0, noise * 0.5)

    return ComparisonRows(
        **{
            "source": source,
            "is_attack": is_attack,
            "group": np.where(is_attack, np.where(place % 2 == 0, "DoS", "Probe"), ""),
            "champion": found(champion),
            "challenger": found(challenger),
            "is_flagged_by_champion": found(champion) > 1,
            "is_flagged_by_challenger": found(challenger) > 1,
            **more,
        }
    )


def check(result: GateResult, name: str) -> bool:
    (found,) = [one.is_passed for one in result.checks if one.name == name]
    return found


def test_one_that_finds_more_on_every_source_passes() -> None:
    result = apply_gate([paired(0.6, 0.9), paired(0.5, 0.7, "held_out_families")], OPTIONS)
    assert result.is_better
    assert result.reason.startswith("it finds more on the latest labelled batches: 90.")
    assert result.surest_gain > 0.19


@pytest.mark.parametrize("challenger", [0.6, 0.601, 0.4])
def test_one_that_is_no_better_or_worse_is_refused(challenger: float) -> None:
    result = apply_gate([paired(0.6, challenger)], OPTIONS)
    assert not result.is_better
    assert not check(result, "gain")


def test_a_gain_within_the_margin_is_none() -> None:
    rows = [paired(0.6, 0.7)]
    assert apply_gate(rows, GateOptions(margin=0.05)).is_better
    assert not apply_gate(rows, GateOptions(margin=0.12)).is_better


def test_one_that_is_better_on_a_random_split_only_is_refused_with_that_reason() -> None:
    result = apply_gate(
        [paired(0.6, 0.99, "random_split"), paired(0.6, 0.6, "held_out_families")], OPTIONS
    )
    assert not result.is_better
    assert "It is better on a random split only, which does not count." in result.reason


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([paired(0.2, 0.99, "random_split")], "there is only a random split to compare it on"),
        ([], "there is nothing to compare it on"),
    ],
)
def test_a_random_split_alone_never_decides(rows: list[ComparisonRows], says: str) -> None:
    result = apply_gate(rows, OPTIONS)
    assert not result.is_better
    assert says in result.reason


def test_one_that_finds_fewer_elsewhere_is_refused() -> None:
    result = apply_gate([paired(0.6, 0.9), paired(0.7, 0.6, "held_out_families")], OPTIONS)
    assert check(result, "gain")
    assert not check(result, "no loss")
    assert not result.is_better
    assert "finds fewer attacks on attacks held out by group" in result.reason


def flagged(share_of_normals: float, pair: ComparisonRows | None = None) -> np.ndarray:
    """Flag some of the normals, and the attacks that a pair's challenger finds."""
    flags = np.zeros(NORMALS + ATTACKS, dtype=np.bool_)
    flags[: round(share_of_normals * NORMALS)] = True
    return flags if pair is None else flags | pair.is_flagged_by_challenger


@pytest.mark.parametrize(("rate", "passes"), [(0.02, False), (0.0105, True), (0.001, True)])
def test_one_that_flags_more_normals_is_refused(rate: float, passes: bool) -> None:  # noqa: FBT001
    pair = paired(0.6, 0.9)
    rows = replace(
        pair,
        is_flagged_by_champion=flagged(0.01),
        is_flagged_by_challenger=flagged(rate, pair),
    )
    result = apply_gate([rows], OPTIONS)
    assert check(result, "false positives") is passes
    assert result.is_better is passes


def test_a_rise_of_false_alarms_on_few_normals_is_refused_without_proof() -> None:
    night = cut_out(paired(0.6, 0.9), normals=60, attacks=100)
    more = night.is_flagged_by_challenger.copy()
    more[:3] = True
    result = apply_gate(
        [replace(night, is_flagged_by_challenger=more), paired(0.6, 0.9, "held_out_families")],
        OPTIONS,
    )
    assert not check(result, "false positives")
    assert not result.is_better


def test_a_better_ranking_that_its_own_threshold_does_not_use_is_refused() -> None:
    silent = replace(paired(0.6, 0.9), is_flagged_by_challenger=flagged(0))
    result = apply_gate([silent], OPTIONS)
    assert check(result, "gain")
    assert not check(result, "threshold")
    assert not result.is_better


def test_a_family_lost_at_its_own_threshold_is_lost() -> None:
    pair = paired(0.9, 0.95)
    quiet = pair.is_flagged_by_challenger & (pair.group != "Probe")
    result = apply_gate([replace(pair, is_flagged_by_challenger=quiet)], OPTIONS)
    assert not check(result, "families")
    assert "Probe" in next(one.says for one in result.checks if one.name == "families")


def test_one_that_was_not_fitted_on_a_family_is_refused() -> None:
    result = apply_gate([paired(0.6, 0.9)], OPTIONS, missing=["U2R"])
    assert not result.is_better
    assert "it was fitted on no attacks of U2R, and the champion was" in result.reason


def keep_rows(pair: ComparisonRows, kept: np.ndarray) -> ComparisonRows:
    return replace(
        pair,
        is_attack=pair.is_attack[kept],
        group=pair.group[kept],
        champion=pair.champion[kept],
        challenger=pair.challenger[kept],
        is_flagged_by_champion=pair.is_flagged_by_champion[kept],
        is_flagged_by_challenger=pair.is_flagged_by_challenger[kept],
    )


def cut_out(pair: ComparisonRows, normals: int, attacks: int) -> ComparisonRows:
    """Keep some normals, and attacks from both ends; both models find the first ones."""
    kept = np.r_[0:normals, NORMALS : NORMALS + attacks // 2, len(pair.group) - attacks // 2 :
                 len(pair.group)]  # fmt: skip
    return keep_rows(pair, kept)


@pytest.mark.parametrize(("normals", "attacks"), [(1_000, 20), (200, 400)])
def test_a_handful_of_rows_never_counts_for_a_challenger(normals: int, attacks: int) -> None:
    few = cut_out(paired(0.3, 1.0), normals, attacks)
    result = apply_gate([few], OPTIONS)
    assert result.comparisons[0].gain.low > 0.1
    assert not check(result, "evidence")
    assert not result.is_better


def test_copies_of_a_connection_are_one_observation() -> None:
    pair = paired(0.6, 0.9)
    found_more = pair.is_flagged_by_challenger & ~pair.is_flagged_by_champion
    alike = np.where(found_more, np.flatnonzero(found_more)[0], np.arange(len(found_more)))
    assert apply_gate([pair], OPTIONS).is_better
    copied = apply_gate([replace(pair, alike=alike)], OPTIONS)
    (comparison,) = copied.comparisons
    assert comparison.distinct_attacks == ATTACKS - found_more.sum() + 1
    assert comparison.gain.value == pytest.approx(0.3, abs=0.01)
    assert comparison.gain.low < 0
    assert not copied.is_better


def test_the_more_challengers_there_are_the_surer_a_gain_must_be() -> None:
    alone, many = (
        apply_gate([paired(0.6, 0.62)], GateOptions(challengers=count)).comparisons[0].gain
        for count in (1, 20)
    )
    assert alone.value == many.value
    assert many.low < alone.low


def test_one_that_loses_a_family_is_refused_however_much_it_finds_of_another() -> None:
    champion = paired(0.5, 0.5)
    is_probe = champion.group == "Probe"
    found = np.where(is_probe, 0.0, np.where(champion.is_attack, 9.0, champion.champion))
    result = apply_gate([replace(champion, challenger=found)], OPTIONS)
    assert not check(result, "families")
    assert "it loses attacks of a family on the latest labelled batches: Probe" in (
        next(one.says for one in result.checks if one.name == "families")
    )


@pytest.mark.parametrize(("rows", "is_compared"), [(9, False), (20, True)])
def test_a_family_of_a_few_rows_is_not_compared(
    rows: int,
    is_compared: bool,  # noqa: FBT001
) -> None:
    both = paired(0.5, 0.9)
    few = np.where(np.arange(len(both.group)) < NORMALS + 2 * rows, both.group, "")
    comparison = compare_models(replace(both, group=few), seed=1)
    assert set(comparison.families) == ({"DoS", "Probe"} if is_compared else set())


def test_a_small_family_that_is_lost_whole_is_refused() -> None:
    pair = paired(0.6, 0.9)
    of_u2r = np.arange(len(pair.group)) - NORMALS
    of_u2r = (of_u2r >= 0) & (of_u2r < 20)
    group = np.where(of_u2r, "U2R", pair.group)
    lost = replace(pair, group=group, challenger=np.where(of_u2r, 0.0, pair.challenger))
    result = apply_gate([lost], OPTIONS)
    assert check(result, "gain")
    assert not check(result, "families")


def only_normal(pair: ComparisonRows) -> ComparisonRows:
    return keep_rows(pair, ~pair.is_attack)


def test_a_night_without_attacks_cannot_count_for_a_challenger() -> None:
    only = only_normal(paired(0.5, 0.9))
    assert compare_models(only, seed=1).gain is None
    assert not apply_gate([only], OPTIONS).is_better


def test_a_night_without_attacks_counts_against_one_that_flags_it() -> None:
    night = only_normal(replace(paired(0.5, 0.9), is_flagged_by_challenger=flagged(0.5)))
    better = paired(0.5, 0.9, "held_out_families")
    assert apply_gate([better], OPTIONS).is_better
    result = apply_gate([better, night], OPTIONS)
    assert not check(result, "false positives")
    assert not result.is_better


def test_equal_models_do_not_differ_and_results_repeat() -> None:
    rows = [paired(0.6, 0.6), paired(0.6, 0.7, "held_out_families")]
    comparison = compare_models(rows[0], seed=1)
    assert (comparison.gain.low, comparison.gain.value, comparison.gain.high) == (0, 0, 0)
    assert apply_gate(rows, OPTIONS) == apply_gate(rows, OPTIONS)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_detection_is_the_share_found_above_one_percent_of_the_normals(seed: int) -> None:
    random = np.random.default_rng(seed)
    is_attack = np.arange(700) >= 500
    scores = random.normal(0, 1, 700) + 2 * is_attack
    rows = ComparisonRows(
        source="labelled_batches",
        is_attack=is_attack,
        group=np.full(700, ""),
        champion=scores,
        challenger=random.normal(0, 1, 700),
        is_flagged_by_champion=is_attack,
        is_flagged_by_challenger=is_attack,
    )
    slowly = sorted(scores[~is_attack], reverse=True)[int(MATCHED_RATE * 500)]
    found = sum(score > slowly for score in scores[is_attack]) / 200
    assert compare_models(rows, seed=1).champion == pytest.approx(found)


def test_an_interval_is_as_wide_as_chance() -> None:
    # 60 % and 70 % of 400 attacks, the same ones: the difference has a standard error of
    # sqrt(.1 * .9 / 400), and the interval is 3.92 of those.
    gain = compare_models(paired(0.6, 0.7), seed=2).gain
    assert gain.value == pytest.approx(0.1, abs=0.005)
    assert gain.high - gain.low == pytest.approx(3.92 * np.sqrt(0.1 * 0.9 / 400), rel=0.25)


NAMES = ("DoS", "Probe", "R2L")
FAMILY_ROWS = 200


def held_out_frame(known: float, novel: float, held_out: tuple[str, ...] = NAMES) -> pl.DataFrame:
    """Three thousand normals below 1, and 200 attacks of each family.

    One share of the attacks is found by fits on their family, another by fits without it.
    """
    families = [name for name in NAMES for _ in range(FAMILY_ROWS)]
    place = np.tile(np.arange(FAMILY_ROWS), len(NAMES))
    noise = np.random.default_rng(1).random(3_000)
    is_found, is_new = (place < share * FAMILY_ROWS for share in (known, novel))
    quiet = [False] * 3_000
    is_novel = [name in held_out for name in families]
    novel_flags = [bool(new) if one else None for new, one in zip(is_new, is_novel, strict=True)]
    return pl.DataFrame(
        {
            "is_attack": [*quiet, *([True] * len(families))],
            "kind": [*([""] * 3_000), *families],
            "known_score": [*noise, *np.where(is_found, 5.0, 0.1)],
            "novel_score": [
                *([None] * 3_000),
                *((5.0 if new else 0.1) if one else None
                  for new, one in zip(is_new, is_novel, strict=True)),
            ],
            "flagged_default": [*quiet, *is_found],
            "flagged_low_alert": [*quiet, *is_found],
            "novel_flagged_default": [*([None] * 3_000), *novel_flags],
            "novel_flagged_low_alert": [*([None] * 3_000), *novel_flags],
            "alike": range(3_000 + len(families)),
        },
        schema=HELD_OUT_SCHEMA,
    )  # fmt: skip


def join(
    champion: pl.DataFrame, challenger: pl.DataFrame, point: str = "default", **more: object
) -> list[ComparisonRows]:
    tables = HeldOutTable.from_frame(champion), HeldOutTable.from_frame(challenger)
    return join_held_out_scores(*tables, point, "family", **more)


def evaluate(champion: tuple[float, float], challenger: tuple[float, float]) -> GateResult:
    """Apply the gate to two fits, each given by its shares of known and novel attacks found."""
    pairs = join(held_out_frame(*champion), held_out_frame(*challenger))
    return apply_gate(pairs, OPTIONS)


def test_held_out_scores_are_joined_beside_a_random_split() -> None:
    result = evaluate((1.0, 0.2), (1.0, 0.9))
    held_out, split = result.comparisons
    assert (held_out.source, split.source) == ("held_out_families", "random_split")
    assert (held_out.champion, held_out.challenger) == pytest.approx((0.2, 0.9))
    assert set(held_out.families) == set(NAMES)
    assert split.gain.value == 0
    assert result.is_better
    assert result.reason.startswith("it finds more on attacks held out by family")


@pytest.mark.parametrize("novel", [0.6, 0.57, 0.56])
def test_one_that_is_better_on_what_is_known_only_is_refused(novel: float) -> None:
    result = evaluate((0.9, 0.6), (1.0, novel))
    held_out, split = result.comparisons
    assert split.gain.low > 0.05, "it flatters"
    assert held_out.gain.low <= 0
    assert not result.is_better
    assert not check(result, "gain")
    assert "It is better on a random split only, which does not count." in result.reason


def test_one_that_loses_known_attacks_is_refused_however_many_new_ones_it_finds() -> None:
    assert evaluate((1.0, 0.5), (0.995, 0.9)).is_better
    result = evaluate((1.0, 0.5), (0.95, 0.9))
    assert check(result, "gain")
    assert not check(result, "no loss")
    assert not result.is_better


def test_a_family_too_rare_to_be_held_out_is_not_lost_either() -> None:
    rare = pl.int_range(pl.len()) >= 3_000 + 2 * FAMILY_ROWS
    few = pl.int_range(pl.len()) < 3_000 + 2 * FAMILY_ROWS + 15
    before, after = (
        held_out_frame(1.0, novel, held_out=("DoS", "Probe")).filter(few) for novel in (0.5, 0.9)
    )
    assert apply_gate(join(before, after), OPTIONS).is_better
    without = after.with_columns(
        pl.when(rare).then(0.1).otherwise("known_score").alias("known_score"),
        pl.when(rare)
        .then(pl.lit(value=False))
        .otherwise("flagged_default")
        .alias("flagged_default"),
    )
    result = apply_gate(join(before, without), OPTIONS)
    assert not check(result, "families")
    assert not result.is_better


def test_where_no_group_was_held_out_there_is_a_split_only() -> None:
    table = held_out_frame(1.0, 1.0, held_out=())
    (only,) = join(table, table)
    assert only.source == "random_split"


def test_a_rate_of_the_settings_applies_to_both_models() -> None:
    tables = held_out_frame(1.0, 0.5), held_out_frame(1.0, 1.0)
    asked = [
        one.with_columns(
            flagged_default=pl.col("known_score") > 0.5,
            novel_flagged_default=pl.col("novel_score") > 0.05,
        )
        for one in tables
    ]
    held_out, split = join(*asked, "low_alert", rate=0.01)
    assert split.is_flagged_by_champion[:3_000].sum() == pytest.approx(30, abs=1)
    # Attacks that score .1 are above the default threshold, and not above the hundredth normal.
    assert held_out.is_flagged_by_champion[3_000:].mean() == 0.5
    assert held_out.is_flagged_by_challenger[3_000:].all()


def test_fits_on_other_rows_are_not_compared() -> None:
    table = held_out_frame(1.0, 1.0)
    with pytest.raises(TrainingDataError, match="not fitted on the same rows"):
        join(table, table.reverse())
