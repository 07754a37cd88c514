"""Acceptance: a file is parsed and checked, or refused whole.

Belongs here: the two stages that come before any model, how one follows the other, and what either
returns for a file that is refused. Does not belong here: parsing (``tasks.intake``), and what a row
must be like (``tasks.validation.validate``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from pydantic import BaseModel

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from expectations.suites import ExpectationResult
from storage.row_counts import RowCounts
from storage.text import printable
from tasks.fingerprint import code_fingerprint
from tasks.intake.content import (
    DamagedContentError,
    SourceChangedError,
    SourceUnavailableError,
    hash_content,
)
from tasks.intake.ingest import IngestSummary, ingest_file
from tasks.intake.receive import Arrival
from tasks.intake.source import IngestOptions
from tasks.intake.sources import open_source
from tasks.intake.stage import FileJob, once
from tasks.task import task
from tasks.validation.summary import ValidationSummary
from tasks.validation.validate import ValidateOptions, validate_batch


class Refusal(BaseModel, frozen=True):
    """A batch that is refused whole."""

    reason: str
    """One sentence for the operator."""
    rows: RowCounts
    """Every new row is rejected; no row is counted where the content could not be read."""
    field_names: tuple[str, ...] = ()
    """The names of the file's fields; empty where ingest refused the file."""
    results: tuple[ExpectationResult, ...] = ()
    report: str | None = None
    """The validation page, relative to the batch's folder; None where ingest refused the file."""


NO_CONTRACT: Final = Contract(name="unrecognised", title="none", source="none", columns=())
"""What counts the lines of a file of which nothing is known."""

FEATURES: Final = "features"
"""The entry of a receipt's key that says which features the rows have."""

Ingest: TypeAlias = Callable[[FileJob, str | None], IngestSummary | Refusal]
Validate: TypeAlias = Callable[[FileJob, IngestSummary], ValidationSummary | Refusal]


@dataclass(frozen=True)
class KnownFile:
    """A file of which other batches account for every row."""

    ingested: IngestSummary


