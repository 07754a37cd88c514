"""The views' columns, grain and content: the interface that analysts rely on."""

import json
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from expectations.contract import Column, Contract
from storage import schema
from storage.model_store import promote, rollback
from storage.views import contract_view, views
from storage.views.columns import VIEW_COLUMNS, VIEW_TABLES
from tests.support.sources import NSL_KDD

DATABASES = ("sqlite", "postgresql", "postgresql15")
BATCH_ID = "ab" * 32
CONNECTION = (
    "connection_id batch_id batch_date file_name row_number anomaly_score threshold reasons record"
    " model_version"
)

PROMISED = {
    "flagged_connections": CONNECTION,
    "flagged_nsl_kdd": CONNECTION + " " + " ".join(NSL_KDD.feature_names),
    "batch_summary": (
        "batch_id batch_date file_name contract status rows_read rows_scored rows_quarantined"
        " rows_rejected rows_known rows_flagged model_version started_at finished_at"
    ),
    "drift_summary": "batch_id column_name statistic method threshold is_drifted",
    "model_history": "model_version live_from live_until promoted_by reason",
    "quarantined_rows": "batch_id line_number stage reasons raw_text",
}


def read_view(engine: Engine, query: str) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.text(query)).mappings()]


def parsed(value: object) -> object:
    """Decode JSON where the driver gives its text."""
    return json.loads(value) if isinstance(value, str) else value


@pytest.mark.parametrize("view", PROMISED)
def test_a_view_has_the_columns_others_rely_on(engine: Engine, view: str) -> None:
    columns = {column["name"] for column in sa.inspect(engine).get_columns(view)}
    assert set(PROMISED[view].split()) <= columns


def test_every_view_has_the_columns_declared_for_it(engine: Engine) -> None:
    inspector = sa.inspect(engine)
    declared = {view.name: [one.name for one in view.columns] for view in views(engine.name)}
    found = {name: [one["name"] for one in inspector.get_columns(name)] for name in declared}
    assert found == declared


def test_a_value_of_every_view_is_read_as_its_declared_type(example: SimpleNamespace) -> None:
    example.commit()
    kinds = {
        "text": str,
        "integer": int,
        "number": float,
        "boolean": bool,
        "date": date,
        "time": datetime,
        "json": (dict, list),
    }
    with example.engine.connect() as connection:
        for view, table in VIEW_TABLES.items():
            for row in connection.execute(sa.select(table)).mappings():
                for column in VIEW_COLUMNS[view]:
                    value = row[column.name]
                    assert value is None or isinstance(value, kinds[column.type_name]), (
                        view,
                        column,
                    )


def test_a_flagged_connection_is_shown_with_its_reasons_in_order(example: SimpleNamespace) -> None:
    example.commit()
    (row,) = read_view(example.engine, "SELECT * FROM flagged_connections")
    assert row["connection_id"] == "abababababababab-1"
    assert (row["batch_id"], row["file_name"], row["row_number"]) == (BATCH_ID, "night.csv", 1)
    assert (row["anomaly_score"], row["threshold"]) == (5.0, 4.0)
    assert row["model_version"] == "nsl_kdd-aaaaaaaaaaaa"
    assert str(row["batch_date"]) == "2026-11-20"
    assert parsed(row["record"]) == {"duration": 3, "protocol_type": "tcp", "serror_rate": 0.25}
    assert parsed(row["reasons"]) == [
        {
            "feature": "duration",
            "observed": "3",
            "expected": None,
            "contribution": 2.5,
            "model": "classifier",
        },
        {
            "feature": "serror_rate",
            "observed": "0.25",
            "expected": "0",
            "contribution": 1.5,
            "model": "autoencoder",
        },
    ]


def test_an_unexplained_connection_has_an_empty_array_of_reasons(example: SimpleNamespace) -> None:
    example.commit(reasons=None)
    (row,) = read_view(example.engine, "SELECT reasons FROM flagged_connections")
    assert parsed(row["reasons"]) == []


def test_only_live_scorings_are_shown(example: SimpleNamespace) -> None:
    example.commit()
    with example.engine.begin() as connection:
        connection.execute(sa.update(schema.scoring).values(purpose="shadow"))
    for view in ("flagged_connections", "flagged_nsl_kdd", "drift_summary"):
        assert read_view(example.engine, f"SELECT * FROM {view}") == []  # noqa: S608 - our names
    (row,) = read_view(example.engine, "SELECT * FROM batch_summary")
    assert row["model_version"] is None


def test_a_contracts_view_has_its_features_typed(example: SimpleNamespace) -> None:
    example.commit()
    (row,) = read_view(
        example.engine,
        "SELECT duration + 1 AS later, protocol_type, serror_rate * 2 AS twice, service"
        " FROM flagged_nsl_kdd WHERE duration > 2",
    )
    assert row == {"later": 4, "protocol_type": "tcp", "twice": 0.5, "service": None}


