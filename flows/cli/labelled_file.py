"""One labelled file, read and checked for a command that stores nothing in the database.

Belongs here: reading one path as accepted rows with labels. Does not belong here: several files to
train on (``flows.train``), or what a command does with the rows.
"""

from pathlib import Path

from expectations.registry import get_contract
from flows.plan import plan_file
from flows.settings import Settings
from tasks.evaluation.label_columns import choose_labels, require_normal_labels
from tasks.intake.content import hash_content
from tasks.intake.labelling import LabelReading
from tasks.validation.accept import AcceptedFile, require_accepted


def accept_labelled(
    settings: Settings, file: Path, workshop: Path, asked: LabelReading, doing: str
) -> AcceptedFile:
    """Read a labelled file into an empty folder, and check its rows and its labels.

    ``doing`` is the command, for messages: ``evaluate`` or ``study``.

    Raises:
        InputRejectedError: the file is refused, or has no clear labels.
        UsageError: the file has no such label column.
    """
    limit_bytes = settings.max_file_bytes
    contract = get_contract(settings.contract)
    (labels,) = choose_labels([file], contract, asked, doing, limit_bytes=limit_bytes)
    content = hash_content(file, limit_bytes=limit_bytes)
    job = plan_file(settings, file, content.sha256, workshop, labels.reading)
    accepted = require_accepted(job, doing)
    require_normal_labels([accepted], doing)
    return accepted
