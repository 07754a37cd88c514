"""Storing: the stages' summaries become one committed batch, or one recorded rejection.

Belongs here: which summary fills which field. Does not belong here: SQL (see ``storage``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from storage.batches import (
    BatchRejection,
    BatchResult,
    ValidationFact,
    commit_batch,
    reject_batch,
)
from storage.claims import Claim
from storage.outbox import OutboxEvent
from storage.scorings import ScoringResult
from tasks.drift import DriftSummary
from tasks.explain import ExplainSummary
from tasks.ingest import IngestSummary
from tasks.score import ScoreSummary
from tasks.stages import BatchJob, Refusal
from tasks.task import task
from tasks.validate import ExpectationOutcome, ValidationSummary

SCORED_EVENT = "noctule.batch.scored"
REJECTED_EVENT = "noctule.batch.rejected"


@dataclass(frozen=True, kw_only=True)
class StageSummaries:
    """What the stages of a scored batch returned."""

    ingested: IngestSummary
    validated: ValidationSummary
    scored: ScoreSummary
    explained: ExplainSummary
    drifted: DriftSummary


def store_scored(
    engine: Engine,
    held: Claim,
    job: BatchJob,
    stages: StageSummaries,
    started_at: datetime,
    finished_at: datetime,
) -> None:
    """Commit a scored batch: all its rows and its accounting in one transaction.

    Raises:
        ClaimLostError: another run has claimed the batch since.
        ServiceUnavailableError: the database cannot be reached; nothing was stored.
    """
    folder = job.folder
    quarantines = (stages.ingested.quarantine, stages.validated.quarantine)
    scoring = ScoringResult(
        model_version=job.model_version,
        operating_point=stages.scored.operating_point,
        threshold=stages.scored.threshold,
        target_flag_rate=stages.scored.target_flag_rate,
        rows_scored=stages.scored.rows_scored,
        rows_flagged=stages.scored.rows_flagged,
        scores=tuple(folder / name for name in stages.scored.parts),
        flagged=tuple(folder / name for name in stages.explained.flagged),
        reasons=folder / stages.explained.reasons,
        drift=folder / stages.drifted.statistics,
        started_at=started_at,
        finished_at=finished_at,
    )
    rows = {
        "rows_read": stages.ingested.rows_read,
        "rows_scored": stages.scored.rows_scored,
        "rows_quarantined": stages.ingested.rows_unparsed + stages.validated.rows_quarantined,
    }
    commit_batch(
        engine,
        held,
        BatchResult(
            **rows,
            scoring=scoring,
            quarantine=tuple(folder / name for name in quarantines if name is not None),
            validation=_facts(stages.validated.results),
            events=(
                OutboxEvent(
                    key=f"{job.batch_id}:{job.model_version}:scored",
                    event=SCORED_EVENT,
                    payload={
                        "batch_id": job.batch_id,
                        "file_name": job.source.name,
                        **rows,
                        "rows_flagged": stages.scored.rows_flagged,
                        "model_version": job.model_version,
                        "columns_drifted": list(stages.drifted.columns_drifted),
                    },
                ),
            ),
            started_at=started_at,
            finished_at=finished_at,
        ),
    )


def store_rejected(
    engine: Engine,
    held: Claim,
    job: BatchJob,
    refused: Refusal,
    started_at: datetime,
    finished_at: datetime,
) -> None:
    """Commit that a batch was refused whole, and why.

    Raises:
        ClaimLostError: another run has claimed the batch since.
        ServiceUnavailableError: the database cannot be reached; nothing was stored.
    """
    reject_batch(
        engine,
        held,
        BatchRejection(
            reason=refused.reason,
            rows_read=refused.rows_read,
            validation=_facts(refused.results),
            events=(
                OutboxEvent(
                    key=f"{job.batch_id}:rejected",
                    event=REJECTED_EVENT,
                    payload={
                        "batch_id": job.batch_id,
                        "file_name": job.source.name,
                        "reason": refused.reason,
                        "rows_rejected": refused.rows_read,
                    },
                ),
            ),
            started_at=started_at,
            finished_at=finished_at,
        ),
    )


def _facts(outcomes: Sequence[ExpectationOutcome]) -> tuple[ValidationFact, ...]:
    """Turn expectations' outcomes into rows to store."""
    return tuple(ValidationFact(**outcome.model_dump()) for outcome in outcomes)


# A commit that failed left nothing, and one that succeeded unnoticed is repeated without effect.
store_scored_task = task(store_scored, name="store", retries=2, retry_delay_seconds=5)
store_rejected_task = task(store_rejected, name="reject", retries=2, retry_delay_seconds=5)
