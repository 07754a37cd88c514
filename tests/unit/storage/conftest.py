"""Fixtures for the tests of storage: a batch of four rows, as its stages would write it.

Two rows are scored, one of them is flagged, and two are quarantined.
"""

import json
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, Table

from expectations.suites import ExpectationResult
from storage.batches import BatchResult, commit_batch
from storage.claims import claim
from storage.deliveries import Delivery, record_delivery
from storage.model_store import ModelVersion, register_model
from storage.outbox import OutboxEvent
from storage.row_counts import RowCounts
from storage.schema import metadata
from storage.scorings import ScoringResult

NOW = datetime(2026, 11, 21, 4, 30, tzinfo=UTC)
LATER = datetime(2026, 11, 21, 4, 35, tzinfo=UTC)
BATCH_ID = "ab" * 32
RECORD = {"duration": 3, "protocol_type": "tcp", "serror_rate": 0.25}


def register(
    engine: Engine,
    folder: Path,
    content: str = "a",
    contract: str = "nsl_kdd",
    **training: object,
) -> ModelVersion:
    """Register a model whose content hash is one repeated digit."""
    made = folder / f"fitted-{content}"
    (made / "reference").mkdir(parents=True, exist_ok=True)
    (made / "model.txt").write_text(f"trees of {content}")
    (made / "reference" / "bins.json").write_text("{}")
    return register_model(
        engine,
        folder / "models",
        made,
        contract=contract,
        content_hash=content * 64,
        rows_trained=4,
        training={"seed": 42, **training},
        metrics={"roc_auc": 0.99},
        registered_at=NOW,
        registered_by="trainer",
    )


def deliver(engine: Engine, batch_id: str = BATCH_ID, **changes: object) -> Delivery:
    """Record the delivery of a file."""
    facts = {
        "content_sha256": batch_id,
        "contract": "nsl_kdd",
        "batch_date": date(2026, 11, 20),
        "source": Path("/inbox/night.csv"),
        "size_bytes": 120,
        "content_bytes": 400,
        "modified_at": NOW,
        "arrived_at": NOW,
    }
    arrived = Delivery(**{**facts, **changes})
    record_delivery(engine, arrived)
    return arrived


def commit(engine: Engine, folder: Path, batch_id: str = BATCH_ID, **changes: object) -> None:
    """Claim a batch and store the example result as its own."""
    with claim(engine, folder / batch_id, batch_id) as held:
        commit_batch(engine, held, example_result(folder, **changes))


def read_table(engine: Engine, table: Table) -> list[dict[str, object]]:
    """Return all rows of a table, in the order of its key."""
    with engine.connect() as connection:
        found = connection.execute(sa.select(table).order_by(*table.primary_key))
        return [dict(row) for row in found.mappings()]


def read_all(engine: Engine) -> dict[str, list[dict[str, object]]]:
    """Read every table."""
    return {table.name: read_table(engine, table) for table in metadata.sorted_tables}


def example_result(folder: Path, **changes: object) -> BatchResult:
    """Write the files of the example batch and return its result."""
    scores = folder / "scores.parquet"
    pl.DataFrame(
        {
            "row_number": [1, 3],
            "classifier_score": [4.5, -2.0],
            "one_class_score": [0.9, 0.1],
            "classifier_tail": [3.0, 0.2],
            "one_class_tail": [2.0, 0.3],
            "anomaly_score": [5.0, 0.5],
            "is_flagged": [True, False],
        }
    ).write_parquet(scores)
    flagged = folder / "flagged.parquet"
    pl.DataFrame(
        {
            "row_number": [1],
            "line_number": [2],
            "anomaly_score": [5.0],
            "record": [json.dumps(RECORD)],
            "is_explained": [True],
            "attack_category": ["Probe"],
            "category_probability": [0.75],
            "attack_technique": ["T1046"],
        }
    ).write_parquet(flagged)
    reasons = folder / "reasons.parquet"
    pl.DataFrame(
        {
            "row_number": [1, 1],
            "rank": [2, 1],
            "model": ["autoencoder", "classifier"],
            "feature": ["serror_rate", "duration"],
            "observed": ["0.25", "3"],
            "expected": ["0", None],
            "contribution": [1.5, 2.5],
        }
    ).write_parquet(reasons)
    ingested = folder / "quarantine-ingest.parquet"
    pl.DataFrame(
        {
            "row_number": [2],
            "line_number": [3],
            "stage": ["ingest"],
            "reasons": [["41 fields expected, 3 found", "not UTF-8"]],
            "raw": [b"0,\x00tcp,\xff"],
        }
    ).write_parquet(ingested)
    validated = folder / "quarantine-validate.parquet"
    pl.DataFrame(
        {
            "row_number": [4],
            "line_number": [5],
            "stage": ["validate"],
            "reasons": [["serror_rate above 1"]],
            "raw": [b"0,udp,7"],
        }
    ).write_parquet(validated)
    drift = folder / "statistics.parquet"
    pl.DataFrame(
        {
            "column": ["duration", "duration", "service"],
            "method": ["psi", "wasserstein", "psi"],
            "statistic": [0.3, 0.05, float("nan")],
            "threshold": [0.1, 0.1, 0.1],
            "is_drifted": [True, False, False],
            "rows_reference": [1000, 100, 1000],
            "rows_current": [2, 1, 2],
        }
    ).write_parquet(drift)
    scoring = {
        "model_version": "nsl_kdd-aaaaaaaaaaaa",
        "operating_point": "default",
        "threshold": 4.0,
        "target_flag_rate": 0.25,
        "rows_scored": 2,
        "rows_flagged": 1,
        "scores": (scores,),
        "flagged": (flagged,),
        "reasons": reasons,
        "drift": drift,
        "labelled": None,
        "started_at": NOW,
        "finished_at": LATER,
    }
    names = set(scoring)
    facts = {
        "quarantine": (ingested, validated),
        "validation": (
            ExpectationResult(
                suite="rows",
                expectation="values between",
                column="serror_rate",
                severity="required",
                is_success=False,
                rows_checked=3,
                rows_failed=1,
                observed="7",
                expected="0 to 1",
            ),
        ),
        "events": (OutboxEvent(key="scored:1", event="noctule.batch.scored", payload={"rows": 2}),),
    }
    both = {name: changes[name] for name in names & changes.keys()}
    rest = {name: value for name, value in changes.items() if name not in names}
    made = ScoringResult(**{**scoring, **both})
    counts = {"rows_read": 4, "rows_scored": made.rows_scored, "rows_quarantined": 2}
    counts |= {name: rest.pop(name) for name in RowCounts.model_fields if name in rest}
    rows = RowCounts.model_construct(**counts)  # unchecked: the database must refuse false ones
    times = {"started_at": NOW, "finished_at": LATER}
    return BatchResult(**{**facts, **times, "rows": rows, "scoring": made, **rest})


@pytest.fixture
def example(engine: Engine, tmp_path: Path) -> SimpleNamespace:
    """Return the helpers, bound to a database with a registered model and the delivered batch."""
    register(engine, tmp_path)
    deliver(engine)
    return SimpleNamespace(
        engine=engine,
        folder=tmp_path,
        models=tmp_path / "models",
        register=partial(register, engine, tmp_path),
        deliver=partial(deliver, engine),
        claim=lambda batch_id=BATCH_ID: claim(engine, tmp_path / batch_id, batch_id),
        result=partial(example_result, tmp_path),
        commit=partial(commit, engine, tmp_path),
        read=partial(read_table, engine),
        read_all=partial(read_all, engine),
    )
