"""A contract of the user gets its view, which follows it; processes with other contracts work."""

import dataclasses
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from expectations.contract import Column, Contract
from storage import schema
from storage.contract_views import make_contract_view
from storage.database import write
from storage.revisions import status
from storage.views import BASE_COLUMNS, contract_view, replace_views

DATABASES = ("sqlite", "postgresql", "postgresql15")

FLOWS = Contract(
    name="flows",
    title="Flows",
    source="none",
    columns=(
        Column(name="order", kind="count", meaning="A word of SQL."),
        Column(name="dst_port", kind="port", meaning="Port.", role="identifier"),
        Column(name="started_at", kind="time", meaning="Start.", role="identifier"),
        Column(name="src_ip", kind="address", meaning="Source.", role="identifier"),
        Column(name="rate", kind="number", meaning="Rate.", nullable=True),
        Column(name="proto", kind="protocol", meaning="Protocol."),
        Column(name="label", kind="category", meaning="Label.", role="label"),
    ),
)
RECORD = {
    "dst_port": 443,
    "started_at": "2017-07-07T08:22:00.000005Z",
    "src_ip": "192.168.0.1",
    "order": 2**62,
    "rate": None,
    "proto": "tcp",
}


@pytest.fixture
def flagged(example: SimpleNamespace) -> SimpleNamespace:
    """Return the helpers, with a flagged connection of the contract ``flows``."""
    example.register("b", contract="flows")
    arrived = example.deliver("cd" * 32, contract="flows")
    example.commit(arrived.batch_id, model_version="flows-bbbbbbbbbbbb")
    with write(example.engine) as connection:
        connection.execute(sa.update(schema.flagged_connection).values(record=RECORD))
    return example


def read_rows(engine: Engine) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [
            dict(row)
            for row in connection.execute(sa.text("SELECT * FROM flagged_flows")).mappings()
        ]


def list_columns(engine: Engine) -> list[str]:
    return [one["name"] for one in sa.inspect(engine).get_columns("flagged_flows")]


def test_the_view_says_which_row_then_who_and_when_then_what(flagged: SimpleNamespace) -> None:
    assert make_contract_view(flagged.engine, FLOWS) is None
    base = [column.name for column in BASE_COLUMNS]
    assert list_columns(flagged.engine) == [
        *base[:6], "dst_port", "started_at", "src_ip", *base[6:], "order", "rate", "proto",
    ]  # fmt: skip
    view = contract_view(FLOWS, flagged.engine.name)
    assert [column.name for column in view.columns] == list_columns(flagged.engine)
    (row,) = read_rows(flagged.engine)
    start = datetime(2017, 7, 7, 8, 22, 0, 5, tzinfo=UTC)
    is_text = flagged.engine.name == "sqlite"
    assert row["started_at"] == (RECORD["started_at"] if is_text else start)
    assert {name: row[name] for name in ("dst_port", "src_ip", "order", "rate", "proto")} == {
        "dst_port": 443, "src_ip": "192.168.0.1", "order": 2**62, "rate": None, "proto": "tcp",
    }  # fmt: skip


def test_the_view_follows_the_contract(flagged: SimpleNamespace) -> None:
    make_contract_view(flagged.engine, FLOWS)
    fewer = dataclasses.replace(FLOWS, columns=FLOWS.columns[1:])
    make_contract_view(flagged.engine, fewer)
    assert "order" not in list_columns(flagged.engine)
    other = dataclasses.replace(FLOWS.columns[1], kind="category", role="feature")
    make_contract_view(flagged.engine, dataclasses.replace(FLOWS, columns=(other,)))
    assert read_rows(flagged.engine)[0]["dst_port"] == "443"


def test_other_processes_and_upgrades_leave_the_view_alone(flagged: SimpleNamespace) -> None:
    make_contract_view(flagged.engine, FLOWS)
    assert status(flagged.engine).is_current
    before = list_columns(flagged.engine)
    with write(flagged.engine) as connection:
        replace_views(connection)
    assert list_columns(flagged.engine) == before
    assert len(read_rows(flagged.engine)) == 1
    assert status(flagged.engine).is_current
    assert make_contract_view(flagged.engine, FLOWS) is None


def test_a_view_that_cannot_be_made_is_told_and_stops_nothing(flagged: SimpleNamespace) -> None:
    with write(flagged.engine) as connection:
        connection.exec_driver_sql("CREATE TABLE flagged_flows (mine INTEGER)")
    told = make_contract_view(flagged.engine, FLOWS)
    assert told is not None
    assert "the view flagged_flows could not be made" in told
    assert "noctule db upgrade" in told
    assert list_columns(flagged.engine) == ["mine"]
