"""The queries of the command line filter, sort, limit and decode rows."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from expectations.errors import UsageError
from storage import queries
from storage.batches import BatchRejection, reject_batch
from storage.queries import (
    batch_rows,
    drift_rows,
    flagged_rows,
    history_rows,
    latest_night,
    model_rows,
    quarantine_rows,
    validation_rows,
)
from storage.row_counts import RowCounts

OLD, NEW = "ab" * 32, "ac" * 32
NIGHT, NEXT = date(2026, 11, 20), date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 4, 30, tzinfo=UTC)


@pytest.fixture
def nights(example: SimpleNamespace) -> SimpleNamespace:
    """Two nights, each with the example batch; the second also has a batch that was rejected."""
    example.commit()
    example.deliver(NEW, batch_date=NEXT)
    example.commit(NEW)
    example.deliver("ff" * 32, batch_date=NEXT)
    with example.claim("ff" * 32) as held:
        reject_batch(
            example.engine,
            held,
            BatchRejection(
                reason="empty", rows=RowCounts.of_rejected(0), started_at=NOW, finished_at=NOW
            ),
        )
    example.deliver("ee" * 32, batch_date=date(2026, 11, 22))
    return example


def test_one_contract_is_shown_of_its_own_latest_night(nights: SimpleNamespace) -> None:
    nights.register("b", contract="zeek")
    arrived = nights.deliver("cd" * 32, contract="zeek", batch_date=NIGHT)
    nights.commit(arrived.batch_id, model_version="zeek-bbbbbbbbbbbb", events=())
    assert set(ids(flagged_rows(nights.engine))) == {NEW}, "the latest night of any"
    assert set(ids(flagged_rows(nights.engine, contract="zeek"))) == {arrived.batch_id}
    assert set(ids(flagged_rows(nights.engine, contract="nsl_kdd", night=NIGHT))) == {OLD}
    assert flagged_rows(nights.engine, contract="gone") == []
    assert ids(batch_rows(nights.engine, contract="zeek")) == [arrived.batch_id]
    assert latest_night(nights.engine, "zeek") == NIGHT


def ids(rows: list[dict[str, object]]) -> list[str]:
    return [row["batch_id"] for row in rows]


def test_flagged_rows_are_decoded_and_highest_first(nights: SimpleNamespace) -> None:
    with nights.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO flagged_connection SELECT scoring_id, 9, batch_id, 10, 8.5, false,"
                " record, NULL, NULL, NULL FROM flagged_connection WHERE batch_id = :batch"
            ),
            {"batch": OLD},
        )
    high, low = flagged_rows(nights.engine, batch=OLD)
    assert (high["row_number"], high["anomaly_score"], high["reasons"]) == (9, 8.5, [])
    assert low["record"]["protocol_type"] == "tcp"
    assert [reason["feature"] for reason in low["reasons"]] == ["duration", "serror_rate"]
    assert low["is_explained"] is True
    assert low["batch_date"] == NIGHT
    assert len(flagged_rows(nights.engine, batch=OLD, limit=1)) == 1


@pytest.mark.parametrize("list_rows", [flagged_rows, quarantine_rows, drift_rows])
def test_rows_are_of_a_batch_a_night_or_the_latest_night_with_results(
    nights: SimpleNamespace, list_rows: object
) -> None:
    assert set(ids(list_rows(nights.engine, batch=OLD[:4] + "AB"))) == {OLD}
    assert set(ids(list_rows(nights.engine, night=NIGHT))) == {OLD}
    assert set(ids(list_rows(nights.engine))) == {NEW}
    assert list_rows(nights.engine, night=date(2020, 1, 1)) == []


@pytest.mark.parametrize(
    ("beginning", "complaint"),
    [("a", "More than one batch"), ("00", "No batch"), ("%", "No batch")],
)
def test_a_beginning_must_be_of_one_batch(
    nights: SimpleNamespace, beginning: str, complaint: str
) -> None:
    with pytest.raises(UsageError, match=f"{complaint} has an id that begins with '{beginning}'"):
        flagged_rows(nights.engine, batch=beginning)


def test_batches_are_listed_latest_night_first(nights: SimpleNamespace) -> None:
    rows = batch_rows(nights.engine)
    assert ids(rows) == ["ee" * 32, NEW, "ff" * 32, OLD]
    assert [row["status"] for row in rows] == ["received", "scored", "rejected", "scored"]
    assert rows[1]["finished_at"] == nights.result().finished_at
    assert [row["rows_flagged"] for row in rows] == [None, 1, 0, 1]
    assert ids(batch_rows(nights.engine, night=NIGHT, limit=5)) == [OLD]


def test_quarantined_rows_come_in_the_order_of_the_file(nights: SimpleNamespace) -> None:
    rows = quarantine_rows(nights.engine, batch=OLD)
    assert [(row["row_number"], row["reasons"][0]) for row in rows] == [
        (2, "41 fields expected, 3 found"),
        (4, "serror_rate above 1"),
    ]


def test_drift_comes_farthest_first(nights: SimpleNamespace) -> None:
    rows = drift_rows(nights.engine, batch=OLD)
    assert [(row["column_name"], row["is_drifted"]) for row in rows] == [
        ("duration", True),
        ("service", False),
    ]
    assert len(drift_rows(nights.engine, batch=OLD, limit=1)) == 1


def test_validation_results_are_of_one_batch(nights: SimpleNamespace) -> None:
    (row,) = validation_rows(nights.engine, OLD)
    assert (row["column_name"], row["is_success"], row["rows_failed"]) == ("serror_rate", False, 1)
    assert validation_rows(nights.engine, OLD, is_success=True) == []


def test_models_say_which_is_champion(example: SimpleNamespace) -> None:
    example.register("b")
    example.register("c", contract="zeek_conn")
    rows = model_rows(example.engine, contract="nsl_kdd")
    assert [(row["model_version"], row["is_champion"]) for row in rows] == [
        ("nsl_kdd-aaaaaaaaaaaa", True),
        ("nsl_kdd-bbbbbbbbbbbb", False),
    ]
    assert rows[0]["metrics"] == {"roc_auc": 0.99}
    assert len(model_rows(example.engine)) == 3
    assert [row["contract"] for row in history_rows(example.engine)] == ["zeek_conn", "nsl_kdd"]
    (change,) = history_rows(example.engine, contract="nsl_kdd")
    assert (change["live_from"], change["live_until"]) == (NOW, None)


@pytest.mark.parametrize(
    "view",
    ["flagged_connections", "batch_summary", "quarantined_rows", "drift_summary", "model_history"],
)
def test_the_queries_know_every_column_of_the_views(example: SimpleNamespace, view: str) -> None:
    found = [column["name"] for column in sa.inspect(example.engine).get_columns(view)]
    assert [column.name for column in getattr(queries, view).columns] == found