@dataclass(frozen=True)
class AcceptedFile:
    """A file whose usable rows are in the batch's folder."""

    job: FileJob
    ingested: IngestSummary
    validated: ValidationSummary

    @property
    def name(self) -> str:
        """The file's name, as messages show it."""
        return printable(self.job.source.name)

    @property
    def parts(self) -> tuple[Path, ...]:
        """The Parquet files of its accepted rows, in the order of the file."""
        return tuple(self.job.folder / part.path for part in self.validated.parts)

    @property
    def rows_quarantined(self) -> int:
        """Rows that ingest could not parse, and rows that failed a required expectation."""
        return self.ingested.rows_unparsed + self.validated.rows_quarantined

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of figures made from these rows should know, a sentence each.

        Advisories on the label column are left out: the code that uses labels checks them.
        """
        advisories = self.validated.advisories_beside(self.job.declared.label)
        return (*self.ingested.notes_for_training, *advisories)


def ingest(job: FileJob, damage: str | None) -> IngestSummary | Refusal:
    """Parse the file into the lake.

    ``damage`` is why its content cannot be read, where ``receive`` found that out; else None.

    Raises:
        SourceUnavailableError: the file is gone, or cannot be read now.
        SourceChangedError: the file no longer holds the content that was received.
    """
    if damage is not None:
        return Refusal(reason=damage, rows=RowCounts())
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
        rows_read = open_source(job.source, job.declared).count_rows()
        refusal = Refusal(reason=str(error), rows=RowCounts.of_rejected(rows_read))
        if not _holds(job.source, job.content, job.max_file_bytes):
            # The error is about other content than was received: the batch must stay open.
            raise SourceChangedError.of(job.source) from error
        return refusal


def refuse_unrecognised(arrival: Arrival, limit_bytes: int) -> Refusal:
    """Return the refusal of a file for which no contract was recognised, with its rows counted.

    A header, which nobody knows, counts as a row.

    Raises:
        SourceUnavailableError: the file is gone, or cannot be read now.
        SourceChangedError: the file no longer holds the content that was received.
    """
    if arrival.damage is not None:
        return Refusal(reason=arrival.damage, rows=RowCounts())
    assert arrival.refusal is not None, "it has a contract"  # noqa: S101 - our own mistake
    rows_read = open_source(arrival.source, NO_CONTRACT).count_rows()
    if not _holds(arrival.source, arrival.content, limit_bytes):
        raise SourceChangedError.of(arrival.source)
    return Refusal(reason=arrival.refusal, rows=RowCounts.of_rejected(rows_read))


def _holds(source: Path, content: str, limit_bytes: int) -> bool:
    """Return whether a source still holds the content that was received."""
    try:
        return hash_content(source, limit_bytes=limit_bytes).sha256 == content
    except DamagedContentError:
        return False  # receive could read it


def validate(job: FileJob, ingested: IngestSummary) -> ValidationSummary | Refusal:
    """Check every row, and the batch as a whole, against the contract."""
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
        rows=RowCounts.of_rejected(ingested.rows_read, ingested.rows_known),
        field_names=ingested.field_names,
        results=validated.results,
        report=validated.report,
    )


def accept(
    job: FileJob,
    damage: str | None = None,
    ingest: Ingest = ingest,
    validate: Validate = validate,
) -> AcceptedFile | KnownFile | Refusal:
    """Parse a file and check its rows, or refuse it whole.

    ``damage`` is as of ``ingest``. A flow passes its Prefect tasks for the two stages; the second
    is left out where no row is new.

    Raises:
        SourceUnavailableError: the file is gone, or cannot be read now.
        SourceChangedError: the file no longer holds the content that was received.
    """
    ingested = ingest(job, damage)
    if isinstance(ingested, Refusal):
        return ingested
    if not ingested.rows_new:
        return KnownFile(ingested)
    validated = validate(job, ingested)
    if isinstance(validated, Refusal):
        return validated
    return AcceptedFile(job, ingested, validated)


def require_accepted(
    job: FileJob,
    doing: str,
    ingest: Ingest = ingest,
    validate: Validate = validate,
    refused: type[InputRejectedError] = InputRejectedError,
) -> AcceptedFile:
    """Return an accepted file, all of whose rows are new, or raise an error where it is refused.

    ``doing`` is for messages: ``train on``, ``evaluate``, ``study``. See ``accept`` for the stages.

    Raises:
        InputRejectedError: the file is gone or changed; refused whole, it raises ``refused``.
    """
    accepted = accept(job, None, ingest, validate)
    if isinstance(accepted, Refusal):
        # The reason of a file that ingest refused is a whole message already.
        is_message = accepted.report is None
        where = "" if is_message else f"Cannot {doing} {printable(job.source.name)}: "
        message = f"{where}{accepted.reason}"
        raise refused(message)
    assert isinstance(accepted, AcceptedFile), "every row is new"  # noqa: S101 - our own mistake
    return accepted


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
    """Return what the parsed rows depend on; a later stage's key holds the keys before it."""
    return {
        "content": job.content,
        "contract": job.declared.fingerprint,
        FEATURES: job.declared.feature_fingerprint,
        "ingest code": code_fingerprint("intake"),
        "ingest": repr(_ingest_options(job)),
    }


def validate_key(job: FileJob) -> dict[str, str]:
    """Return what the accepted rows depend on."""
    return {
        **ingest_key(job),
        "validate code": code_fingerprint("validation"),
        "validate": repr(_validate_options(job)),
    }


# Each is idempotent: a second try finds the receipt, or does the work again in a new folder.
ingest_task = task(ingest, name="ingest")
validate_task = task(validate, name="validate", retries=1)
refuse_unrecognised_task = task(refuse_unrecognised, name="refuse")
