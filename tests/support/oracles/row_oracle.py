"""An oracle in plain Python for one row: the expectations of the NSL-KDD contract that it fails.

Belongs here: the same result as ``tasks.validation.row_checks``, computed value by value. Does not
belong here: parsing the values of a row (see ``file_oracle``).

The declarations of single columns come from the contract. The rules between columns are written
again, so that a mistake in the contract's expressions is found.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from expectations.suites import BETWEEN, IN_SET, NOT_NULL
from tests.support.sources import NSL_KDD

Row = Mapping[str, Any]
"""A row's values by declared column; None where it has none."""

Broken = Callable[[Row], bool]

ICMP_SERVICES: Final = frozenset({"eco_i", "ecr_i", "red_i", "tim_i", "urh_i", "urp_i"})
UDP_SERVICES: Final = frozenset({"domain_u", "ntp_u", "tftp_u"})
PORT_SERVICES: Final = frozenset(NSL_KDD.by_name["service"].values or ()) - ICMP_SERVICES
TCP_SERVICES: Final = PORT_SERVICES - UDP_SERVICES - {"other", "private"}
RATE_SUM: Final = 1.01 + 1e-9
"""Largest sum of two shares of one window, each rounded to two decimals."""


def failed_checks(row: Row) -> set[tuple[str, str]]:
    """Return what a row fails: pairs of a column, or the name of a rule, and the expectation.

    Columns that the row lacks, and rules over such columns, are skipped.
    """
    failed = set()
    for name, value in row.items():
        expectation = _failed_check(name, value)
        if expectation is not None:
            failed.add((name, expectation))
    asked = (name for name, columns in _RULE_COLUMNS.items() if columns <= row.keys())
    return failed | {(name, IN_SET) for name in asked if RULES[name](row)}


def failed_required(row: Row) -> set[tuple[str, str]]:
    """Return the failed expectations for which a row is quarantined."""
    return {
        (name, expectation)
        for name, expectation in failed_checks(row)
        if _SEVERITY[name] == "required"
        or (expectation == NOT_NULL and NSL_KDD.by_name[name].role == "feature")
    }


