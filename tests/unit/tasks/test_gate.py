"""The gate: what is surely better passes, and nothing that only looks so."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.gate import GateOptions, judge
from tasks.judgement import EVIDENCE_SCHEMA
from tasks.paired import MATCHED_RATE, PairedScores, compare, pair_held_out

OPTIONS = GateOptions()
NORMALS, ATTACKS = 2_000, 400


def paired(
    champion: float, challenger: float, source: str = "labelled_batches", **more: object
) -> PairedScores:
    """Rows of which each model finds a share of the attacks: those score 9, all others below 1."""
    noise = np.random.default_rng(3).random(NORMALS + ATTACKS)
    is_attack = np.arange(NORMALS + ATTACKS) >= NORMALS
    place = np.cumsum(is_attack) - 1

    def found(share: float) -> np.ndarray:
        return np.where(is_attack & (place < share * ATTACKS), 9.0, noise * 0.5)

    return PairedScores(
        source=source,
        is_attack=is_attack,
        group=np.where(is_attack, np.where(place % 2 == 0, "DoS", "Probe"), ""),
        champion=found(champion),
        challenger=found(challenger),
        **more,
    )


def check(verdict: object, name: str) -> bool:
    (found,) = [one.is_passed for one in verdict.checks if one.name == name]
    return found


def test_one_that_finds_more_on_every_evidence_passes() -> None:
    verdict = judge([paired(0.6, 0.9), paired(0.5, 0.7, "held_out_families")], OPTIONS)
    assert verdict.is_better
    assert verdict.reason.startswith("it finds more on the latest labelled batches: 90.")
    assert verdict.surest_gain > 0.2


@pytest.mark.parametrize("challenger", [0.6, 0.601, 0.4])
def test_one_that_is_no_better_or_worse_is_refused(challenger: float) -> None:
    verdict = judge([paired(0.6, challenger)], OPTIONS)
    assert not verdict.is_better
    assert not check(verdict, "gain")


def test_a_gain_within_the_margin_is_none() -> None:
    evidence = [paired(0.6, 0.7)]
    assert judge(evidence, GateOptions(margin=0.05)).is_better
    assert not judge(evidence, GateOptions(margin=0.12)).is_better


def test_one_that_is_better_on_a_random_split_only_is_refused_and_that_is_said() -> None:
    verdict = judge(
        [paired(0.6, 0.99, "random_split"), paired(0.6, 0.6, "held_out_families")], OPTIONS
    )
    assert not verdict.is_better
    assert "It is better on a random split only, which does not count." in verdict.reason


@pytest.mark.parametrize(
    ("evidence", "says"),
    [
        ([paired(0.2, 0.99, "random_split")], "there is only a random split to judge it by"),
        ([], "there is nothing to judge it by"),
    ],
)
def test_a_random_split_alone_never_decides(evidence: list[PairedScores], says: str) -> None:
    verdict = judge(evidence, OPTIONS)
    assert not verdict.is_better
    assert says in verdict.reason


def test_one_that_finds_fewer_elsewhere_is_refused() -> None:
    verdict = judge([paired(0.6, 0.9), paired(0.7, 0.6, "held_out_families")], OPTIONS)
    assert check(verdict, "gain")
    assert not check(verdict, "no loss")
    assert not verdict.is_better
    assert "finds fewer attacks on attacks held out by family" in verdict.reason


def flagged(share_of_normals: float) -> np.ndarray:
    flags = np.zeros(NORMALS + ATTACKS, dtype=np.bool_)
    flags[: round(share_of_normals * NORMALS)] = True
    return flags


@pytest.mark.parametrize(("rate", "passes"), [(0.02, False), (0.0105, True), (0.001, True)])
def test_one_that_flags_more_normals_is_refused(rate: float, passes: bool) -> None:  # noqa: FBT001
    evidence = paired(
        0.6, 0.9, is_flagged_by_champion=flagged(0.01), is_flagged_by_challenger=flagged(rate)
    )
    verdict = judge([evidence], OPTIONS)
    assert check(verdict, "false positives") is passes
    assert verdict.is_better is passes


def test_one_that_loses_a_family_is_refused_however_much_it_finds_of_another() -> None:
    champion = paired(0.5, 0.5)
    is_probe = champion.group == "Probe"
    found = np.where(is_probe, 0.0, np.where(champion.is_attack, 9.0, champion.champion))
    verdict = judge([replace(champion, challenger=found)], OPTIONS)
    assert not check(verdict, "families")
    assert "it loses attacks of a family on the latest labelled batches: Probe" in (
        next(one.says for one in verdict.checks if one.name == "families")
    )


def test_a_family_of_a_few_rows_is_not_compared() -> None:
    evidence = paired(0.5, 0.9)
    few = np.where(np.arange(len(evidence.group)) < NORMALS + 58, evidence.group, "")
    comparison = compare(replace(evidence, group=few), seed=1)
    assert comparison.families == {}


def test_batches_of_one_class_are_no_evidence() -> None:
    evidence = paired(0.5, 0.9)
    normal = ~evidence.is_attack
    only = replace(
        evidence,
        is_attack=evidence.is_attack[normal],
        group=evidence.group[normal],
        champion=evidence.champion[normal],
        challenger=evidence.challenger[normal],
    )
    assert compare(only, seed=1).gain is None
    assert not judge([only], OPTIONS).is_better


def test_equal_models_differ_by_nothing_and_verdicts_repeat() -> None:
    evidence = [paired(0.6, 0.6), paired(0.6, 0.7, "held_out_families")]
    comparison = compare(evidence[0], seed=1)
    assert (comparison.gain.low, comparison.gain.value, comparison.gain.high) == (0, 0, 0)
    assert judge(evidence, OPTIONS) == judge(evidence, OPTIONS)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_detection_is_the_share_found_above_one_percent_of_the_normals(seed: int) -> None:
    random = np.random.default_rng(seed)
    is_attack = np.arange(700) >= 500
    scores = random.normal(0, 1, 700) + 2 * is_attack
    evidence = PairedScores(
        "labelled_batches", is_attack, np.full(700, ""), scores, random.normal(0, 1, 700)
    )
    slowly = sorted(scores[~is_attack], reverse=True)[int(MATCHED_RATE * 500)]
    found = sum(score > slowly for score in scores[is_attack]) / 200
    assert compare(evidence, seed=1).champion == pytest.approx(found)


def test_an_interval_is_as_wide_as_chance() -> None:
    # 60 % and 70 % of 400 attacks, the same ones: the difference has a standard error of
    # sqrt(.1 * .9 / 400), and the interval is 3.92 of those.
    gain = compare(paired(0.6, 0.7), seed=2).gain
    assert gain.value == pytest.approx(0.1, abs=0.005)
    assert gain.high - gain.low == pytest.approx(3.92 * np.sqrt(0.1 * 0.9 / 400), rel=0.25)


def evidence_table(kind: str, novel: float | None, known: float = 5.0) -> pl.DataFrame:
    """A thousand normals below 1, and a hundred attacks of a kind."""
    rows = 1_100
    is_attack = [index >= 1_000 for index in range(rows)]
    return pl.DataFrame(
        {
            "is_attack": is_attack,
            "kind": [kind if one else "" for one in is_attack],
            "known_score": [known if one else index / 1_000 for index, one in enumerate(is_attack)],
            "novel_score": [novel if one else None for one in is_attack],
            "flagged_default": is_attack,
            "flagged_low_alert": is_attack,
        },
        schema=EVIDENCE_SCHEMA,
    )


def test_held_out_scores_are_paired_and_a_split_stands_beside() -> None:
    held_out, split = pair_held_out(
        evidence_table("DoS", 0.1), evidence_table("DoS", 5.0), "default"
    )
    assert (held_out.source, split.source) == ("held_out_families", "random_split")
    comparison = compare(held_out, seed=1)
    # Three in ten of the attacks are novel: none or all of those are found.
    assert (comparison.champion, comparison.challenger) == pytest.approx((0.7, 1.0))
    assert comparison.families["DoS"].value == 1
    assert compare(split, seed=1).gain.value == 0


def test_where_no_kind_was_held_out_there_is_a_split_only() -> None:
    (only,) = pair_held_out(evidence_table("", None), evidence_table("", None), "default")
    assert only.source == "random_split"
