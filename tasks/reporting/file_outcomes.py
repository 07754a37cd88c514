"""Make the outcome of one file from the results of its stages.

Belongs here: one pure function for each way in which a batch can end. Does not belong here: the
class (``tasks.reporting.outcomes``), or how an outcome is shown (``tasks.reporting.night``).
"""

from collections.abc import Mapping
from pathlib import Path

from expectations.errors import InputRejectedError
from storage.batches import BatchRecord
from storage.cost import Cost
from tasks.intake.ingest import IngestSummary
from tasks.intake.receive import Arrival
from tasks.reporting.outcomes import FileOutcome
from tasks.scoring.stage import BatchJob
from tasks.store import StageSummaries
from tasks.validation.accept import Refusal
from tasks.wording import plural


def make_unchanged_outcome(
    known: BatchRecord, arrival: Arrival, *, is_busy: bool, is_open: bool
) -> FileOutcome:
    """Return the outcome of a file whose content is known or busy: there is nothing to do.

    Content that was rejected before fails again, with the same reason, until a person settles
    the rejection. Its rows were counted the first time, and are not counted again.

    ``known`` is the batch as it was after the claim was granted or refused; ``is_open`` says
    whether a rejection is still open.
    """
    was_rejected = known.rejection is not None and not is_busy
    if is_busy:
        message = "another run is working on it"
    elif known.file_name != arrival.name:
        message = f"{known.status} before, as {known.file_name} on {known.batch_date}"
    else:
        message = f"{known.status} before, on {known.batch_date}"
    if was_rejected:
        settled = "" if is_open else ", and dismissed or scored since"
        message = f"{message}{settled}: {known.rejection}"
    return FileOutcome(
        file_name=arrival.name,
        batch_date=known.batch_date,
        status="busy" if is_busy else "known",
        message=message,
        exit_code=InputRejectedError.exit_code if was_rejected and is_open else 0,
        batch_id=known.batch_id,
        contract=known.contract,
    )


def make_rejected_outcome(
    folder: Path, arrival: Arrival, refused: Refusal, costs: Mapping[str, Cost]
) -> FileOutcome:
    """Return the outcome of a rejected file; its batch has a folder in the lake."""
    return FileOutcome(
        file_name=arrival.name,
        batch_date=arrival.record.batch_date,
        status="rejected",
        message=refused.reason,
        exit_code=InputRejectedError.exit_code,
        batch_id=arrival.record.batch_id,
        contract=arrival.record.contract,
        **refused.rows.model_dump(),
        reports=() if refused.report is None else (folder / refused.report,),
        costs=costs,
    )


def make_known_outcome(
    job: BatchJob, arrival: Arrival, ingested: IngestSummary, costs: Mapping[str, Cost]
) -> FileOutcome:
    """Return the outcome of a new file whose rows are all in other batches."""
    return FileOutcome(
        file_name=arrival.name,
        batch_date=arrival.record.batch_date,
        status="scored",
        message=f"nothing new: all of its {plural(ingested.rows_read, 'row')} were known",
        batch_id=job.batch_id,
        contract=arrival.record.contract,
        rows_read=ingested.rows_read,
        rows_known=ingested.rows_known,
        rows_flagged=0,
        advisories=arrival.notes,
        costs=costs,
    )


def make_scored_outcome(
    job: BatchJob,
    arrival: Arrival,
    stages: StageSummaries,
    usual_rate: float | None,
    shadow_note: str | None,
    costs: Mapping[str, Cost],
) -> FileOutcome:
    """Return the outcome of a file that was scored.

    ``usual_rate`` is the share of rows that earlier nights flagged; None where it is not known.
    """
    scored = stages.scored
    connections = plural(scored.rows_scored, "connection")
    return FileOutcome(
        file_name=arrival.name,
        batch_date=arrival.record.batch_date,
        status="scored",
        message=f"scored {connections}, flagged {scored.rows_flagged:,}",
        batch_id=job.batch_id,
        contract=arrival.record.contract,
        **stages.rows.model_dump(),
        rows_flagged=scored.rows_flagged,
        model_version=job.model_version,
        operating_point=scored.operating_point,
        threshold=scored.threshold,
        target_flag_rate=scored.target_flag_rate,
        false_positive_rate=scored.false_positive_rate,
        advisories=_list_notes(job, arrival, stages, usual_rate, shadow_note),
        drifted=_list_drifted(stages),
        reports=tuple(job.folder / page for page in _list_pages(stages)),
        costs=costs,
    )


def _list_notes(
    job: BatchJob,
    arrival: Arrival,
    stages: StageSummaries,
    usual_rate: float | None,
    shadow_note: str | None,
) -> tuple[str, ...]:
    """List what a reader of the batch should know.

    A replay of quarantined rows is not compared with what is usual for a whole file.
    """
    ingested, validated, scored = stages.ingested, stages.validated, stages.scored
    deviation = (
        None if arrival.is_selection else scored.describe_rate_deviation(usual_rate, job.budget)
    )
    return (
        *arrival.notes,
        *ingested.notes,
        *ingested.notes_on_labels,
        *(note for note in (deviation, shadow_note) if note),
        *(() if stages.drifted is None else validated.advisories),
        *scored.notes,
        *(() if stages.drifted is None else stages.drifted.notes),
    )


def _list_drifted(stages: StageSummaries) -> tuple[str, ...]:
    """List the columns that have drifted, the score last."""
    is_score_drifted = stages.drifted is not None and stages.drifted.is_score_drifted
    return (*stages.columns_drifted, *(["anomaly_score"] if is_score_drifted else []))


def _list_pages(stages: StageSummaries) -> list[str]:
    """List the batch's pages, relative to its folder."""
    drift_page = None if stages.drifted is None else stages.drifted.report_html
    return [page for page in (stages.validated.report, drift_page) if page]
