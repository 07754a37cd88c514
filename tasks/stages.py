"""The stages of a batch as flows call them: done once under a receipt, and named as Prefect tasks.

Belongs here: what each stage's result depends on, and nothing of how it is computed. The work
itself is in the module of the stage, complete without Prefect.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from expectations.registry import get_contract
from storage.lake import hash_text, run_stage
from tasks.detectors.hybrid import OperatingPointName
from tasks.drift import DriftOptions, DriftSummary, measure_drift
from tasks.explain import ExplainOptions, ExplainSummary, explain_batch
from tasks.ingest import IngestOptions, IngestSummary, count_rows, ingest_file
from tasks.labelling import LabelReading
from tasks.lines import LINE_BYTES
from tasks.publish import progress_artifact
from tasks.score import ScoreOptions, ScoreSummary, score_batch
from tasks.shadow import ShadowSummary, compare_scores
from tasks.shown import ID_DIGITS
from tasks.sources import (
    CONTENT_BYTES,
    DamagedContentError,
    SourceChangedError,
    SourceUnavailableError,
    hash_content,
)
from tasks.task import task
from tasks.validate import (
    ExpectationOutcome,
    ValidateOptions,
    ValidationSummary,
    validate_batch,
)

S = TypeVar("S", bound=BaseModel)

PACKAGES = ("expectations", "storage", "tasks")
SOURCE_SUFFIXES = (".py", ".html")
LIBRARIES = (
    "numpy", "scipy", "pandas", "pyarrow", "polars", "great-expectations", "lightgbm",
    "onnxruntime", "evidently", "plotly",
)  # fmt: skip
"""What a stage's result depends on beside its inputs: another version of any redoes it.

scikit-learn, Keras and JAX are not among them: no stage calls them, only training does."""

logger = logging.getLogger("noctule.stages")
logger.setLevel(logging.INFO)  # Prefect gives an extra logger its handlers but no level


class FileJob(BaseModel):
    """What the stages before any model need to know of a file: paths, names and numbers."""

    model_config = ConfigDict(frozen=True)

    source: Path
    batch_id: str
    content_sha256: str | None = None
    """What the source is known by, where that is not the batch id: of a replay."""
    contract: str
    folder: Path
    """The batch's folder in the lake."""
    known_bytes: int = 0
    """How much of the content another batch accounts for."""
    chunk_rows: int
    """Most rows held in memory at a time."""
    max_quarantine_ratio: float
    """Largest share of rows that may be unusable, in [0, 1]."""
    max_line_bytes: int = LINE_BYTES
    """Longest line that is read."""
    max_file_bytes: int = CONTENT_BYTES
    """Largest content that is read."""
    labels: LabelReading | None = None
    """How labels are read, where they are not the contract's own columns and words."""

    @property
    def declared(self) -> Contract:
        """The contract itself."""
        return get_contract(self.contract)

    @property
    def content(self) -> str:
        """SHA-256 of what the source must hold."""
        return self.content_sha256 or self.batch_id


class BatchJob(FileJob):
    """What all stages of a batch need to know; the model is the one pinned at the claim."""

    model_version: str
    model_folder: Path
    operating_point: OperatingPointName
    threshold: float | None = None
    """Of ``anomaly_score``, where it is not the model's own."""
    target_flag_rate: float | None = None
    """What that one was chosen for."""
    budget: int | None = None
    """Alerts of a night, where it was chosen for that: the share is then of all connections."""
    explain_top: int
    """Most flagged connections that are explained."""
    max_quarantined_rows: int
    """Most quarantined rows that the database keeps."""
    drift_sample_rows: int
    """Most rows of each side in Evidently's report."""
    threads: int
    seed: int

    def stage(self, name: str) -> str:
        """Name a stage that depends on the model."""
        return f"{name}-{self.model_version}"


