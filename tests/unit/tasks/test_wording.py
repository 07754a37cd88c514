"""Flagged connections are shown with who talked to whom, and when."""

import pytest

import tasks.wording
from expectations.contract import Column, Contract
from expectations.errors import UsageError
from tasks.wording import MOST_IDENTIFIERS, add_identifiers

FLOWS = Contract(
    name="flows",
    title="Flows",
    source="none",
    columns=(
        Column(name="uid", kind="id", meaning="Id.", role="identifier"),
        Column(name="started_at", kind="time", meaning="Start.", role="identifier"),
        Column(name="src_ip", kind="address", meaning="Source.", role="identifier"),
        Column(name="src_bytes", kind="count", meaning="Sent."),
    ),
)
MANY = Contract(
    name="many",
    title="Many",
    source="none",
    columns=tuple(
        Column(name=f"port_{number}", kind="port", meaning="Port.", role="identifier")
        for number in range(20)
    ),
)


@pytest.fixture(autouse=True)
def _contracts(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> Contract:
        if name == "gone":
            raise UsageError(name)
        return {"flows": FLOWS, "many": MANY}[name]

    monkeypatch.setattr(tasks.wording, "get_contract", find)


def test_who_and_when_become_columns_of_their_own() -> None:
    record = {"uid": "C1", "started_at": "2017-07-07T08:22:00Z", "src_ip": "::1", "src_bytes": 4}
    rows = [
        {"contract": "flows", "record": record, "anomaly_score": 2.0},
        {"contract": "gone", "record": {"duration": 1}, "anomaly_score": 1.0},
    ]
    found, names = add_identifiers(rows)
    assert names == ("started_at", "src_ip")
    assert found[0] == {**rows[0], "started_at": "2017-07-07T08:22:00Z", "src_ip": "::1"}
    assert found[1] == {**rows[1], "started_at": None, "src_ip": None}


def test_a_table_has_few_such_columns() -> None:
    _, names = add_identifiers([{"contract": "many", "record": {}}])
    assert names == tuple(f"port_{number}" for number in range(MOST_IDENTIFIERS))


def test_nothing_flagged_has_no_columns() -> None:
    assert add_identifiers([]) == ([], ())
