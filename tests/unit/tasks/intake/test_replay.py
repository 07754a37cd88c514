"""Replays that are refused before anything is recorded."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from expectations.errors import UsageError
from storage.replays import ReplayTarget
from tasks.intake.replay import plan_replay
from tasks.intake.stage import FileJob


def test_a_batch_whose_features_have_changed_since_it_was_scored_is_not_replayed() -> None:
    target = ReplayTarget(
        batch_id="b" * 64, content="c" * 64, contract="nsl_kdd", batch_date=date(2026, 11, 9),
        file_name="night.csv", is_rejected=False, rows_read=3, rows_open=1, rows_lost=0,
        field_names=("duration",), corrected_by=None, source=None, feature_fingerprint="other",
    )  # fmt: skip
    limits = FileJob(
        source=Path("night.csv"), batch_id=target.batch_id, contract="nsl_kdd", folder=Path(),
        chunk_rows=10, max_quarantine_ratio=0.5,
    )  # fmt: skip
    engine = sa.create_engine("sqlite://")  # has no tables: nothing may be read or written
    with pytest.raises(UsageError, match=r"the features of its contract nsl_kdd have changed"):
        plan_replay(engine, target, None, limits, datetime(2026, 11, 10, tzinfo=UTC))
