"""The part of the lake that training reads from, apart from the nights' batches.

Belongs here: one training at a time, what killed trainings left, and how labelled files are read
into it. Does not belong here: which files there are (``flows.training_files``), or fitting
(``flows.train``, ``flows.retrain``).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from expectations.errors import UsageError
from flows.places import require_room
from flows.plan import plan_content
from flows.settings import Settings
from storage.claims import lock_folder
from storage.lake import discard_attempts
from storage.model_files import discard_unfinished
from tasks.evaluation.label_columns import LabelChoice
from tasks.intake.content import hash_content
from tasks.intake.stage import FileJob


@contextmanager
def hold_training_lake(settings: Settings, doing: str) -> Iterator[None]:
    """Be the only training until the block ends; first remove what killed trainings left.

    ``doing`` is for messages: ``train`` or ``retrain``.

    Raises:
        UsageError: another training is at work.
    """
    with lock_folder(settings.training_lake) as is_alone:
        if not is_alone:
            message = (
                f"Cannot {doing}: another training is at work in {settings.home}. Wait for it."
            )
            raise UsageError(message)
        for folder in settings.training_lake.glob("*/*"):
            discard_attempts(folder)
        discard_unfinished(settings.models)
        yield


def plan_files(
    settings: Settings, contract: str, sources: Sequence[Path], labels: Sequence[LabelChoice]
) -> list[FileJob]:
    """Return a job for each file of a contract; the same content under two names is read once.

    ``labels`` has how the labels of each are read, in the same order.

    Raises:
        InputRejectedError: a file cannot be read.
        ServiceUnavailableError: the disk has too little free space.
    """
    contents = [hash_content(source, limit_bytes=settings.max_file_bytes) for source in sources]
    require_room(settings, sum(content.size_bytes for content in contents))
    jobs = [
        plan_content(
            settings, contract, source, content.sha256, settings.training_lake, found.reading
        )
        for source, content, found in zip(sources, contents, labels, strict=True)
    ]
    return list({job.batch_id: job for job in jobs}.values())
