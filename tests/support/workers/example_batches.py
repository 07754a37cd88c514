"""Example batches: one small batch of each kind that a night stores, and their results.

Belongs here: the batches, and the output of each stage for them. Does not belong here: the work on
them (see ``batch_work``), or the rows that must be stored (``final_state``).
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Final

import polars as pl
from pydantic import BaseModel

from expectations.suites import ExpectationResult
from storage.batches import BatchRejection, BatchResult
from storage.deliveries import Delivery
from storage.lake import hash_text
from storage.outbox import OutboxEvent
from storage.row_counts import RowCounts
from storage.scorings import ScoringResult

CONTRACT: Final = "nsl_kdd"
MODELS: Final = ("a", "b")
"""The digit of which the content hash of each champion consists: before and after a promotion."""

THRESHOLD: Final = 4.0
"""Of the anomaly score."""

ARRIVED: Final = datetime(2026, 11, 21, 4, 30, tzinfo=UTC)
LINE_BYTES: Final = 100
"""Size of each line of an example."""

QUARANTINE: Final = "quarantine.parquet"
SCORES: Final = "scores.parquet"
FLAGGED: Final = "flagged.parquet"
REASONS: Final = "reasons.parquet"
DRIFT: Final = "drift.parquet"


class StageOutput(BaseModel):
    """The summary of a stage."""

    rows: int
    """Number of rows in its output."""
    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ExampleBatch:
    """One batch."""

    name: str
    rows: int
    quarantined: tuple[int, ...] = ()
    """Row numbers."""
    flagged: Mapping[str, tuple[int, ...]]
    """Row numbers, for each of the models."""
    is_rejected: bool = False
    has_drift: bool = False
    facts: int = 0
    """Number of results of expectations."""
    beginning: "ExampleBatch | None" = None
    """The batch whose content is the beginning of this one."""

    @property
    def batch_id(self) -> str:
        """The id, which stands for the hash of real bytes."""
        return hash_text(self.name)

    def delivery(self, inbox: Path, arrived_at: datetime, beginnings: tuple[str, ...]) -> Delivery:
        """Return a delivery of the batch."""
        return Delivery(
            content_sha256=self.batch_id,
            contract=CONTRACT,
            batch_date=date(2026, 11, 20),
            source=inbox / f"{self.name}.csv",
            size_bytes=self.rows * LINE_BYTES,
            content_bytes=self.rows * LINE_BYTES,
            modified_at=ARRIVED,
            arrived_at=arrived_at,
            prefixes=beginnings,
        )

    def numbers(self, known: str | None) -> tuple[int, ...]:
        """Return the numbers of the new rows; batch ``known`` accounts for the others."""
        if known is None:
            first = 1
        elif self.beginning is not None and known == self.beginning.batch_id:
            first = self.beginning.rows + 1
        else:
            first = self.rows + 1
        return tuple(range(first, self.rows + 1))


SMALL: Final = ExampleBatch(
    name="small",
    rows=4,
    quarantined=(2, 4),
    flagged={"a": (1,), "b": (1, 3)},
    has_drift=True,
    facts=2,
)

QUIET: Final = ExampleBatch(
    name="quiet", rows=3, quarantined=(3,), flagged={"a": (), "b": ()}, facts=1
)
"""Nothing is flagged, so there are no reasons. Its drift is not measured."""

GROWN: Final = ExampleBatch(
    name="grown",
    rows=6,
    quarantined=(2, 4),
    flagged={"a": (1, 6), "b": (5,)},
    has_drift=True,
    facts=1,
    beginning=SMALL,
)
"""The file of ``SMALL``, delivered again with more rows."""

REJECTED: Final = ExampleBatch(
    name="rejected", rows=3, flagged={"a": (), "b": ()}, is_rejected=True, facts=3
)

ALL: Final = (SMALL, QUIET, GROWN, REJECTED)


@cache
def ingested(example: ExampleBatch, known: str | None) -> tuple[StageOutput, Mapping[str, bytes]]:
    """Return the output of the first stage: a file of the quarantined rows."""
    new = example.numbers(known)
    rows = [number for number in example.quarantined if number in new]
    frame = pl.DataFrame(
        {
            "row_number": rows,
            "line_number": [number + 1 for number in rows],
            "stage": ["ingest"] * len(rows),
            "reasons": [["not UTF-8", "3 fields"]] * len(rows),
            "raw": [f"{example.name},\xff{number}".encode("latin-1") for number in rows],
        },
        schema_overrides={"row_number": pl.Int64, "line_number": pl.Int64, "raw": pl.Binary},
    )
    files = {QUARANTINE: _parquet(frame)} if rows else {}
    return StageOutput(rows=len(new) - len(rows), files=tuple(files)), files


@cache
def scored(
    example: ExampleBatch, known: str | None, model: str
) -> tuple[StageOutput, Mapping[str, bytes]]:
    """Return the output of the second stage: scores, flagged rows, their reasons, drift."""
    rows = [number for number in example.numbers(known) if number not in example.quarantined]
    flagged = [number for number in example.flagged[model] if number in rows]
    shift = MODELS.index(model) / 4
    scores = [THRESHOLD * (2 if number in flagged else 0.5) + number / 8 + shift for number in rows]
    frames = {
        SCORES: pl.DataFrame(
            {
                "row_number": rows,
                "classifier_score": [score - 1 for score in scores],
                "one_class_score": [score / 2 for score in scores],
                "anomaly_score": scores,
                "is_flagged": [number in flagged for number in rows],
            }
        )
    }
    if flagged:
        frames[FLAGGED] = pl.DataFrame(
            {
                "row_number": flagged,
                "line_number": [number + 1 for number in flagged],
                "anomaly_score": [scores[rows.index(number)] for number in flagged],
                "record": [json.dumps({"duration": number}) for number in flagged],
                "is_explained": [True] * len(flagged),
                "attack_category": ["DoS"] * len(flagged),
                "category_probability": [0.75] * len(flagged),
                "attack_technique": ["T1499"] * len(flagged),
            }
        )
        frames[REASONS] = pl.DataFrame(
            [
                {
                    "row_number": number,
                    "rank": rank,
                    "model": "classifier",
                    "feature": feature,
                    "observed": str(number),
                    "expected": None if rank == 1 else "0",
                    "contribution": 1 / rank,
                }
                for number in flagged
                for rank, feature in enumerate(("duration", "service"), start=1)
            ]
        )
    if example.has_drift:
        frames[DRIFT] = pl.DataFrame(
            {
                "column": ["duration", "service"],
                "method": ["psi", "psi"],
                "statistic": [0.25, float("nan")],
                "threshold": [0.1, 0.1],
                "is_drifted": [True, False],
                "rows_reference": [1000, 1000],
                "rows_current": [len(rows)] * 2,
            }
        )
    files = {name: _parquet(frame) for name, frame in frames.items()}
    return StageOutput(rows=len(rows), files=tuple(files)), files


def _parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


def result_of(
    example: ExampleBatch,
    folder: Path,
    stages: Mapping[str, StageOutput],
    model: str,
    version: str,
    times: tuple[datetime, datetime],
    known: str | None,
) -> BatchResult:
    """Return the result of a scored batch, from the summaries of its stages.

    Args:
        example: the batch.
        folder: the folder of the batch.
        stages: the summaries by name, in order; only the first if all rows are known.
        model: one of ``MODELS``.
        version: the model version with that content.
        times: start and end.
        known: the batch that accounts for its known rows, if any.
    """
    files = {name: folder / stage / name for stage, made in stages.items() for name in made.files}
    new = example.numbers(known)
    scored = [number for number in new if number not in example.quarantined]
    scoring = ScoringResult(
        model_version=version,
        operating_point="default",
        threshold=THRESHOLD,
        target_flag_rate=0.25,
        rows_scored=len(scored),
        rows_flagged=len([number for number in example.flagged[model] if number in new]),
        scores=tuple(files[name] for name in (SCORES,) if name in files),
        flagged=tuple(files[name] for name in (FLAGGED,) if name in files),
        reasons=files.get(REASONS),
        drift=files.get(DRIFT),
        started_at=times[0],
        finished_at=times[1],
    )
    return BatchResult(
        rows=RowCounts(
            rows_read=example.rows,
            rows_scored=len(scored),
            rows_quarantined=len(new) - len(scored),
            rows_known=example.rows - len(new),
        ),
        scoring=scoring if new else None,
        quarantine=tuple(files[name] for name in (QUARANTINE,) if name in files),
        validation=_facts(example),
        events=(
            OutboxEvent(
                key=f"{example.batch_id}:{version if new else 'known'}",
                event="noctule.batch.scored",
                payload={"batch_id": example.batch_id, "rows_scored": len(scored)},
            ),
        ),
        started_at=times[0],
        finished_at=times[1],
    )


def rejection_of(example: ExampleBatch, times: tuple[datetime, datetime]) -> BatchRejection:
    """Return the rejection of a batch."""
    return BatchRejection(
        reason="every row is of another protocol",
        rows=RowCounts.of_rejected(example.rows),
        validation=_facts(example),
        events=(
            OutboxEvent(
                key=f"{example.batch_id}:rejected",
                event="noctule.batch.rejected",
                payload={"batch_id": example.batch_id, "rows_rejected": example.rows},
            ),
        ),
        started_at=times[0],
        finished_at=times[1],
    )


def _facts(example: ExampleBatch) -> tuple[ExpectationResult, ...]:
    return tuple(
        ExpectationResult(
            suite="rows",
            expectation=f"expectation {ordinal}",
            column="duration" if ordinal == 1 else None,
            severity="required",
            is_success=not example.is_rejected,
            rows_checked=example.rows,
            rows_failed=example.rows if example.is_rejected else 0,
            observed=None,
            expected="0 to 1",
        )
        for ordinal in range(1, example.facts + 1)
    )
