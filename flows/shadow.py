"""The shadows of a night: challengers that score beside the champions, and never fail a night.

Belongs here: which challenger scores, and the note about a failure. Does not belong here: scoring
or the comparison (``tasks.scoring.stage``, ``tasks.scoring.shadow``), or how it is stored
(``storage.shadows``).
"""

from datetime import date

import polars as pl
from sqlalchemy import Engine

from expectations.errors import NoctuleError
from flows.clock import utc_now
from flows.plan import look_back, plan_scoring
from flows.settings import Settings
from storage.claims import Claim
from storage.model_store import load_verified
from tasks.intake.stage import FileJob
from tasks.scoring.stage import BatchJob, score_shadow_task
from tasks.store import StageSummaries, store_shadow_task

FAILURES = (
    Exception,
    pl.exceptions.PanicException,  # no Exception: it would end the night
)


def find_trouble(settings: Settings, engine: Engine) -> str | None:
    """Return why a challenger of the settings cannot score; None if all can, or if there is none.

    The night begins anyway, and the outcome of each file has a note.
    """
    for version in settings.shadow:
        try:
            load_verified(engine, settings.models, version)
        except FAILURES as error:
            return f"no shadow will score (NOCTULE_SHADOW): {say_briefly(error)}"
    return None


def run_shadow(
    settings: Settings,
    engine: Engine,
    held: Claim,
    job: BatchJob,
    stages: StageSummaries,
    night: date,
) -> str | None:
    """Let the settings' challenger of its contract score a stored batch, and store its scores too.

    A failure becomes a note, and does not fail the night.

    Returns:
        A note for readers of the night; None where there is nothing to note, or no challenger.
    """
    version = settings.shadow_of(job.contract)
    if version is None or version == job.model_version:  # the champion needs no shadow of itself
        return None
    started_at = utc_now()
    try:
        plan = plan_shadow(settings, engine, job, version, night)
        shadow = score_shadow_task(plan, stages.validated, stages.scored)
        store_shadow_task(engine, held, job.folder, shadow, started_at, utc_now())
    except FAILURES as error:
        return f"shadow {version} did not score: {say_briefly(error)}"
    return shadow.note


def plan_shadow(
    settings: Settings, engine: Engine, job: BatchJob, version: str, night: date
) -> BatchJob:
    """Return the job of scoring a batch with a challenger.

    The challenger's own threshold is chosen as if it were the champion.

    Raises:
        ModelRefusedError: it is not registered, or its files were changed.
    """
    folder = load_verified(engine, settings.models, version)
    file = FileJob(**job.model_dump(include=set(FileJob.model_fields)))
    nights = look_back(settings, engine, version, folder, night)
    return plan_scoring(settings, file, version, folder, nights)


def say_briefly(error: BaseException) -> str:
    """Return an error in one line; further lines of a library's error may hold an SQL statement."""
    said = str(error) if isinstance(error, NoctuleError) else f"{type(error).__name__}: {error}"
    return said.partition("\n")[0].rstrip(": ")  # an error may have no message
