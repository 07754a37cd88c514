"""The drift stage of a batch, as flows call it.

Belongs here: what the stage's result depends on. Does not belong here: how it is computed
(``tasks.drift.measure``).
"""

from tasks.drift.measure import DriftOptions, DriftSummary, measure_drift
from tasks.fingerprint import code_fingerprint
from tasks.intake.stage import once
from tasks.scoring.score import ScoreSummary
from tasks.scoring.stage import BatchJob, score_key
from tasks.task import task
from tasks.validation.summary import ValidationSummary


def drift(job: BatchJob, validated: ValidationSummary, scored: ScoreSummary) -> DriftSummary:
    """Compare the batch with the rows on which its model was fitted."""
    options = DriftOptions(sample_rows=job.drift_sample_rows, seed=job.seed)
    key = {**score_key(job), "drift code": code_fingerprint("drift"), "drift": repr(options)}
    return once(
        job,
        job.stage("drift"),
        key,
        DriftSummary,
        lambda out: measure_drift(
            job.folder, validated.parts, scored.parts, job.model_folder, out, options
        ),
    )


# A second try finds the receipt or does the work again in a new folder.
drift_task = task(drift, name="drift", retries=1)
