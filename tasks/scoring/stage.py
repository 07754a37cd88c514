"""The stages of a batch that use a model: scoring, a challenger's scoring, and explaining.

Belongs here: their input, and the receipt's key of their results. Does not belong here: their
computations (``score``, ``shadow``, ``explain``).
"""

import logging
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from tasks.detectors.thresholds import OperatingPointName
from tasks.fingerprint import code_fingerprint
from tasks.intake.stage import FileJob, once
from tasks.scoring.explain import ExplainOptions, ExplainSummary, explain_batch
from tasks.scoring.score import ScoreOptions, ScoreSummary, score_batch
from tasks.scoring.shadow import ShadowSummary, compare_scores
from tasks.task import task
from tasks.validation.accept import validate_key
from tasks.validation.summary import ValidationSummary
from tasks.wording import ID_DIGITS

logger = logging.getLogger("noctule.stages")


class BatchJob(FileJob):
    """The input of all stages of a batch; the model is the one pinned at the claim."""

    model_version: str
    model_folder: Path
    operating_point: OperatingPointName
    threshold: float | None = None
    """Threshold of ``anomaly_score``; None for the model's own."""
    target_flag_rate: float | None = None
    """Share of connections that this threshold is meant to flag."""
    budget: int | None = None
    """Most alerts a night, where it was chosen by that: the share is then of all connections."""
    explain_top: int
    """Most flagged connections that are explained."""
    max_quarantined_rows: int
    """Most quarantined rows that the database keeps."""
    drift_sample_rows: int
    """Most rows of each side in Evidently's report."""
    threads: int
    seed: int

    def stage(self, name: str) -> str:
        """Return the name of a stage that depends on the model."""
        return f"{name}-{self.model_version}"


def score(
    job: BatchJob, validated: ValidationSummary, progress: Callable[[float], None] | None = None
) -> ScoreSummary:
    """Score every accepted connection with the model pinned in the job."""
    options = _score_options(job)
    return once(
        job,
        job.stage("score"),
        score_key(job),
        ScoreSummary,
        lambda out: score_batch(
            job.folder, validated.parts, job.model_folder, out, options, progress
        ),
    )


def score_with_progress(job: BatchJob, validated: ValidationSummary) -> ScoreSummary:
    """Score a batch; with several parts, show the progress in the Prefect UI and in the log."""
    if len(validated.parts) <= 1:
        return score(job, validated)
    show = _progress_artifact(job.batch_id)

    def report(share: float) -> None:
        show(share)
        words = f"{job.source.name}: score, {share:.0%}"
        logger.info(
            "scored batch=%s share=%.2f", job.batch_id[:ID_DIGITS], share, extra={"words": words}
        )

    return score(job, validated, report)


def score_shadow(job: BatchJob, validated: ValidationSummary, live: ScoreSummary) -> ShadowSummary:
    """Score every accepted connection with a challenger too, and compare.

    The job is the batch's own, with another model and threshold; ``live`` the champion's scores.
    """
    scored = score(job, validated)
    comparison = compare_scores(job.folder, live.parts, scored.parts)
    return ShadowSummary(model_version=job.model_version, scored=scored, comparison=comparison)


def explain(job: BatchJob, validated: ValidationSummary, scored: ScoreSummary) -> ExplainSummary:
    """Write the record of every flagged connection, and the reasons of some of them."""
    options = ExplainOptions(top_k=job.explain_top, threads=job.threads)
    return once(
        job,
        job.stage("explain"),
        {**score_key(job), "explain": repr(options)},
        ExplainSummary,
        lambda out: explain_batch(
            job.folder, validated.parts, scored.parts, job.model_folder, out, options
        ),
    )


def _progress_artifact(batch_id: str) -> Callable[[float], None]:
    """Create a progress artifact, and return the function that sets its share, in [0, 1]."""
    from prefect.artifacts import create_progress_artifact, update_progress_artifact

    made = create_progress_artifact(
        0.0, key=f"progress-{batch_id[:ID_DIGITS]}", description="connections scored, percent"
    )
    assert isinstance(made, UUID)  # noqa: S101 - a coroutine only within an event loop

    def show(share: float) -> None:
        update_progress_artifact(made, 100 * share)

    return show


def _score_options(job: BatchJob) -> ScoreOptions:
    return ScoreOptions(
        operating_point=job.operating_point,
        threshold=job.threshold,
        target_flag_rate=job.target_flag_rate,
        threads=job.threads,
    )


def score_key(job: BatchJob) -> dict[str, str]:
    """Return all that the scores depend on, for the receipt."""
    return {
        **validate_key(job),
        "score code": code_fingerprint("scoring"),
        "model": job.model_version,
        "score": repr(_score_options(job)),
    }


# Each is idempotent: a second try finds the receipt, or does the work again in a new folder.
score_task = task(score_with_progress, name="score", retries=1)
score_shadow_task = task(score_shadow, name="score as a shadow")
explain_task = task(explain, name="explain", retries=1)
