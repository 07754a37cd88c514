"""A tail gives how rarely normals reach a score, and orders scores above all normals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.detectors.tails import Tail

HELD_OUT = np.random.default_rng(3).normal(-8, 2, 5_000)


def survival_slowly(held_out: np.ndarray, score: float) -> float:
    return sum(1 for value in held_out if value >= score) / len(held_out)


@pytest.mark.parametrize("score", [-10.0, -8.0, -6.0, -4.5])
def test_decades_agree_with_counting_held_out_normals(score: float) -> None:
    decades = Tail.fit(HELD_OUT).decades(np.array([score]))[0]
    assert decades == pytest.approx(-np.log10(survival_slowly(HELD_OUT, score)), abs=0.02)


@given(st.lists(st.floats(-60, 60, width=32), min_size=2, max_size=30, unique=True))
def test_a_higher_score_is_always_more_surprising(scores: list[float]) -> None:
    ordered = np.sort(np.array(scores))
    apart = ordered[np.insert(np.diff(ordered) > 1e-6, 0, values=True)]
    decades = Tail.fit(HELD_OUT).decades(apart)
    assert (np.diff(decades) > 0).all()
    assert (decades > 0).all()


def test_scores_beyond_the_last_held_out_normal_do_not_tie() -> None:
    top = HELD_OUT.max()
    decades = Tail.fit(HELD_OUT).decades(np.array([top, top + 1, top + 10, top + 10.001]))
    assert (np.diff(decades) > 0).all()
    assert decades[0] > 3


def test_an_exponential_tail_is_extrapolated_at_its_own_rate() -> None:
    held_out = np.random.default_rng(0).exponential(2.0, 50_000)
    decades = Tail.fit(held_out).decades(np.array([40.0]))[0]
    assert decades == pytest.approx(40.0 / 2.0 / np.log(10), rel=0.1)


def test_a_power_law_is_extrapolated_on_a_logarithmic_scale() -> None:
    held_out = np.random.default_rng(0).pareto(1.5, 50_000) + 1
    decades = Tail.fit(held_out, is_logarithmic=True).decades(np.array([1e6]))[0]
    assert decades == pytest.approx(1.5 * 6, rel=0.1)


@pytest.mark.parametrize("held_out", [[1.0, 1.0, 1.0], [1.0, 2.0], [1.0] * 50 + [3.0]])
def test_few_or_equal_held_out_scores_still_give_an_order(held_out: list[float]) -> None:
    decades = Tail.fit(np.array(held_out)).decades(np.array([-5.0, 0.0, 1.0, 2.0, 3.0, 9.0]))
    assert (np.diff(decades) > 0).all()
    assert np.isfinite(decades).all()


def test_a_tail_does_not_depend_on_how_scores_are_chunked() -> None:
    tail = Tail.fit(np.exp(HELD_OUT), is_logarithmic=True)
    scores = np.exp(np.random.default_rng(5).normal(-8, 4, 500))
    one_by_one = np.concatenate([tail.decades(scores[index : index + 1]) for index in range(500)])
    assert tail.decades(scores).tobytes() == one_by_one.tobytes()


def test_the_state_survives_json_unchanged() -> None:
    tail = Tail.fit(HELD_OUT)
    assert Tail.model_validate_json(tail.model_dump_json()) == tail
