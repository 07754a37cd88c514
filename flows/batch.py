"""The flow of one delivered file: from bytes to committed, explained flags.

Belongs here: the order of the stages, and how each way to end looks to an operator. Does not
belong here: the stages (``tasks``), or which files there are (``flows.nightly``).
"""

from datetime import date, datetime
from pathlib import Path

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from sqlalchemy import Engine

from expectations.errors import InputRejectedError
from flows.clock import utc_now
from flows.endings import flow
from flows.places import open_database, require_room
from flows.plan import look_back, plan_file, plan_scoring
from flows.run_records import record_run
from flows.settings import Settings, load_settings
from flows.shadow import run_shadow
from storage.batches import BatchRecord, find_batch
from storage.claims import Claim, claim
from storage.cost import measured
from storage.lake import batch_folder, discard_attempts, read_costs
from storage.model_store import champion, load_verified
from storage.nights import read_usual_rate
from storage.queries import open_rejection_rows
from storage.text import storable
from tasks.drift.stage import drift_task
from tasks.intake.ingest import IngestSummary
from tasks.intake.receive import Arrival, receive_task
from tasks.intake.replay import take_rows_task
from tasks.reporting.events import publish_events_task
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
from tasks.validation.accept import KnownFile, Refusal, accept, ingest_task, validate_task
from tasks.wording import plural


@flow("batch", "{source.name} {batch_date}")
def score_file(source: Path, batch_date: date) -> State[FileOutcome]:
    """Validate, score, explain and store one file of connections.

    Args:
        source: the file, wherever it lies.
        batch_date: the night it belongs to, UTC.

    Returns:
        Failed with the reason where the batch is rejected, else completed.
    """
    settings, started_at = load_settings(), utc_now()
    with untagged(), open_database(settings) as engine:
        arrival = receive_task(
            engine, source, settings.contract, batch_date, started_at, settings.max_file_bytes
        )
        with record_run(engine, "batch", arrival.record.batch_id) as run:
            return run.end(finish_batch(settings, engine, arrival, started_at))


def finish_batch(
    settings: Settings, engine: Engine, arrival: Arrival, started_at: datetime
) -> State[FileOutcome]:
    """Take what has arrived through every stage, unless it is finished or another run has it."""
    record = arrival.record
    folder = batch_folder(settings.lake, record.contract, record.batch_id)
    with claim(engine, folder, record.batch_id) as held:
        if held is None or held.is_finished:
            known = find_batch(engine, record.batch_id)  # by now another run may have decided
            is_open = is_rejection_open(engine, arrival)
            return end_unchanged(known, arrival, is_busy=held is None, is_open=is_open)
        require_room(settings, arrival.content_bytes)
        discard_attempts(folder)
        if arrival.is_selection:
            arrival = take_rows_task(engine, folder, arrival, settings.max_line_bytes)
        job = plan_batch(settings, engine, arrival, held)
        accepted = accept(job, arrival.damage, ingest_task, validate_task)
        if isinstance(accepted, Refusal):
            return refuse(engine, held, job, arrival, accepted, started_at)
        if isinstance(accepted, KnownFile):
            return finish_known(engine, held, job, arrival, accepted.ingested, started_at)
        validated = accepted.validated
        scored = score_task(job, validated)
        explained = explain_task(job, validated, scored)
        # Rows that were chosen for being bad say nothing of how traffic has moved.
        drifted = None if arrival.is_selection else drift_task(job, validated, scored)
        stages = StageSummaries(
            ingested=accepted.ingested,
            validated=validated,
            scored=scored,
            explained=explained,
            drifted=drifted,
        )
        return finish(settings, engine, held, job, arrival, stages, started_at)


def plan_batch(settings: Settings, engine: Engine, arrival: Arrival, held: Claim) -> BatchJob:
    """Say what is to be done, with the champion of the claim's moment pinned.

    Raises:
        UsageError: no model was trained yet.
        ModelRefusedError: the champion's files are not those that were registered.
    """
    model = champion(engine, settings.contract)
    changes: dict[str, object] = {
        "known_bytes": 0 if held.known is None else held.known.size_bytes,
        "content_sha256": arrival.content_sha256,
    }
    if arrival.is_selection:
        changes["max_quarantine_ratio"] = 1.0  # each of them was quarantined before
    file = plan_file(settings, arrival.source, held.batch_id).model_copy(update=changes)
    folder = load_verified(engine, settings.models, model.version)
    nights = look_back(settings, engine, model.version, folder, arrival.record.batch_date)
    return plan_scoring(settings, file, model.version, folder, nights)


def end_unchanged(
    known: BatchRecord, arrival: Arrival, *, is_busy: bool, is_open: bool
) -> State[FileOutcome]:
    """End where there is nothing to do: the content is known, or another run is at it.

    Content that was rejected before is no more usable today: it fails again, with the reason, until
    the rejection is settled. Its rows were counted then, and are not counted again.

    Args:
        known: the batch as it was after the claim was granted or refused.
        arrival: what it came as this time.
        is_busy: whether another run holds it.
        is_open: whether, if it was rejected, nobody has seen to that yet.
    """
    was_rejected = known.rejection is not None and not is_busy
    is_rejected = was_rejected and is_open
    name = arrival.name
    if is_busy:
        message = "another run is working on it"
    elif known.file_name != name:
        message = f"{known.status} before, as {known.file_name} on {known.batch_date}"
    else:
        message = f"{known.status} before, on {known.batch_date}"
    if was_rejected:
        settled = "" if is_open else ", and dismissed or scored since"
        message = f"{message}{settled}: {known.rejection}"
    outcome = FileOutcome(
        file_name=name,
        batch_date=known.batch_date,
        status="busy" if is_busy else "known",
        message=message,
        exit_code=InputRejectedError.exit_code if is_rejected else 0,
        batch_id=known.batch_id,
    )
    return (Failed if is_rejected else Completed)(message=message, data=outcome)