def is_missing(value: object) -> bool:
    """Tell whether a cell is null or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


@lru_cache(maxsize=100_000)
def _failed_check(name: str, value: str | float | None) -> str | None:
    """Return the expectation that a single value fails."""
    column = NSL_KDD.by_name[name]
    if is_missing(value):
        return None if column.nullable else NOT_NULL
    if column.values is not None:
        return None if value in column.values else IN_SET
    low = -math.inf if column.minimum is None else column.minimum
    high = math.inf if column.maximum is None else column.maximum
    assert not isinstance(value, str | None)
    return None if low <= value <= high else BETWEEN


def _is_other(value: object, expected: object) -> bool:
    return not is_missing(value) and value != expected


def _is_any_above(row: Row, limit: float, *columns: str) -> bool:
    return any(not is_missing(row[name]) and row[name] > limit for name in columns)


def _overlap(first: str, second: str) -> Broken:
    """Return a rule that is broken if two shares of one window add up to more than 1."""
    return lambda row: (
        not is_missing(row[first])
        and not is_missing(row[second])
        and not row[first] + row[second] <= RATE_SUM
    )


def _exceed(rate: str, count: str, service_count: str) -> Broken:
    """Return a rule that is broken if more connections share host and service than the service."""
    return lambda row: (
        not any(map(is_missing, (row[rate], row[count], row[service_count])))
        and not (row[rate] - 0.005) * row[count] <= row[service_count] + 1e-9
    )


def _without_login(*columns: str) -> Broken:
    return lambda row: _is_any_above(row, 0, *columns) and _is_other(row["logged_in"], 1)


RULES: Final[Mapping[str, Broken]] = {
    "handshake_states_are_tcp": lambda row: (
        row["protocol_type"] in {"udp", "icmp"} and _is_other(row["flag"], "SF")
    ),
    "icmp_services_are_icmp": lambda row: (
        row["service"] in ICMP_SERVICES and _is_other(row["protocol_type"], "icmp")
    ),
    "icmp_has_no_port_service": lambda row: (
        row["protocol_type"] == "icmp" and row["service"] in PORT_SERVICES
    ),
    "land_has_ports": lambda row: row["land"] == 1 and row["protocol_type"] == "icmp",
    "urgent_is_tcp": lambda row: (
        _is_any_above(row, 0, "urgent") and _is_other(row["protocol_type"], "tcp")
    ),
    "unanswered_has_no_reply_bytes": lambda row: (
        row["flag"] in {"S0", "RSTOS0", "SH"} and _is_other(row["dst_bytes"], 0)
    ),
    "serror_rate_and_rerror_rate_are_disjoint": _overlap("serror_rate", "rerror_rate"),
    "srv_serror_rate_and_srv_rerror_rate_are_disjoint": _overlap(
        "srv_serror_rate", "srv_rerror_rate"
    ),
    "dst_host_serror_rate_and_rerror_rate_are_disjoint": _overlap(
        "dst_host_serror_rate", "dst_host_rerror_rate"
    ),
    "dst_host_srv_serror_rate_and_srv_rerror_rate_are_disjoint": _overlap(
        "dst_host_srv_serror_rate", "dst_host_srv_rerror_rate"
    ),
    "same_srv_rate_within_srv_count": _exceed("same_srv_rate", "count", "srv_count"),
    "dst_host_same_srv_rate_within_dst_host_srv_count": _exceed(
        "dst_host_same_srv_rate", "dst_host_count", "dst_host_srv_count"
    ),
    "udp_service_is_known_for_udp": lambda row: (
        row["protocol_type"] == "udp" and row["service"] in TCP_SERVICES
    ),
    "udp_names_are_udp": lambda row: (
        row["service"] in UDP_SERVICES and _is_other(row["protocol_type"], "udp")
    ),
    "icmp_is_one_message": lambda row: (
        row["protocol_type"] == "icmp"
        and (_is_other(row["duration"], 0) or _is_other(row["dst_bytes"], 0))
    ),
    "rejected_carries_no_data": lambda row: (
        row["flag"] == "REJ" and (_is_other(row["src_bytes"], 0) or _is_other(row["dst_bytes"], 0))
    ),
    "content_is_tcp": lambda row: (
        _is_any_above(row, 0, "hot", "num_failed_logins", "logged_in")
        and _is_other(row["protocol_type"], "tcp")
    ),
    "privilege_needs_login": _without_login("root_shell", "su_attempted", "num_root"),
    "activity_needs_login": _without_login("num_compromised", "num_shells", "num_access_files"),
    "host_or_guest_login": lambda row: row["is_host_login"] == 1 and row["is_guest_login"] == 1,
    "lone_connection_is_its_service": lambda row: (
        row["count"] == 1
        and (_is_other(row["same_srv_rate"], 1) or _is_other(row["diff_srv_rate"], 0))
    ),
    "lone_service_has_one_host": lambda row: (
        row["srv_count"] == 1 and _is_other(row["srv_diff_host_rate"], 0)
    ),
    "windows_hold_the_connection": lambda row: any(
        not is_missing(row[name]) and row[name] < 1
        for name in ("count", "srv_count", "dst_host_count", "dst_host_srv_count")
    ),
    "time_window_within_limit": lambda row: _is_any_above(row, 511, "count", "srv_count"),
    "host_window_within_limit": lambda row: _is_any_above(
        row, 255, "dst_host_count", "dst_host_srv_count"
    ),
}
"""For each rule between columns, whether a row breaks it; a row with missing values does not."""

_RULE_COLUMNS: Final = {rule.name: frozenset(rule.columns) for rule in NSL_KDD.row_rules}
_SEVERITY: Final = {column.name: column.severity for column in NSL_KDD.columns} | {
    rule.name: rule.severity for rule in NSL_KDD.row_rules
}
