"""Why a row failed, in words."""

from typing import Any

import polars as pl

from expectations.contract import Column, Contract
from expectations.suites import BETWEEN, IN_SET, NOT_NULL, row_expectations
from tasks.intake.reasons import VALUE_CHARACTERS, describe_failures
from tests.support.sources import NSL_KDD

OPEN = Contract(
    name="open",
    title="Open",
    source="none",
    columns=(
        Column(name="speed", kind="number", meaning=""),
        Column(name="depth", kind="number", maximum=5, meaning=""),
    ),
)


def words(
    column: str, expectation: str, values: list[Any], contract: Contract = NSL_KDD
) -> list[str]:
    check = next(
        check
        for check in row_expectations(contract, contract.by_name)
        if (check.column, check.expectation) == (column, expectation)
    )
    rows = pl.DataFrame({column: pl.Series(values, dtype=contract.schema[column])})
    return describe_failures(contract, check, rows)["reason"].to_list()


def test_a_value_outside_its_range_is_told_with_the_side() -> None:
    assert words("serror_rate", BETWEEN, [1.7, -0.25, float("inf")]) == [
        "serror_rate: 1.7 is above 1",
        "serror_rate: -0.25 is below 0",
        "serror_rate: inf is above 1",
    ]
    assert words("count", BETWEEN, [-3]) == ["count: -3 is below 0"]


def test_a_missing_value_is_told_from_one_that_is_no_number() -> None:
    assert words("serror_rate", NOT_NULL, [None, float("nan")]) == [
        "serror_rate: no value",
        "serror_rate: NaN is not a number",
    ]
    assert words("flag", NOT_NULL, [None]) == ["flag: no value"]


def test_infinity_past_an_open_end_is_told_as_such() -> None:
    infinities = [float("inf"), float("-inf")]
    assert words("speed", BETWEEN, infinities, OPEN) == [
        "speed: inf is not finite",
        "speed: -inf is not finite",
    ]
    assert words("depth", BETWEEN, infinities, OPEN) == [
        "depth: inf is above 5",
        "depth: -inf is not finite",
    ]


def test_an_unknown_name_is_quoted_with_the_known_ones() -> None:
    assert words("protocol_type", IN_SET, ["sctp", "TCP"]) == [
        "protocol_type: 'sctp' is not one of icmp, tcp, udp",
        "protocol_type: 'TCP' is not one of icmp, tcp, udp",
    ]
    assert words("land", IN_SET, [2]) == ["land: 2 is not one of 0, 1"]


def test_a_long_domain_is_counted() -> None:
    assert words("service", IN_SET, ["gopher2"]) == [
        "service: 'gopher2' is not one of the 70 known values"
    ]


def test_hostile_names_are_escaped_and_cut() -> None:
    first, second = words("protocol_type", IN_SET, ["tcp\x00\x1b[31m", "y" * 500])
    assert first.startswith(r"protocol_type: 'tcp\x00\x1b[31m' is")
    assert f"'{'y' * VALUE_CHARACTERS}'..." in second


def test_a_broken_rule_names_the_values_that_contradict_each_other() -> None:
    check = next(
        check
        for check in row_expectations(NSL_KDD, NSL_KDD.by_name)
        if check.column == "handshake_states_are_tcp"
    )
    rows = pl.DataFrame({"protocol_type": ["udp"], "flag": ["REJ"], "count": [3]})
    told = describe_failures(NSL_KDD, check, rows)
    assert told.to_dicts() == [
        {
            "observed": "protocol_type 'udp', flag 'REJ'",
            "reason": "protocol_type 'udp', flag 'REJ': udp and icmp have no handshake, "
            "so their flag is SF",
        }
    ]


def test_the_order_of_the_rows_is_kept() -> None:
    values = [-1, -5, -1, -3]
    assert words("count", BETWEEN, values) == [f"count: {value} is below 0" for value in values]


def test_names_that_python_wrote_as_bytes_are_told() -> None:
    as_bytes, in_capitals = words("protocol_type", IN_SET, ["b'tcp'", "TCP"])
    assert as_bytes.endswith(
        "is not one of icmp, tcp, udp: it is what Python shows of bytes; write the name without b"
        " and quotes"
    )
    assert in_capitals == "protocol_type: 'TCP' is not one of icmp, tcp, udp"
