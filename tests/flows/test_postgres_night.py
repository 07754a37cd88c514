"""The same night ends in the same rows on PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from storage.database import show_address
from storage.queries import (
    batch_rows,
    drift_rows,
    flagged_rows,
    history_rows,
    quarantine_rows,
    validation_rows,
)
from storage.schema import outbox, prediction, reason, scoring
from tests.support.trained_homes import move_to_postgres

if TYPE_CHECKING:
    from tests.flows.conftest import Ended
    from tests.support.bad_files_night import NightRun

FILES = ("cells-2026-11-05.csv", "foreign-2026-11-05.csv", "labelled-2026-11-04.csv")
TIMES = {"received_at", "started_at", "finished_at"}


@pytest.fixture
def on_postgres(postgres_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Register the trained model in a PostgreSQL database, and make it Noctule's."""
    engine = move_to_postgres(home, postgres_url)
    monkeypatch.setenv("NOCTULE_DATABASE_URL", postgres_url)
    monkeypatch.setenv("NOCTULE_CHUNK_ROWS", "1000")
    yield engine
    engine.dispose()


def stored(engine: Engine) -> dict[str, Any]:
    """Read what was stored of the files, without what differs from run to run."""
    batches = [
        {name: value for name, value in row.items() if name not in TIMES}
        for row in batch_rows(engine)
        if row["file_name"] in FILES
    ]
    ids = [row["batch_id"] for row in batches]
    with engine.connect() as connection:
        predictions = connection.execute(
            sa.select(scoring.c.batch_id, scoring.c.rows_flagged, prediction)
            .join(prediction, prediction.c.scoring_id == scoring.c.scoring_id)
            .where(scoring.c.batch_id.in_(ids))
        ).mappings()
        facts = [{**row, "scoring_id": 0} for row in predictions]
        weights = connection.execute(
            sa.select(scoring.c.batch_id, reason)
            .join(reason, reason.c.scoring_id == scoring.c.scoring_id)
            .where(scoring.c.batch_id.in_(ids))
        ).mappings()
        reasons = [{**row, "scoring_id": 0} for row in weights]
        told = connection.execute(sa.select(outbox.c.event_key, outbox.c.event, outbox.c.payload))
        events = [tuple(row) for row in told if row.payload["batch_id"] in ids]
    return {
        "flagged": [
            {**row, "reasons": [_without_weight(one) for one in row["reasons"]]}
            for batch_id in ids
            for row in flagged_rows(engine, batch=batch_id)
        ],
        "batch": sorted(batches, key=lambda row: row["batch_id"]),
        "prediction": sorted(facts, key=lambda row: (row["batch_id"], row["row_number"])),
        "reason": sorted(
            reasons, key=lambda row: (row["batch_id"], row["row_number"], row["rank"])
        ),
        "outbox": sorted(events, key=lambda row: row[0]),
        "champion": [row["model_version"] for row in history_rows(engine)],
        **{
            f"{read.__name__} {batch_id}": read(engine, batch=batch_id)
            for read in (quarantine_rows, drift_rows, validation_rows)
            for batch_id in ids
        },
    }


def _without_weight(explained: dict[str, Any]) -> dict[str, Any]:
    """Drop what SQLite's JSON writes with 15 digits; the reasons themselves have all of it."""
    return {name: value for name, value in explained.items() if name != "contribution"}


def test_a_night_on_postgresql_ends_in_the_same_rows_as_on_sqlite(
    night: "NightRun", on_postgres: Engine, home: Path, noctule: "Callable[..., Ended]"
) -> None:
    ended = noctule("run", *(night.inbox / name for name in FILES))
    assert ended.code == 3
    assert not (home / "noctule.db").exists()
    assert ended.out.splitlines()[-1] == f"database: {show_address(on_postgres.url)}"
    with night.database() as sqlite:
        expected = stored(sqlite)
    found = stored(on_postgres)
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert found[name] == rows, name
