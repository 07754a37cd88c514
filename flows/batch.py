"""The flow of one delivered file: from its bytes to stored, explained flags.

Belongs here: the order of the stages, and the state in which a run ends. Does not belong here: the
stages (``tasks``), the outcome's fields (``tasks.reporting.file_outcomes``), or which files there
are (``flows.nightly``).
"""

from datetime import date, datetime
from pathlib import Path

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from sqlalchemy import Engine

from flows.clock import utc_now
from flows.endings import flow
from flows.places import open_database, require_room
from flows.plan import look_back, plan_file, plan_scoring
from flows.run_records import record_run
from flows.settings import Settings, load_settings
from flows.shadow import run_shadow
from storage.batches import find_batch
from storage.claims import Claim, claim
from storage.cost import measured
from storage.lake import batch_folder, discard_attempts, read_costs
from storage.model_store import champion, load_verified
from storage.nights import read_usual_rate
from storage.queries import is_rejection_open
from tasks.detectors.model_card import require_contract
from tasks.drift.stage import drift_task
from tasks.intake.ingest import IngestSummary
from tasks.intake.receive import Arrival, receive_task
from tasks.intake.replay import take_rows_task
from tasks.reporting.events import publish_events_task
from tasks.reporting.file_outcomes import (
    make_known_outcome,
    make_rejected_outcome,
    make_scored_outcome,
    make_unchanged_outcome,
)
from tasks.reporting.night import publish_batch_task
from tasks.reporting.outcomes import FileOutcome
from tasks.scoring.stage import BatchJob, explain_task, score_task
from tasks.store import (
    StageSummaries,
    store_known_task,
    store_rejected_task,
    store_scored_task,
)
from tasks.task import untagged
from tasks.validation.accept import (
    KnownFile,
    Refusal,
    accept,
    ingest_task,
    refuse_unrecognised_task,
    validate_task,
)


@flow("batch", "{source.name} {batch_date}")
def score_file(source: Path, batch_date: date, contract: str | None = None) -> State[FileOutcome]:
    """Validate, score, explain and store one file of connections.

    Args:
        source: the file, in any folder.
        batch_date: the night it belongs to, UTC.
        contract: the contract it is read under; if None, that of the settings, else the one that
            is recognised.

    Returns:
        Failed with the reason where the batch is rejected, else completed.
    """
    settings, started_at = load_settings(contract), utc_now()
    with untagged(), open_database(settings) as engine:
        arrival = receive_task(
            engine, source, settings.contract, batch_date, started_at, settings.max_file_bytes
        )
        with record_run(engine, "batch", arrival.record.batch_id) as run:
            return run.end(finish_batch(settings, engine, arrival, started_at))


def finish_batch(
    settings: Settings, engine: Engine, arrival: Arrival, started_at: datetime
) -> State[FileOutcome]:
    """Take a file or a replay through every stage, unless it is finished or another run has it."""
    record = arrival.record
    folder = batch_folder(settings.lake, record.contract, record.batch_id)
    with claim(engine, folder, record.batch_id) as held:
        if held is None or is_settled(engine, arrival, held):
            return end_unchanged(engine, arrival, is_busy=held is None)
        require_room(settings, arrival.content_bytes)
        discard_attempts(folder)
        if arrival.refusal is not None:
            refused = refuse_unrecognised_task(arrival, settings.max_file_bytes)
            return finish_rejected(engine, held, folder, arrival, refused, started_at)
        if arrival.is_selection:
            arrival = take_rows_task(engine, folder, arrival, settings.max_line_bytes)
        job = plan_batch(settings, engine, arrival, held)
        accepted = accept(job, arrival.damage, ingest_task, validate_task)
        if isinstance(accepted, Refusal):
            return finish_rejected(engine, held, folder, arrival, accepted, started_at)
        if isinstance(accepted, KnownFile):
            return finish_known(engine, held, job, arrival, accepted.ingested, started_at)
        validated = accepted.validated
        scored = score_task(job, validated)
        explained = explain_task(job, validated, scored)
        # Quarantined rows by themselves do not show how traffic has changed.
        drifted = None if arrival.is_selection else drift_task(job, validated, scored)
        stages = StageSummaries(
            ingested=accepted.ingested,
            validated=validated,
            scored=scored,
            explained=explained,
            drifted=drifted,
        )
        return finish_scored(settings, engine, held, job, arrival, stages, started_at)


