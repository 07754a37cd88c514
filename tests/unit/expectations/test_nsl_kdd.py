"""The NSL-KDD contract: its declarations, and rows that keep and break each rule."""

from typing import Any

import polars as pl
import pytest

from expectations.contract import RowRule
from tests.support.sources import NSL_KDD

WEB_REQUEST: dict[str, Any] = {
    "duration": 0, "protocol_type": "tcp", "service": "http", "flag": "SF", "src_bytes": 232,
    "dst_bytes": 8153, "land": 0, "urgent": 0, "hot": 0, "num_failed_logins": 0, "logged_in": 1,
    "num_compromised": 0, "root_shell": 0, "su_attempted": 0, "num_root": 0, "num_shells": 0,
    "num_access_files": 0, "is_host_login": 0, "is_guest_login": 0, "count": 5, "srv_count": 5,
    "serror_rate": 0.2, "srv_serror_rate": 0.2, "rerror_rate": 0.0, "srv_rerror_rate": 0.0,
    "same_srv_rate": 1.0, "diff_srv_rate": 0.0, "srv_diff_host_rate": 0.0, "dst_host_count": 30,
    "dst_host_srv_count": 255, "dst_host_same_srv_rate": 1.0, "dst_host_serror_rate": 0.03,
    "dst_host_srv_serror_rate": 0.01, "dst_host_rerror_rate": 0.0, "dst_host_srv_rerror_rate": 0.01,
}  # fmt: skip
"""A connection of KDDTrain+, in the columns that rules read."""

COUNTEREXAMPLES: dict[str, dict[str, Any]] = {
    "handshake_states_are_tcp": {"protocol_type": "udp", "flag": "S1", "service": "private"},
    "icmp_services_are_icmp": {"service": "ecr_i"},
    "icmp_has_no_port_service": {"protocol_type": "icmp", "service": "http"},
    "land_has_ports": {"protocol_type": "icmp", "service": "eco_i", "land": 1},
    "urgent_is_tcp": {"protocol_type": "udp", "service": "private", "urgent": 1},
    "unanswered_has_no_reply_bytes": {"flag": "S0", "dst_bytes": 1},
    "serror_rate_and_rerror_rate_are_disjoint": {"serror_rate": 0.6, "rerror_rate": 0.42},
    "srv_serror_rate_and_srv_rerror_rate_are_disjoint": {"srv_rerror_rate": 0.82},
    "dst_host_serror_rate_and_rerror_rate_are_disjoint": {"dst_host_rerror_rate": 0.99},
    "dst_host_srv_serror_rate_and_srv_rerror_rate_are_disjoint": {
        "dst_host_srv_serror_rate": 1.0, "dst_host_srv_rerror_rate": 0.02,
    },
    "same_srv_rate_within_srv_count": {"count": 100, "srv_count": 50, "same_srv_rate": 0.51},
    "dst_host_same_srv_rate_within_dst_host_srv_count": {"dst_host_srv_count": 29},
    "udp_service_is_known_for_udp": {"protocol_type": "udp", "service": "http", "logged_in": 0},
    "udp_names_are_udp": {"service": "domain_u"},
    "icmp_is_one_message": {
        "protocol_type": "icmp", "service": "eco_i", "dst_bytes": 1, "logged_in": 0,
    },
    "rejected_carries_no_data": {"flag": "REJ", "src_bytes": 1, "dst_bytes": 0},
    "content_is_tcp": {"protocol_type": "udp", "service": "private", "num_failed_logins": 1},
    "privilege_needs_login": {"logged_in": 0, "root_shell": 1},
    "activity_needs_login": {"logged_in": 0, "num_shells": 1},
    "host_or_guest_login": {"is_host_login": 1, "is_guest_login": 1},
    "lone_connection_is_its_service": {"count": 1, "same_srv_rate": 0.5},
    "lone_service_has_one_host": {"count": 1, "srv_count": 1, "srv_diff_host_rate": 1.0},
    "windows_hold_the_connection": {"count": 0, "same_srv_rate": 0.0},
    "time_window_within_limit": {"count": 512, "srv_count": 512},
    "host_window_within_limit": {"dst_host_count": 256, "dst_host_srv_count": 256},
}  # fmt: skip