def is_rejection_open(engine: Engine, arrival: Arrival) -> bool:
    """Whether a file, if it was rejected, is open; a replay that was rejected always is."""
    if arrival.replays is not None:
        return True
    source = storable(str(arrival.source.absolute()))
    rows = open_rejection_rows(engine, batches=[arrival.record.batch_id])
    return any(row["source_path"] == source for row in rows)


def refuse(
    engine: Engine,
    held: Claim,
    job: BatchJob,
    arrival: Arrival,
    refused: Refusal,
    started_at: datetime,
) -> State[FileOutcome]:
    """Store that the batch is rejected, show it, and fail with the reason."""
    with measured() as storing:
        store_rejected_task(engine, held, job, arrival, refused, started_at, utc_now())
    outcome = FileOutcome(
        file_name=arrival.name,
        batch_date=arrival.record.batch_date,
        status="rejected",
        message=refused.reason,
        exit_code=InputRejectedError.exit_code,
        batch_id=job.batch_id,
        rows_read=refused.rows_read,
        rows_rejected=refused.rows_read - refused.rows_known,
        rows_known=refused.rows_known,
        reports=() if refused.report is None else (job.folder / refused.report,),
        costs={**read_costs(job.folder, started_at), "store": storing},
    )
    shown = show(engine, outcome)
    return Failed(message=f"rejected: {refused.reason}", data=shown)


def finish_known(
    engine: Engine,
    held: Claim,
    job: BatchJob,
    arrival: Arrival,
    ingested: IngestSummary,
    started_at: datetime,
) -> State[FileOutcome]:
    """Store that every row of the batch is accounted for by another, and complete."""
    store_known_task(engine, held, arrival, ingested, started_at, utc_now())
    message = f"nothing new: all of its {plural(ingested.rows_read, 'row')} were known"
    outcome = FileOutcome(
        file_name=arrival.name,
        batch_date=arrival.record.batch_date,
        status="scored",
        message=message,
        batch_id=job.batch_id,
        rows_read=ingested.rows_read,
        rows_known=ingested.rows_known,
        rows_flagged=0,
        advisories=arrival.notes,
        costs=read_costs(job.folder, started_at),
    )
    return Completed(message=message, data=show(engine, outcome))


def finish(
    settings: Settings,
    engine: Engine,
    held: Claim,
    job: BatchJob,
    arrival: Arrival,
    stages: StageSummaries,
    started_at: datetime,
) -> State[FileOutcome]:
    """Store what the stages made, let a shadow score beside, show it, and complete."""
    with measured() as storing:
        store_scored_task(engine, held, job, arrival, stages, started_at, utc_now())
    night = arrival.record.batch_date
    shadow_note = run_shadow(settings, engine, held, job, stages, night)
    ingested, validated, scored = stages.ingested, stages.validated, stages.scored
    notes = [*arrival.notes, *ingested.notes, *ingested.notes_on_labels]
    usual = read_usual_rate(
        engine,
        job.contract,
        job.model_version,
        job.operating_point,
        before=night,
        nights=settings.budget_nights,
    )
    parted = None if arrival.is_selection else scored.describe_rate_deviation(usual, job.budget)
    notes += [note for note in (parted, shadow_note) if note]
    drifted = stages.columns_drifted
    pages = [validated.report]
    if stages.drifted is None:
        notes += scored.notes
    else:
        notes += [*validated.advisories, *scored.notes, *stages.drifted.notes]
        pages += [stages.drifted.report_html] if stages.drifted.report_html else []
        drifted += ("anomaly_score",) if stages.drifted.is_score_drifted else ()
    connections = plural(scored.rows_scored, "connection")
    message = f"scored {connections}, flagged {scored.rows_flagged:,}"
    outcome = FileOutcome(
        file_name=arrival.name,
        batch_date=arrival.record.batch_date,
        status="scored",
        message=message,
        batch_id=job.batch_id,
        rows_read=ingested.rows_read,
        rows_scored=scored.rows_scored,
        rows_quarantined=ingested.rows_unparsed + validated.rows_quarantined,
        rows_known=ingested.rows_known,
        rows_flagged=scored.rows_flagged,
        model_version=job.model_version,
        operating_point=scored.operating_point,
        threshold=scored.threshold,
        target_flag_rate=scored.target_flag_rate,
        false_positive_rate=scored.false_positive_rate,
        advisories=tuple(notes),
        drifted=drifted,
        reports=tuple(job.folder / page for page in pages),
        costs={**read_costs(job.folder, started_at), "store": storing},
    )
    return Completed(message=message, data=show(engine, outcome))


def show(engine: Engine, outcome: FileOutcome) -> FileOutcome:
    """Publish what is stored, and add what that cost. A failure here fails no batch."""
    with measured() as publishing:
        publish_batch_task(engine, outcome, return_state=True)
        publish_events_task(engine, utc_now(), return_state=True)
    return outcome.model_copy(update={"costs": {**outcome.costs, "publish": publishing}})
