"""The shadow of a night: a challenger that scores beside the champion, and can spoil nothing.

Belongs here: which challenger, and what becomes of a failure. Does not belong here: scoring or the
comparison (``tasks.scoring.stage``, ``tasks.scoring.shadow``), or how it is stored
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
    """Say before a night what keeps the challenger that is set from scoring; None if nothing does.

    It is no reason not to begin: each of the night's files has a note of it.
    """
    if settings.shadow is None:
        return None
    try:
        load_verified(engine, settings.models, settings.shadow)
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
    """Let the challenger that is set score a batch that is stored, and store that beside it.

    Whatever goes wrong is noted, and fails no night.

    Args:
        settings: which challenger.
        engine: the database.
        held: the claim under which the batch was stored.
        job: how the champion scored it.
        stages: what came of that.
        night: that the batch belongs to.

    Returns:
        What a reader of the night should know; None where nobody but the champion is to score.
    """
    version = settings.shadow
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
    """Say how a challenger scores the batch of a job: by its own threshold, chosen as if it served.

    Raises:
        ModelRefusedError: it is not registered, or its files are not those that were.
    """
    folder = load_verified(engine, settings.models, version)
    file = FileJob(**job.model_dump(include=set(FileJob.model_fields)))
    nights = look_back(settings, engine, version, folder, night)
    return plan_scoring(settings, file, version, folder, nights)


def say_briefly(error: BaseException) -> str:
    """Say in one line what went wrong; below it an error of a library may have a statement."""
    said = str(error) if isinstance(error, NoctuleError) else f"{type(error).__name__}: {error}"
    return said.partition("\n")[0].rstrip(": ")  # of one that has no words
