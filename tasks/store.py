"""Store the summaries of the stages as one committed batch, or one recorded rejection.

Belongs here: which summary fills which field. Does not belong here: SQL (see ``storage``).
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from expectations.errors import ServiceUnavailableError
from storage.batches import BatchRejection, BatchResult, commit_batch, reject_batch
from storage.claims import Claim, ClaimLostError, OvertakenError
from storage.contract_views import make_contract_view
from storage.outbox import OutboxEvent
from storage.row_counts import RowCounts
from storage.scorings import ScoringResult
from storage.shadows import commit_shadow
from tasks.drift.measure import DriftSummary
from tasks.intake.ingest import IngestSummary
from tasks.intake.receive import Arrival
from tasks.scoring.explain import ExplainSummary
from tasks.scoring.score import ScoreSummary
from tasks.scoring.shadow import ShadowSummary, make_labelled_rows, make_shadow_result
from tasks.scoring.stage import BatchJob
from tasks.task import task
from tasks.validation.accept import Refusal
from tasks.validation.summary import ValidationSummary

logger = logging.getLogger("noctule.stages")

RETRY_DELAYS_S = (2, 8, 20)
"""Waits before a commit is tried again, in seconds. A guess: together as long as the restart
of a database."""


@dataclass(frozen=True, kw_only=True)
class StageSummaries:
    """What the stages of a scored batch returned."""

    ingested: IngestSummary
    validated: ValidationSummary
    scored: ScoreSummary
    explained: ExplainSummary
    drifted: DriftSummary | None
    """None if drift was not measured."""

    @property
    def rows(self) -> RowCounts:
        """What happened to the rows of the batch."""
        return RowCounts(
            rows_read=self.ingested.rows_read,
            rows_scored=self.scored.rows_scored,
            rows_quarantined=self.ingested.rows_unparsed + self.validated.rows_quarantined,
            rows_known=self.ingested.rows_known,
        )

    @property
    def columns_drifted(self) -> tuple[str, ...]:
        """The columns that have drifted; none if drift was not measured."""
        return () if self.drifted is None else self.drifted.columns_drifted


def store_scored(
    engine: Engine,
    held: Claim,
    job: BatchJob,
    arrival: Arrival,
    stages: StageSummaries,
    started_at: datetime,
    finished_at: datetime,
) -> None:
    """Commit a scored batch: its rows and its counts, in one transaction.

    Then the view of its contract is made, if it is not there yet or the contract has changed.

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
        labelled=make_labelled_rows(stages.scored.labelled),
        scores=tuple(folder / name for name in stages.scored.parts),
        flagged=tuple(folder / name for name in stages.explained.flagged),
        reasons=folder / stages.explained.reasons,
        drift=None if stages.drifted is None else folder / stages.drifted.statistics,
        started_at=started_at,
        finished_at=finished_at,
    )
    commit_batch(
        engine,
        held,
        BatchResult(
            rows=stages.rows,
            scoring=scoring,
            quarantine=tuple(folder / name for name in quarantines if name is not None),
            quarantine_limit=job.max_quarantined_rows,
            field_names=stages.ingested.field_names,
            contract_fingerprint=arrival.contract_fingerprint,
            corrections=arrival.corrections,
            validation=stages.validated.results,
            events=_events(
                arrival,
                "scored",
                f"{job.batch_id}:{job.model_version}",
                **stages.rows.model_dump(exclude={"rows_rejected"}),
                rows_flagged=stages.scored.rows_flagged,
                model_version=job.model_version,
                columns_drifted=list(stages.columns_drifted),
            ),
            started_at=started_at,
            finished_at=finished_at,
        ),
    )
    no_view = make_contract_view(engine, job.declared)
    if no_view is not None:
        logger.warning("no view contract=%s", job.contract, extra={"words": no_view})


def store_shadow(
    engine: Engine,
    held: Claim,
    folder: Path,
    shadow: ShadowSummary,
    started_at: datetime,
    finished_at: datetime,
) -> None:
    """Commit the scores of a shadow for a batch, under its claim: all rows in one transaction.

    Raises:
        ClaimLostError: another run has claimed the batch since.
        ServiceUnavailableError: the database cannot be reached; nothing of the shadow was stored.
    """
    commit_shadow(engine, held, make_shadow_result(folder, shadow, started_at, finished_at))


def store_rejected(
    engine: Engine,
    held: Claim,
    arrival: Arrival,
    refused: Refusal,
    started_at: datetime,
    finished_at: datetime,
) -> None:
    """Commit that a batch is rejected, and why.

    Raises:
        ClaimLostError: another run has claimed the batch since.
        ServiceUnavailableError: the database cannot be reached; nothing was stored.
    """
    reject_batch(
        engine,
        held,
        BatchRejection(
            reason=refused.reason,
            rows=refused.rows,
            field_names=refused.field_names,
            contract_fingerprint=arrival.contract_fingerprint,
            validation=refused.results,
            events=_events(
                arrival,
                "rejected",
                held.batch_id,
                reason=refused.reason,
                rows_rejected=refused.rows.rows_rejected,
            ),
            started_at=started_at,
            finished_at=finished_at,
        ),
    )


def store_known(
    engine: Engine,
    held: Claim,
    arrival: Arrival,
    ingested: IngestSummary,
    started_at: datetime,
    finished_at: datetime,
) -> None:
    """Commit a batch of which other batches account for every row.

    Raises:
        ClaimLostError: another run has claimed the batch since.
        ServiceUnavailableError: the database cannot be reached; nothing was stored.
    """
    commit_batch(
        engine,
        held,
        BatchResult(
            rows=RowCounts(rows_read=ingested.rows_read, rows_known=ingested.rows_known),
            scoring=None,
            quarantine=(),
            field_names=ingested.field_names,
            contract_fingerprint=arrival.contract_fingerprint,
            validation=(),
            events=_events(arrival, "known", held.batch_id, rows_known=ingested.rows_known),
            started_at=started_at,
            finished_at=finished_at,
        ),
    )


def _events(arrival: Arrival, outcome: str, key: str, **facts: object) -> tuple[OutboxEvent, ...]:
    """Return the one event of a batch: its payload names the batch, and gives some facts."""
    payload = {
        "batch_id": arrival.record.batch_id,
        "contract": arrival.record.contract,
        "file_name": arrival.name,
        "replayed_batch_id": arrival.record.replayed_batch_id,
        **facts,
    }
    return (OutboxEvent(key=f"{key}:{outcome}", event=f"noctule.batch.{outcome}", payload=payload),)


def is_passing(error: object) -> bool:
    """Return whether the only fault is an unreachable or locked database."""
    is_overtaken = isinstance(error, ClaimLostError | OvertakenError)
    return isinstance(error, ServiceUnavailableError) and not is_overtaken


# A failed commit leaves nothing; to repeat one that succeeded unnoticed has no effect.
_store = partial(
    task, retries=len(RETRY_DELAYS_S), retry_delays_s=RETRY_DELAYS_S, is_passing=is_passing
)
store_scored_task = _store(store_scored, name="store")
store_shadow_task = _store(store_shadow, name="store the shadow")
store_rejected_task = _store(store_rejected, name="reject")
store_known_task = _store(store_known, name="store known")
