"""Patterns in which ``*`` stands for any characters."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.patterns import matches


@pytest.mark.parametrize(
    ("pattern", "fitting", "other"),
    [
        ("Normal", ["Normal"], ["normal", "Normal ", "", "xNormal"]),
        ("DoS*", ["DoS", "DoS Hulk", "DoS*"], ["DDoS", "dos"]),
        ("*Bot*", ["Bot", "flow=From-Botnet-V1"], ["Bo", "B ot"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("a*b*c", ["abc", "a b b c"], ["acb", "ab"]),
        ("*", ["", "x\ny"], []),
        ("a.c(*", ["a.c(", "a.c(d"], ["abc("]),
    ],
)
def test_a_star_is_any_characters(pattern: str, fitting: list[str], other: list[str]) -> None:
    assert [text for text in (*fitting, *other) if matches(pattern, text)] == fitting


@given(st.text("ab*", max_size=6), st.text("ab\n", max_size=8))
def test_a_pattern_fits_as_a_plain_regular_expression_does(pattern: str, text: str) -> None:
    plain = ".*".join(map(re.escape, pattern.split("*")))
    expected = re.fullmatch(plain, text, re.DOTALL) is not None
    assert matches(pattern, text) is expected


@given(st.text(max_size=5))
def test_no_other_character_means_anything(text: str) -> None:
    literal = text.replace("*", "+")
    assert matches(literal, literal)
    assert not matches(literal, f"{literal}x")


def test_many_stars_take_linear_time() -> None:
    began = time.process_time()
    assert not matches("*a" * 5_000 + "b", "a" * 100_000)
    assert time.process_time() - began < 1