class Refusal(BaseModel):
    """A batch that is refused whole."""

    model_config = ConfigDict(frozen=True)

    reason: str
    """One sentence for the operator."""
    rows_read: int
    rows_known: int = 0
    """Those that another batch accounts for; the others are rejected."""
    field_names: tuple[str, ...] = ()
    """What the fields of the file's lines are called, where it was read so far."""
    results: tuple[ExpectationOutcome, ...] = ()
    report: str | None = None
    """The validation page, relative to the batch's folder, where validation came so far."""


def ingest(job: FileJob, damage: str | None) -> IngestSummary | Refusal:
    """Parse the file into the lake.

    Args:
        job: the batch.
        damage: why its content cannot be read, where that is known already.

    Raises:
        SourceUnavailableError: the file is gone, or cannot be read now.
        SourceChangedError: it no longer holds the content it was received with.
    """
    if damage is not None:
        return Refusal(reason=damage, rows_read=0)
    options = _ingest_options(job)
    try:
        return _once(
            job,
            "ingest",
            _ingest_key(job),
            IngestSummary,
            lambda out: ingest_file(job.source, job.declared, out, job.content, options),
        )
    except (SourceChangedError, SourceUnavailableError):
        raise
    except InputRejectedError as error:
        refusal = Refusal(reason=str(error), rows_read=count_rows(job.source, job.declared))
        if not _is_as_received(job):
            # What was refused is not what was received: nothing is known of that yet.
            raise SourceChangedError.of(job.source) from error
        return refusal


def _is_as_received(job: FileJob) -> bool:
    """Tell whether the source still holds the content that the batch is known by."""
    try:
        return hash_content(job.source, limit_bytes=job.max_file_bytes).sha256 == job.content
    except DamagedContentError:
        return False  # it was whole when it was received


def validate(job: FileJob, ingested: IngestSummary) -> ValidationSummary | Refusal:
    """Check every row and the batch as a whole against the contract."""
    options = _validate_options(job)
    validated = _once(
        job,
        "validate",
        _validate_key(job),
        ValidationSummary,
        lambda out: validate_batch(job.folder, ingested, job.declared, job.source, out, options),
    )
    if validated.rejection is None:
        return validated
    return Refusal(
        reason=validated.rejection,
        rows_read=ingested.rows_read,
        rows_known=ingested.rows_known,
        field_names=ingested.field_names,
        results=validated.results,
        report=validated.report,
    )


def score(
    job: BatchJob, validated: ValidationSummary, progress: Callable[[float], None] | None = None
) -> ScoreSummary:
    """Score every accepted connection with the model pinned in the job."""
    options = _score_options(job)
    return _once(
        job,
        job.stage("score"),
        _score_key(job),
        ScoreSummary,
        lambda out: score_batch(
            job.folder, validated.parts, job.model_folder, out, options, progress
        ),
    )


def score_visibly(job: BatchJob, validated: ValidationSummary) -> ScoreSummary:
    """Score a batch; one of several parts shows its progress in the Prefect UI and in the log."""
    if len(validated.parts) <= 1:
        return score(job, validated)
    move = progress_artifact(job.batch_id)

    def tell(share: float) -> None:
        move(share)
        words = f"{job.source.name}: score, {share:.0%}"
        logger.info(
            "scored batch=%s share=%.2f", job.batch_id[:ID_DIGITS], share, extra={"words": words}
        )

    return score(job, validated, tell)


def shade(job: BatchJob, validated: ValidationSummary, live: ScoreSummary) -> ShadowSummary:
    """Score every accepted connection by a challenger too, and compare.

    Args:
        job: of the challenger; of the batch's own it has another model and threshold.
        validated: the accepted rows.
        live: what the champion made of them.
    """
    scored = score(job, validated)
    both, only_live, only_shadow, correlation = compare_scores(job.folder, live.parts, scored.parts)
    return ShadowSummary(
        model_version=job.model_version,
        scored=scored,
        rows_flagged_by_both=both,
        rows_flagged_by_live=only_live,
        rows_flagged_by_shadow=only_shadow,
        rank_correlation=correlation,
    )


