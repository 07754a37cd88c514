"""The nightly flow: every file that has arrived, oldest first, each in its own flow run.

Belongs here: which files are scored, and the outcome of the whole night. Does not belong here: the
work on one file (``flows.batch``).
"""

from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from prefect import tags
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from sqlalchemy import Engine

from expectations.errors import NoctuleError, ServiceUnavailableError
from flows.batch import score_file
from flows.clock import utc_now
from flows.contracts import require_champion
from flows.endings import flow
from flows.places import open_database, open_folder
from flows.run_records import outcome_of, record_run
from flows.settings import load_settings
from storage.queries import open_rejection_rows
from storage.text import storable
from tasks.intake.receive import NewFile, find_files_task
from tasks.reporting.events import publish_events_task
from tasks.reporting.night import publish_night_task
from tasks.reporting.outcomes import FileOutcome, NightOutcome, OpenRejection, SkippedFile
from tasks.task import untagged


def name_night() -> str:
    """Return the name of a run: the night it is for."""
    asked: date | None = flow_run.parameters.get("batch_date")
    return f"night of {asked or utc_now().date()}"


@flow("nightly", name_night)
def nightly(
    files: list[Path] | None = None, batch_date: date | None = None, contract: str | None = None
) -> State[NightOutcome]:
    """Score every file that has arrived. A bad file does not stop the others.

    Args:
        files: files or folders; the inbox if None.
        batch_date: the night they belong to; if None, the date in a file's name, else the day it
            arrived.
        contract: the contract that all files are read under; if None, that of the settings, else
            each file is recognised.

    Returns:
        Failed, with the reasons, if a file was rejected or could not be processed, or if an earlier
        rejection is still open.
    """
    settings = load_settings(contract)
    with (
        untagged(),
        open_database(settings) as engine,
        record_run(engine, "nightly") as run,
    ):
        require_champion(settings, engine)  # raises before any file is touched
        places = files or [open_folder(settings, "inbox")]
        found = find_files_task(
            engine,
            places,
            batch_date,
            settings.settle_s,
            utc_now(),
            settings.inbox_pattern,
            settings.contract,
        )
        with tags("noctule"):  # the runs of its files
            outcomes = [
                read_outcome(
                    file,
                    score_file(file.path, file.batch_date, settings.contract, return_state=True),
                )
                for file in found.new
            ]
        night = NightOutcome(
            files=tuple(outcomes),
            skipped=tuple(
                SkippedFile(file_name=file.path.name, reason=file.reason) for file in found.skipped
            ),
            open_rejections=find_open(
                engine, settings.contract, outcomes, found.finished if files else None
            ),
        )
        # A failure here does not fail the night.
        publish_night_task(engine, night, return_state=True)
        publish_events_task(engine, utc_now(), return_state=True)  # any left by an earlier run
        end = Failed if night.exit_code else Completed
        return run.end(end(message=night.message, data=night))


def find_open(
    engine: Engine,
    contract: str | None,
    outcomes: Sequence[FileOutcome],
    places: Collection[Path] | None,
) -> tuple[OpenRejection, ...]:
    """Return the open rejections of earlier runs: of one contract, or of all where it is None.

    The files of ``outcomes``, this run's, are left out. Where ``places`` is not None, only the
    rejections of these files are returned.

    Raises:
        ServiceUnavailableError: the database cannot be reached, and no outcome says so yet.
    """
    try:
        rows = open_rejection_rows(engine, contract=contract)
    except ServiceUnavailableError as error:
        if all(one.exit_code != error.exit_code for one in outcomes):
            raise
        return ()
    told = {(one.batch_id, one.file_name) for one in outcomes}
    asked = None if places is None else {storable(str(place.absolute())) for place in places}
    return tuple(
        OpenRejection.model_validate(row)
        for row in rows
        if (row["batch_id"], row["file_name"]) not in told
        and (asked is None or row["source_path"] in asked)
    )


def read_outcome(file: NewFile, state: State[Any]) -> FileOutcome:
    """Return the outcome of a file's flow; if the flow ended with an error, make one from it."""
    result = outcome_of(state)
    if isinstance(result, FileOutcome):
        return result
    return FileOutcome(
        file_name=file.path.name,
        batch_date=file.batch_date,
        status="failed",
        message=str(result) if isinstance(result, NoctuleError) else f"{state.name}: {result}",
        exit_code=result.exit_code if isinstance(result, NoctuleError) else 1,
    )
