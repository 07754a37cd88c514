"""Thresholds of a night by rate and by budget, and the note on a rate far from its target."""

from datetime import date

import numpy as np
import pytest

from expectations.errors import UsageError
from storage.nights import EarlierNight
from tasks.detectors.model_card import ModelCard
from tasks.detectors.tails import Tail
from tasks.detectors.thresholds import Thresholds
from tasks.evaluation.labels import LabelledCounts
from tasks.evaluation.operating_points import (
    choose_threshold,
    describe_rate_deviation,
)
from tasks.training.threshold_choice import LOW_ALERT_RATE, UNLABELLED_RATE, choose_thresholds

NORMAL = np.random.default_rng(5).exponential(1.0, 10_000)
CARD = ModelCard(
    contract="nsl_kdd",
    thresholds=Thresholds(
        default=2.0, low_alert=6.0, default_rate=0.13, low_alert_rate=0.002,
        normal=Tail.fit(NORMAL),
    ),
)  # fmt: skip


def earlier_night(rows: int, score: float | None) -> EarlierNight:
    """Make a night before, of any date."""
    return EarlierNight(night=date(2026, 11, 20), rows=rows, score=score)


def test_without_a_rate_or_budget_the_thresholds_are_the_models_own() -> None:
    for name, threshold, rate in (("default", 2.0, 0.13), ("low_alert", 6.0, 0.002)):
        choice = choose_threshold(CARD, name)
        assert (choice.threshold, choice.target_flag_rate) == (threshold, rate)


@pytest.mark.parametrize("rate", [0.05, 0.01, 0.001])
def test_a_rate_is_kept_on_the_held_out_normals(rate: float) -> None:
    choice = choose_threshold(CARD, "low_alert", rate=rate)
    assert choice.target_flag_rate == rate
    assert (choice.threshold < NORMAL).mean() == pytest.approx(rate, rel=0.25)


def test_a_rate_beyond_the_data_is_extrapolated() -> None:
    choice = choose_threshold(CARD, "low_alert", rate=1e-6)
    assert choice.threshold == pytest.approx(-np.log(1e-6), rel=0.2)


def test_low_alert_is_never_below_default() -> None:
    assert choose_threshold(CARD, "low_alert", rate=0.4).threshold == 2.0
    nights = [earlier_night(1_000, 1.5)]
    assert choose_threshold(CARD, "low_alert", budget=10, nights=nights).threshold == 2.0


@pytest.mark.parametrize(
    ("scores", "threshold"),
    [
        ((3.0, 9.0, 4.0), 4.0),  # the night of an attack does not hide the next
        ((3.0, 9.0, 4.0, 5.0, 3.5), 5.0),
        ((3.0, 9.0), 9.0),  # of two the louder may be the usual one
        ((3.0,), 3.0),
        ((3.0, None, None), 3.0),  # scored by another model
    ],
)
def test_a_budget_would_have_been_kept_on_all_nights_but_the_one_with_most_alerts(
    scores: tuple[float | None, ...], threshold: float
) -> None:
    nights = [earlier_night(900 + 100 * index, score) for index, score in enumerate(scores)]
    choice = choose_threshold(CARD, "low_alert", budget=10, nights=nights)
    assert choice.threshold == threshold
    assert choice.target_flag_rate == 10 / np.median([night.rows for night in nights])
    assert choice.budget == 10


def test_nights_of_another_model_give_the_number_of_connections_only() -> None:
    choice = choose_threshold(CARD, "low_alert", budget=10, nights=[earlier_night(1_000, None)])
    by_rate = choose_threshold(CARD, "low_alert", rate=0.01)
    assert (choice.threshold, choice.target_flag_rate) == (by_rate.threshold, 0.01)


def test_the_first_night_has_the_models_own_threshold() -> None:
    assert choose_threshold(CARD, "low_alert", budget=10).threshold == 6.0


def test_a_budget_and_a_rate_are_for_low_alert_only() -> None:
    nights = [earlier_night(1_000, 9.0)]
    assert choose_threshold(CARD, "default", rate=0.01, budget=10, nights=nights).threshold == 2.0


def test_a_model_of_an_earlier_version_refuses_a_rate() -> None:
    old = ModelCard(contract="nsl_kdd", thresholds=Thresholds(default=2.0, low_alert=6.0))
    assert choose_threshold(old, "low_alert").target_flag_rate is None
    with pytest.raises(UsageError, match=r"an earlier version of Noctule.*Train again"):
        choose_threshold(old, "low_alert", rate=0.01)