def test_a_contracts_view_shows_no_other_contract(example: SimpleNamespace) -> None:
    example.register("b", contract="zeek_conn")
    arrived = example.deliver("cd" * 32, contract="zeek_conn")
    example.commit(arrived.batch_id, model_version="zeek_conn-bbbbbbbbbbbb")
    assert read_view(example.engine, "SELECT * FROM flagged_nsl_kdd") == []
    assert len(read_view(example.engine, "SELECT * FROM flagged_connections")) == 1


@pytest.mark.parametrize("name", ["reasons", "x; DROP TABLE batch", "Größe"])
def test_a_contract_whose_names_cannot_stand_in_its_view_is_refused(name: str) -> None:
    columns = (Column(name=name, kind="count", meaning="a count"),)
    contract = Contract(name="c", title="C", source="none", columns=columns)
    with pytest.raises(ValueError, match="cannot be a name in its view"):
        contract_view(contract, "sqlite")


def test_batch_summary_has_one_row_a_batch_whatever_became_of_it(example: SimpleNamespace) -> None:
    example.commit()
    example.deliver("cd" * 32)
    example.deliver(source=Path("/inbox/again.csv"))
    rows = read_view(
        example.engine,
        "SELECT status, rows_read, rows_flagged, model_version FROM batch_summary"
        " ORDER BY batch_id",
    )
    assert [tuple(row.values()) for row in rows] == [
        ("scored", 4, 1, "nsl_kdd-aaaaaaaaaaaa"),
        ("received", None, None, None),
    ]


def test_drift_summary_has_one_row_a_column_from_the_method_that_saw_most(
    example: SimpleNamespace,
) -> None:
    example.commit()
    rows = read_view(
        example.engine,
        "SELECT column_name, method, statistic, threshold, methods, methods_drifted"
        " FROM drift_summary ORDER BY column_name",
    )
    assert [tuple(row.values()) for row in rows] == [
        ("duration", "psi", 0.3, 0.1, 2, 1),
        ("service", "psi", None, 0.1, 1, 0),
    ]


def test_model_history_says_who_was_live_when_and_why(example: SimpleNamespace) -> None:
    second = example.register("b").version
    now = example.result().started_at
    promote(
        example.engine,
        example.models,
        second,
        who="ada",
        reason="better on held-out families",
        now=now,
    )
    rollback(
        example.engine, example.models, "nsl_kdd", who="bob", reason="too many alerts", now=now
    )
    rows = read_view(
        example.engine,
        "SELECT model_version, previous_model_version, kind, promoted_by, reason,"
        " live_until IS NULL AS is_live FROM model_history ORDER BY promotion_id",
    )
    first = "nsl_kdd-aaaaaaaaaaaa"
    assert [tuple(row.values()) for row in rows] == [
        (first, None, "promote", "trainer", "the first model of its contract", False),
        (second, first, "promote", "ada", "better on held-out families", False),
        (first, second, "rollback", "bob", "too many alerts", True),
    ]


def test_quarantined_rows_shows_each_row_with_every_reason(example: SimpleNamespace) -> None:
    example.commit()
    rows = read_view(
        example.engine,
        "SELECT line_number, stage, reasons, raw_text FROM quarantined_rows ORDER BY line_number",
    )
    assert [(row["line_number"], row["stage"], parsed(row["reasons"])) for row in rows] == [
        (3, "ingest", ["41 fields expected, 3 found", "not UTF-8"]),
        (5, "validate", ["serror_rate above 1"]),
    ]
    assert [row["raw_text"] for row in rows] == [r"0,\x00tcp,\xff", "0,udp,7"]


def test_the_highest_of_a_batch_come_from_an_index_in_order(example: SimpleNamespace) -> None:
    example.commit()
    query = (
        f"SELECT * FROM flagged_nsl_kdd WHERE batch_id = '{BATCH_ID}'"  # noqa: S608 - a constant
        " ORDER BY anomaly_score DESC LIMIT 100"
    )
    with example.engine.connect() as connection:
        if example.engine.dialect.name == "sqlite":
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
            index = "ix_flagged_connection_scoring"
        else:
            # So few rows are cheaper to sort; that it can be avoided is the point.
            connection.exec_driver_sql("SET LOCAL enable_sort = off")
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
            plan = connection.exec_driver_sql(f"EXPLAIN {query}").all()
            index = "ix_flagged_connection_batch"
    told = "\n".join(str(step) for step in plan)
    assert index in told
    assert "TEMP B-TREE" not in told
    assert "Sort" not in told


def test_a_night_can_be_compared_as_a_date(example: SimpleNamespace) -> None:
    example.commit()
    query = sa.text("SELECT count(*) FROM batch_summary WHERE batch_date = :night").bindparams(
        sa.bindparam("night", date(2026, 11, 20), sa.Date)
    )
    with example.engine.connect() as connection:
        assert connection.scalar(query) == 1
