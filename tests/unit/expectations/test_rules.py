"""The language of rules: what a rule may say, and what it can never do."""

import time
from typing import Any

import polars as pl
import pytest

from expectations.rules import RuleError, compile_rule, find_columns, require_conditions

ROWS = pl.DataFrame({
    "count": [1, 2, None, 0],
    "order": [1.5, -2.0, 0.0, None],
    "name": ["SF", "it's", None, "REJ"],
})  # fmt: skip


def evaluate(rule: str) -> list[Any]:
    return ROWS.select(compile_rule(rule).alias("x"))["x"].to_list()


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("count > 1", [False, True, None, False]),
        ("COUNT > 1 or Name = 'SF'".replace("COUNT", "count").replace("Name", "name"),
         [True, True, None, False]),
        ("name in ('SF', 'it''s')", [True, True, None, False]),
        ("name NOT IN ('SF')", [False, True, None, True]),
        ("name IS NULL", [False, False, True, False]),
        ("name LIKE 'S%'", [True, False, None, False]),
        ("count BETWEEN 1 AND 2", [True, True, None, False]),
        ("CASE WHEN count = 1 THEN order > 1 ELSE TRUE END", [True, True, True, True]),
        ('"order" < 0 OR "count" = 1', [True, True, None, None]),
        ("abs(order) >= 2 AND NOT starts_with(name, 'S')", [False, True, False, None]),
        ("least(count, 5) + 1e-9 > 0.5", [True, True, True, False]),
        ("coalesce(count, 7) % 2 = 1", [True, False, True, False]),
        ("length(lower(name)) = 2", [True, False, None, False]),
        ("nullif(count, 0) >= 1", [True, True, None, None]),
        ("count / 4 < 0.3", [True, False, None, True]),
    ],
)  # fmt: skip
def test_a_rule_is_computed_as_in_sql(rule: str, holds: list[bool | None]) -> None:
    assert evaluate(rule) == holds


def test_columns_are_found_in_their_order_and_may_have_the_names_of_words() -> None:
    assert find_columns("b > 1 OR a < b AND upper(\"case\") = 'x y'") == ("b", "a", "case")
    assert find_columns("order > 1 AND count > select") == ("order", "count", "select")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("count(name) > 1", "no function count"),
        ("sum(count) > 1", "no function sum"),
        ("EXTRACT (YEAR FROM name) > 1", "no function EXTRACT"),
        ('"abs"(count) > 1', 'no function "abs"'),
        ("count > (SELECT 1)", "polars cannot read it"),
        ("count > 1 -- and more", "no rule may have '-- and more'"),
        ("count > 1 /* more */", "no rule may have '/* more */'"),
        ("count > 1; DROP TABLE x", "no rule may have '; DROP TABLE x'"),
        ("name = 'a\\'", "no rule may have"),
        ("name = 'a", "no rule may have"),
        ("name ~ '(a*)*b'", "no rule may have"),
        ("count::text = '1'", "no rule may have"),
        ("count > 1 AS x", "polars cannot read it"),
        ("count > 1x", "no rule may have"),
        ("", "a rule has a condition"),
        ("(" * 21 + "count > 1" + ")" * 21, "at most 20 parentheses"),
        ("NOT " * 21 + "count > 1", "at most 20 parentheses"),
        ("CASE WHEN " * 21 + "count > 1" + " THEN TRUE END" * 21, "at most 20 parentheses"),
        (" OR ".join(["count = 1"] * 40), "at most 60 operators"),
        ("count IN (" + "1, " * 2_000 + "1)", "at most 4,000 characters"),
    ],
)
def test_a_rule_of_another_language_is_refused(rule: str, problem: str) -> None:
    with pytest.raises(RuleError) as refused:
        compile_rule(rule)
    assert problem in str(refused.value)


@pytest.mark.parametrize("rule", ["*", "count", "'a'", "count * count", "order + 1"])
def test_what_is_no_condition_is_refused(rule: str) -> None:
    with pytest.raises(RuleError):
        require_conditions(["count > 1", rule], ROWS.schema)


@pytest.mark.parametrize(
    "rule",
    [
        " OR ".join(["count = 1"] * 30),
        "count" + " + count" * 58 + " > 1",
        "(count + " * 19 + "1" + ")" * 19 + " > 1",
        "coalesce(count, " * 19 + "1" + ")" * 19 + " > 1",
        "CASE WHEN " * 19 + "count > 1" + " THEN TRUE ELSE FALSE END" * 19,
        "(NOT " * 9 + "count > 1" + ")" * 9,
        f"count IN ({', '.join(map(str, range(700)))})",
        "greatest(" + "count, " * 500 + "1) > 0",
        "name LIKE '" + "%a" * 1_000 + "'",
    ],
)
def test_the_largest_rules_are_quick(rule: str) -> None:
    began = time.process_time()
    long = pl.DataFrame({"count": [1] * 1_000, "name": ["a" * 500] * 1_000})
    long.select(compile_rule(rule))
    assert time.process_time() - began < 2