def test_thresholds_keep_the_rates_they_were_chosen_with() -> None:
    attacks = np.random.default_rng(6).normal(12, 1, 500)
    chosen = choose_thresholds(NORMAL, attacks, {})
    assert chosen.default_rate == (chosen.default < NORMAL).mean()
    assert chosen.low_alert_rate == min(LOW_ALERT_RATE, chosen.default_rate)
    assert (chosen.low_alert < NORMAL).mean() <= LOW_ALERT_RATE


def test_the_models_own_rate_gives_its_own_threshold() -> None:
    attacks = np.random.default_rng(6).normal(9, 3, 500)
    chosen = choose_thresholds(NORMAL, attacks, {})
    card = ModelCard(contract="nsl_kdd", thresholds=chosen)
    asked = choose_threshold(card, "low_alert", rate=LOW_ALERT_RATE)
    assert (asked.threshold, asked.target_flag_rate) == (chosen.low_alert, chosen.low_alert_rate)
    rarer = choose_threshold(card, "low_alert", rate=LOW_ALERT_RATE / 5)
    assert (rarer.threshold < NORMAL).sum() <= LOW_ALERT_RATE / 5 * len(NORMAL)
    assert choose_threshold(card, "low_alert", rate=1e-7).threshold > NORMAL.max()


def test_where_default_is_higher_its_rate_is_the_target() -> None:
    choice = choose_threshold(CARD, "low_alert", rate=0.4)
    assert (choice.threshold, choice.target_flag_rate) == (2.0, 0.13)


def test_without_attacks_the_threshold_is_a_rate() -> None:
    chosen = choose_thresholds(NORMAL, np.zeros(0), {})
    assert chosen.default_rate == pytest.approx(UNLABELLED_RATE, abs=1e-4)
    assert chosen.low_alert > chosen.default


@pytest.mark.parametrize(
    ("target", "flagged", "rows", "says"),
    [
        (0.01, 100, 10_000, None),
        (0.01, 290, 10_000, None),
        (0.01, 700, 10_000, "flagged 7.00% of all; the target of low_alert is 1.00%: attacks, or"),
        (0.01, 10, 10_000, "flagged 0.10% of all; the target of low_alert is 1.00%: traffic that"),
        (0.01, 2, 20, None),  # chance
        (0.0002, 29, 10_000, "flagged 0.29% of all; the target of low_alert is 0.02%: attacks"),
        (None, 10_000, 10_000, None),
    ],
)
def test_a_rate_far_from_its_target_is_reported(
    target: float | None, flagged: int, rows: int, says: str | None
) -> None:
    said = describe_rate_deviation("low_alert", target, flagged, rows)
    assert (said is None) if says is None else (said or "").startswith(says)


def test_a_target_of_zero_allows_a_few_alerts() -> None:
    assert describe_rate_deviation("default", 0.0, 5, 10_000) is None
    assert describe_rate_deviation("default", 0.0, 100, 10_000) is not None


def test_the_usual_rate_is_not_reported_every_night() -> None:
    assert describe_rate_deviation("default", 0.003, 650, 10_000) is not None, "the first night"
    assert describe_rate_deviation("default", 0.003, 650, 10_000, usual=0.06) is None
    said = describe_rate_deviation("default", 0.003, 2_500, 10_000, usual=0.06)
    assert said == (
        "flagged 25.00% of all; the target of default is 0.30%, and 6.00% is usual: attacks, or "
        "traffic that has changed since training"
    )
    assert describe_rate_deviation("low_alert", 0.01, 1, 10_000, usual=0.06) is not None, (
        "below target"
    )


def test_a_night_above_its_budget_is_reported() -> None:
    assert describe_rate_deviation("low_alert", 0.01, 20, 3_000, budget=20) is None
    assert describe_rate_deviation("low_alert", 0.01, 1, 3_000, budget=20) is None
    said = describe_rate_deviation("low_alert", 0.01, 21, 3_000, budget=20)
    assert said is not None
    assert said.startswith("flagged 21 connections, more than the budget of 20 for a night")


def test_with_labels_false_positives_are_compared_and_attacks_do_not_count() -> None:
    flood = LabelledCounts(normal=9_000, attack=1_000, flagged_normal=90, flagged_attack=1_000)
    assert describe_rate_deviation("default", 0.01, 1_090, 10_000, flood) is None
    changed = flood.model_copy(update={"flagged_normal": 900})
    said = describe_rate_deviation("default", 0.01, 1_900, 10_000, changed)
    assert said == (
        "flagged 10.00% of 9,000 connections labelled normal; the target of default is 1.00%: "
        "normal traffic has changed since training, or its labels are wrong"
    )