def plan_batch(settings: Settings, engine: Engine, arrival: Arrival, held: Claim) -> BatchJob:
    """Return the job of a batch, with the model that is champion of its contract now.

    Raises:
        UsageError: no model of its contract was trained yet.
        ModelRefusedError: the champion's files are not those that were registered.
    """
    contract = arrival.record.contract
    model = champion(engine, contract)
    changes: dict[str, object] = {
        "known_bytes": 0 if held.known is None else held.known.size_bytes,
        "content_sha256": arrival.content_sha256,
    }
    if arrival.is_selection:
        changes["max_quarantine_ratio"] = 1.0  # each of them was quarantined before
    file = plan_file(settings, contract, arrival.source, held.batch_id).model_copy(update=changes)
    folder = load_verified(engine, settings.models, model.version)
    require_contract(folder, file.declared)  # before anything is parsed
    nights = look_back(settings, engine, model.version, folder, arrival.record.batch_date)
    return plan_scoring(settings, file, model.version, folder, nights)


def end_unchanged(engine: Engine, arrival: Arrival, *, is_busy: bool) -> State[FileOutcome]:
    """End the flow if there is nothing to do: the content is known, or another run works on it."""
    known = find_batch(engine, arrival.record.batch_id)  # another run may have finished it by now
    is_open = is_open_here(engine, arrival)
    outcome = make_unchanged_outcome(known, arrival, is_busy=is_busy, is_open=is_open)
    end = Failed if outcome.exit_code else Completed
    return end(message=outcome.message, data=outcome)


def is_settled(engine: Engine, arrival: Arrival, held: Claim) -> bool:
    """Return whether a batch is finished.

    An open file without a contract is refused anew if other contracts were tried, so that the
    reason names these.
    """
    is_to_renew = (
        arrival.refusal is not None
        and arrival.record.contract_fingerprint != arrival.contract_fingerprint
        and is_open_here(engine, arrival)
    )
    return held.is_finished and not is_to_renew


def is_open_here(engine: Engine, arrival: Arrival) -> bool:
    """Return whether the rejection of a file is still open; a replay's always is."""
    if arrival.replays is not None:
        return True
    return is_rejection_open(engine, arrival.record.batch_id, arrival.source.absolute())


def finish_rejected(
    engine: Engine,
    held: Claim,
    folder: Path,
    arrival: Arrival,
    refused: Refusal,
    started_at: datetime,
) -> State[FileOutcome]:
    """Store that the batch is rejected, show it, and fail with the reason."""
    with measured() as storing:
        store_rejected_task(engine, held, arrival, refused, started_at, utc_now())
    costs = {**read_costs(folder, started_at), "store": storing}
    outcome = show(engine, make_rejected_outcome(folder, arrival, refused, costs))
    return Failed(message=f"rejected: {refused.reason}", data=outcome)


def finish_known(
    engine: Engine,
    held: Claim,
    job: BatchJob,
    arrival: Arrival,
    ingested: IngestSummary,
    started_at: datetime,
) -> State[FileOutcome]:
    """Store that other batches account for every row, show it, and complete."""
    store_known_task(engine, held, arrival, ingested, started_at, utc_now())
    costs = read_costs(job.folder, started_at)
    outcome = show(engine, make_known_outcome(job, arrival, ingested, costs))
    return Completed(message=outcome.message, data=outcome)


def finish_scored(
    settings: Settings,
    engine: Engine,
    held: Claim,
    job: BatchJob,
    arrival: Arrival,
    stages: StageSummaries,
    started_at: datetime,
) -> State[FileOutcome]:
    """Store the stages' results, let a shadow score too, publish the outcome, and complete."""
    with measured() as storing:
        store_scored_task(engine, held, job, arrival, stages, started_at, utc_now())
    night = arrival.record.batch_date
    shadow_note = run_shadow(settings, engine, held, job, stages, night)
    usual_rate = read_usual_rate(
        engine,
        job.contract,
        job.model_version,
        job.operating_point,
        before=night,
        nights=settings.budget_nights,
    )
    costs = {**read_costs(job.folder, started_at), "store": storing}
    made = make_scored_outcome(job, arrival, stages, usual_rate, shadow_note, costs)
    outcome = show(engine, made)
    return Completed(message=outcome.message, data=outcome)


def show(engine: Engine, outcome: FileOutcome) -> FileOutcome:
    """Publish what is stored, and add the cost of that. A failure here does not fail the batch."""
    with measured() as publishing:
        publish_batch_task(engine, outcome, return_state=True)
        publish_events_task(engine, utc_now(), return_state=True)
    return outcome.model_copy(update={"costs": {**outcome.costs, "publish": publishing}})