KEPT_AT_THE_EDGE: dict[str, dict[str, Any]] = {
    "handshake_states_are_tcp": {"protocol_type": "udp", "service": "private", "logged_in": 0},
    "icmp_has_no_port_service": {"protocol_type": "icmp", "service": "an_i_of_tomorrow"},
    "land_has_ports": {"land": 1},
    "unanswered_has_no_reply_bytes": {"flag": "S0", "dst_bytes": 0},
    "serror_rate_and_rerror_rate_are_disjoint": {"serror_rate": 0.53, "rerror_rate": 0.48},
    "same_srv_rate_within_srv_count": {"count": 200, "srv_count": 1, "same_srv_rate": 0.01},
    "privilege_needs_login": {"logged_in": 1, "root_shell": 1, "su_attempted": 2},
    "time_window_within_limit": {"count": 511, "srv_count": 511},
    "host_window_within_limit": {"dst_host_count": 255},
}


def broken_rules(changes: dict[str, Any]) -> set[str]:
    row = pl.DataFrame([WEB_REQUEST | changes])
    return {rule.name for rule in NSL_KDD.row_rules if not row.select(rule.expression).item()}


def test_the_41_features_come_in_the_order_of_headerless_files() -> None:
    names = NSL_KDD.feature_names
    assert len(names) == len(set(names)) == 41
    assert [names[index] for index in (0, 1, 9, 22, 31, 40)] == [
        "duration", "protocol_type", "hot", "count", "dst_host_count", "dst_host_srv_rerror_rate",
    ]  # fmt: skip
    assert NSL_KDD.form.orders == (
        names,
        (*names, "attack"),
        (*names, "attack", "difficulty"),
    )


def test_what_leaks_the_label_is_no_feature() -> None:
    roles = {column.name: column.role for column in NSL_KDD.columns if column.role != "feature"}
    assert roles == {"class": "label", "attack": "label", "difficulty": "ignored"}


def test_every_known_attack_has_a_family() -> None:
    families = NSL_KDD.families or {}
    assert set(NSL_KDD.by_name["attack"].values or ()) == {"normal", *families}
    assert set(families.values()) == {"DoS", "Probe", "R2L", "U2R"}
    assert families["exfiltration"] == "R2L"


def test_severities_are_those_the_issue_names() -> None:
    severity = {column.name: column.severity for column in NSL_KDD.columns}
    assert severity["protocol_type"] == "required"
    assert severity["service"] == "advisory"
    assert NSL_KDD.by_name["su_attempted"].values == (0, 1, 2)


def test_a_plain_connection_keeps_every_rule() -> None:
    assert broken_rules({}) == set()


def test_every_rule_has_a_counterexample() -> None:
    assert set(COUNTEREXAMPLES) == {rule.name for rule in NSL_KDD.row_rules}


@pytest.mark.parametrize("rule", COUNTEREXAMPLES)
def test_a_rule_is_broken_by_its_counterexample(rule: str) -> None:
    assert rule in broken_rules(COUNTEREXAMPLES[rule])


@pytest.mark.parametrize("rule", KEPT_AT_THE_EDGE)
def test_a_rule_is_kept_at_its_edge(rule: str) -> None:
    assert rule not in broken_rules(KEPT_AT_THE_EDGE[rule])


@pytest.mark.parametrize("rule", NSL_KDD.row_rules, ids=lambda rule: rule.name)
def test_a_rule_reads_the_columns_it_declares(rule: RowRule) -> None:
    assert set(rule.expression.meta.root_names()) == set(rule.columns)
    assert rule.name not in NSL_KDD.by_name