def explain(job: BatchJob, validated: ValidationSummary, scored: ScoreSummary) -> ExplainSummary:
    """Keep the record of every flagged connection, and give the reasons of the highest scores."""
    options = ExplainOptions(top_k=job.explain_top, threads=job.threads)
    return _once(
        job,
        job.stage("explain"),
        {**_score_key(job), "explain": repr(options)},
        ExplainSummary,
        lambda out: explain_batch(
            job.folder, validated.parts, scored.parts, job.model_folder, out, options
        ),
    )


def drift(job: BatchJob, validated: ValidationSummary, scored: ScoreSummary) -> DriftSummary:
    """Compare the batch with what the model was fitted on."""
    options = DriftOptions(sample_rows=job.drift_sample_rows, seed=job.seed)
    return _once(
        job,
        job.stage("drift"),
        {**_score_key(job), "drift": repr(options)},
        DriftSummary,
        lambda out: measure_drift(
            job.folder, validated.parts, scored.parts, job.model_folder, out, options
        ),
    )


def _once(
    job: FileJob,
    stage: str,
    key: Mapping[str, str],
    summary_type: type[S],
    work: Callable[[Path], S],
) -> S:
    """Do a stage under its receipt, and log its begin and its counts; no value of any row."""
    batch, name = job.batch_id[:ID_DIGITS], stage.partition("-")[0]
    words = f"{job.source.name}: {name}"
    logger.info("began stage=%s batch=%s", stage, batch, extra={"words": words})
    began = time.perf_counter()
    summary = run_stage(job.folder, stage, key, summary_type, work)
    counts = " ".join(f"{name}={value}" for name, value in summary if name.startswith("rows_"))
    seconds = time.perf_counter() - began
    done = {"words": f"{words}, done"}
    logger.info(
        "finished stage=%s batch=%s %s seconds=%.1f", stage, batch, counts, seconds, extra=done
    )
    return summary


def _ingest_options(job: FileJob) -> IngestOptions:
    return IngestOptions(
        chunk_rows=job.chunk_rows,
        line_bytes=job.max_line_bytes,
        content_bytes=job.max_file_bytes,
        known_bytes=job.known_bytes,
        labels=job.labels,
    )


def _validate_options(job: FileJob) -> ValidateOptions:
    return ValidateOptions(max_quarantine_ratio=job.max_quarantine_ratio)


def _score_options(job: BatchJob) -> ScoreOptions:
    return ScoreOptions(
        operating_point=job.operating_point,
        threshold=job.threshold,
        target_flag_rate=job.target_flag_rate,
        threads=job.threads,
    )


def _ingest_key(job: FileJob) -> dict[str, str]:
    """Say what the parsed rows depend on; a later stage's key holds those of all before it."""
    return {
        "content": job.content,
        "contract": job.declared.fingerprint,
        "code": code_fingerprint(),
        "ingest": repr(_ingest_options(job)),
    }


def _validate_key(job: FileJob) -> dict[str, str]:
    return {**_ingest_key(job), "validate": repr(_validate_options(job))}


def _score_key(job: BatchJob) -> dict[str, str]:
    return {
        **_validate_key(job),
        "model": job.model_version,
        "score": repr(_score_options(job)),
    }


@cache
def code_fingerprint() -> str:
    """Hash what computes the stages: our own sources and the libraries they call."""
    root = Path(__file__).parents[1]
    sources = [
        path
        for package in PACKAGES
        for path in sorted((root / package).rglob("*"))
        if path.suffix in SOURCE_SUFFIXES
    ]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sources]
    names = [path.relative_to(root).as_posix() for path in sources]
    return hash_text(*names, *digests, *(f"{name} {version(name)}" for name in LIBRARIES))


# Each is idempotent: a second try finds the receipt, or does the work anew in a fresh folder.
ingest_task = task(ingest, name="ingest")
validate_task = task(validate, name="validate", retries=1)
score_task = task(score_visibly, name="score", retries=1)
shade_task = task(shade, name="score as a shadow")
explain_task = task(explain, name="explain", retries=1)
drift_task = task(drift, name="drift", retries=1)
