"""Acceptance: a file is parsed and checked, or refused whole.

Belongs here: the two stages that come before any model, and the refusal of either. Does not belong
here: parsing (``tasks.intake``), or what a row must be like (``validate``).
"""

from pydantic import BaseModel, ConfigDict

from expectations.errors import InputRejectedError
from tasks.fingerprint import code_fingerprint
from tasks.intake.ingest import IngestOptions, IngestSummary, count_rows, ingest_file
from tasks.intake.sources import (
    DamagedContentError,
    SourceChangedError,
    SourceUnavailableError,
    hash_content,
)
from tasks.intake.stage import FileJob, once
from tasks.task import task
from tasks.validation.summary import ExpectationOutcome, ValidationSummary
from tasks.validation.validate import ValidateOptions, validate_batch


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
        return once(
            job,
            "ingest",
            ingest_key(job),
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
    validated = once(
        job,
        "validate",
        validate_key(job),
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


def ingest_key(job: FileJob) -> dict[str, str]:
    """Say what the parsed rows depend on; a later stage's key holds those of all before it."""
    return {
        "content": job.content,
        "contract": job.declared.fingerprint,
        "ingest code": code_fingerprint("intake"),
        "ingest": repr(_ingest_options(job)),
    }


def validate_key(job: FileJob) -> dict[str, str]:
    """Say what the accepted rows depend on."""
    return {
        **ingest_key(job),
        "validate code": code_fingerprint("validation"),
        "validate": repr(_validate_options(job)),
    }


# Each is idempotent: a second try finds the receipt, or does the work anew in a fresh folder.
ingest_task = task(ingest, name="ingest")
validate_task = task(validate, name="validate", retries=1)
