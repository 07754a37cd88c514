"""The shadow of a night: a challenger that scores beside the champion, and can spoil nothing.

Belongs here: which challenger, and what becomes of a failure. Does not belong here: scoring or the
comparison (``tasks.stages``, ``tasks.shadow``).
"""

from sqlalchemy import Engine

from expectations.errors import NoctuleError
from flows.plan import plan_scoring
from flows.settings import Settings
from storage.model_store import load_verified
from tasks.score import ScoreSummary
from tasks.shadow import ShadowSummary
from tasks.stages import BatchJob, FileJob, shade_task
from tasks.validate import ValidationSummary


def run_shadow(
    settings: Settings,
    engine: Engine,
    job: BatchJob,
    validated: ValidationSummary,
    live: ScoreSummary,
) -> tuple[ShadowSummary | None, str | None]:
    """Let the challenger that is set score a batch too; whatever goes wrong fails no night.

    Returns:
        What it made of the batch, None where nothing did; and what a reader should know.
    """
    version = settings.shadow
    if version is None or version == job.model_version:  # the champion needs no shadow of itself
        return None, None
    try:
        folder = load_verified(engine, settings.models, version)
        file = FileJob(**job.model_dump(include=set(FileJob.model_fields)))
        plan = plan_scoring(settings, file, version, folder)
    except NoctuleError as error:
        return None, f"shadow {version} did not score: {error}"
    state = shade_task(plan, validated, live, return_state=True)
    result = state.result(raise_on_failure=False)
    if isinstance(result, ShadowSummary):
        return result, result.note
    return None, f"shadow {version} did not score: {result}"
