"""The outcome of a file, for each way in which a batch can end."""

from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from storage.batches import BatchRecord
from tasks.intake.receive import Arrival
from tasks.reporting.file_outcomes import make_scored_outcome, make_unchanged_outcome
from tasks.reporting.outcomes import FileOutcome
from tasks.store import StageSummaries

NIGHT = date(2026, 3, 1)


def record(status: str, *, rejection: str | None = None) -> BatchRecord:
    return BatchRecord(
        batch_id="3f9a",
        contract="nsl_kdd",
        batch_date=NIGHT,
        file_name="night.csv",
        status=status,
        rejection=rejection,
        rows_read=None,
        rows_scored=None,
        rows_quarantined=None,
        rows_rejected=None,
        rows_known=None,
        replayed_batch_id=None,
        field_names=None,
        contract_fingerprint=None,
    )


def arrive(name: str, of: BatchRecord) -> Arrival:
    return Arrival(
        record=of,
        source=Path(name),
        name=name,
        damage=None,
        contract_fingerprint="0" * 64,
        received_at=datetime(2026, 3, 1, 4, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("name", "is_busy", "is_open", "rejection", "status", "message", "exit_code"),
    [
        ("night.csv", True, False, None, "busy", "another run is working on it", 0),
        ("night.csv", False, False, None, "known", "scored before, on 2026-03-01", 0),
        ("b.csv", False, False, None, "known", "scored before, as night.csv on 2026-03-01", 0),
        ("night.csv", False, True, "bad", "known", "rejected before, on 2026-03-01: bad", 3),
        (
            "night.csv", False, False, "bad", "known",
            "rejected before, on 2026-03-01, and dismissed or scored since: bad", 0,
        ),
        ("night.csv", True, True, "bad", "busy", "another run is working on it", 0),
    ],
)  # fmt: skip
def test_content_that_is_known_fails_only_while_its_rejection_is_open(
    name: str,
    is_busy: bool,  # noqa: FBT001 - a case's value
    is_open: bool,  # noqa: FBT001 - a case's value
    rejection: str | None,
    status: str,
    message: str,
    exit_code: int,
) -> None:
    known = record("rejected" if rejection else "scored", rejection=rejection)
    outcome = make_unchanged_outcome(known, arrive(name, known), is_busy=is_busy, is_open=is_open)
    assert (outcome.status, outcome.message, outcome.exit_code) == (status, message, exit_code)
    assert outcome.rows_read == 0


def scored(*, is_selection: bool) -> FileOutcome:
    """Return the outcome of a batch in which much is flagged, and much would have drifted."""
    arrival = SimpleNamespace(
        name="night.csv", record=record("received"), notes=("arrival",), is_selection=is_selection
    )
    stages = StageSummaries(
        ingested=SimpleNamespace(
            rows_read=10, rows_unparsed=1, rows_known=2, notes=("ingest",), notes_on_labels=()
        ),
        validated=SimpleNamespace(rows_quarantined=2, advisories=("validate",), report="rows.html"),
        scored=SimpleNamespace(
            rows_scored=5, rows_flagged=1, operating_point="default", threshold=0.5,
            target_flag_rate=None, false_positive_rate=None, notes=("score",),
            describe_rate_deviation=lambda usual, budget: f"usual {usual}, budget {budget}",
        ),
        explained=SimpleNamespace(),
        drifted=None if is_selection else SimpleNamespace(
            columns_drifted=("src_bytes",), is_score_drifted=True, report_html="drift.html",
            notes=("drift",),
        ),
    )  # fmt: skip
    job = SimpleNamespace(batch_id="3f9a", folder=Path("b"), model_version="m", budget=20)
    return make_scored_outcome(job, arrival, stages, 0.1, "shadow", {})


def test_every_row_of_a_scored_file_is_accounted_for() -> None:
    outcome = scored(is_selection=False)
    counts = (outcome.rows_scored, outcome.rows_quarantined, outcome.rows_known)
    assert counts == (5, 3, 2)
    assert sum(counts) == outcome.rows_read
    assert outcome.message == "scored 5 connections, flagged 1"


def test_a_file_is_compared_with_earlier_nights_and_with_the_training_rows() -> None:
    outcome = scored(is_selection=False)
    assert outcome.advisories == (
        "arrival", "ingest", "usual 0.1, budget 20", "shadow", "validate", "score", "drift",
    )  # fmt: skip
    assert outcome.drifted == ("src_bytes", "anomaly_score")
    assert outcome.reports == (Path("b/rows.html"), Path("b/drift.html"))


def test_a_selection_of_quarantined_rows_is_compared_with_nothing() -> None:
    outcome = scored(is_selection=True)
    assert outcome.advisories == ("arrival", "ingest", "shadow", "score")
    assert outcome.drifted == ()
    assert outcome.reports == (Path("b/rows.html"),)
