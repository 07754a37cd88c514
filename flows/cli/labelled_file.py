"""One labelled file, read and checked for a command that stores nothing in the database.

Belongs here: reading one path as accepted rows with labels. Does not belong here: several files to
train on (``flows.train``), or what a command does with the rows.
"""

from pathlib import Path

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from expectations.registry import get_contract
from flows.plan import plan_content
from flows.settings import Settings
from storage.text import printable
from tasks.evaluation.label_columns import choose_labels, require_normal
from tasks.intake.chosen_contract import find_contract
from tasks.intake.content import hash_content
from tasks.intake.ingest import IngestSummary
from tasks.intake.label_words import LabelReading
from tasks.intake.stage import FileJob
from tasks.validation.accept import AcceptedFile, Refusal, ingest, require_accepted


def plan_labelled(
    settings: Settings, file: Path, folder: Path, asked: LabelReading, doing: str
) -> FileJob:
    """Return the job that reads a labelled file into an empty folder, by its first rows.

    Its contract is that of the settings, or else the one that is recognised. ``doing`` is the
    command, for messages: ``evaluate`` or ``study``.

    Raises:
        InputRejectedError: the file cannot be read, or has no clear labels in its first rows.
        UsageError: the file has no such label column.
    """
    limit_bytes = settings.max_file_bytes
    contract = require_contract_of(settings, file)
    (labels,) = choose_labels([file], contract, asked, doing, limit_bytes=limit_bytes)
    content = hash_content(file, limit_bytes=limit_bytes)
    return plan_content(settings, contract.name, file, content.sha256, folder, labels.reading)


def require_contract_of(settings: Settings, file: Path) -> Contract:
    """Return the contract of the settings, or else the one that is recognised for a file.

    Raises:
        InputRejectedError: the file cannot be read, or no contract is recognised.
    """
    found = find_contract(file, settings.contract)
    if found.refusal is not None:
        raise InputRejectedError(found.refusal)
    return get_contract(found.name)


def accept_labelled(job: FileJob, doing: str) -> AcceptedFile:
    """Read a labelled file; check all of its labels first, then its rows, which takes longer.

    Raises:
        InputRejectedError: the file is refused, or has labels that are not clear.
    """

    def ingest_labelled(job: FileJob, damage: str | None) -> IngestSummary | Refusal:
        ingested = ingest(job, damage)
        if isinstance(ingested, IngestSummary) and ingested.labels is not None:
            require_normal([(printable(job.source.name), ingested.labels)], doing)
        return ingested

    return require_accepted(job, doing, ingest_labelled)
