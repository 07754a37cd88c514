"""The training flow: files become a model version; the first one becomes champion.

Belongs here: which files, and what a training came to. Does not belong here: fitting
(``tasks.training.fit``) or the comparison of versions.
"""

from collections.abc import Sequence
from pathlib import Path

from prefect.client.schemas.objects import State
from prefect.states import Completed

from expectations.contract import Contract
from expectations.errors import UsageError
from expectations.registry import get_contract
from flows.clock import utc_now
from flows.endings import flow
from flows.places import open_database, require_room
from flows.plan import plan_file
from flows.run_records import record_run
from flows.settings import Settings, load_settings
from flows.training_files import TRAIN_ON, find_labels, list_labelled, require_files
from storage.claims import lock_folder
from storage.lake import discard_attempts
from storage.model_files import discard_unfinished
from tasks.detectors.names import ClassifierName, OneClassName
from tasks.evaluation.label_columns import LabelChoice, ask_labels, require_normal_labels
from tasks.features.names import SelectionName
from tasks.intake.content import hash_content
from tasks.intake.stage import FileJob
from tasks.reporting.models import publish_training_task
from tasks.task import untagged
from tasks.training.options import TrainingOptions
from tasks.training.register import TrainingOutcome, train_model_task
from tasks.training.rows import require_alike, require_clear
from tasks.validation.accept import (
    AcceptedFile,
    ingest_task,
    require_accepted,
    validate_task,
)


def name_training() -> str:
    """Name a run by its day."""
    return f"training of {utc_now().date()}"


@flow("train", name_training)
def train(
    files: list[Path] | None = None,
    selection: SelectionName = "none",
    top_k: int | None = None,
    classifier: ClassifierName = "lightgbm",
    one_class: OneClassName = "autoencoder",
    label: str | None = None,
    normal: list[str] | None = None,
    unlabelled: bool = False,  # noqa: FBT001, FBT002 - Prefect passes parameters by name
) -> State[TrainingOutcome]:
    """Fit, evaluate and register a model.

    Args:
        files: labelled files, or folders of them; the training folder if None.
        selection: what the classifier reads instead of all features.
        top_k: how many columns the selection gives; its own default if None.
        classifier: the supervised detector, with its default options.
        one_class: the detector that knows only normal traffic, likewise.
        label: the column that says which connections are attacks, if it is none of the contract's.
        normal: values of the label column that mean normal, beside the contract's own.
        unlabelled: whether every connection is taken for normal, in files without labels.

    Returns:
        Completed with the version.

    Raises:
        UsageError: no file is there to train on, or the options do not go together.
        InputRejectedError: a file cannot be trained on.
    """
    settings = load_settings()
    asked = ask_labels(label, normal, is_unlabelled=unlabelled)
    options = TrainingOptions(
        seed=settings.seed,
        threads=settings.threads,
        selection=selection,
        top_k=top_k,
        classifier={"kind": classifier},
        one_class={"kind": one_class},
    )
    with (
        untagged(),
        open_database(settings) as engine,
        record_run(engine, "train") as run,
        lock_folder(settings.training_lake) as is_alone,
    ):
        if not is_alone:
            message = f"Cannot train: another training is at work in {settings.home}. Wait for it."
            raise UsageError(message)
        tidy(settings)
        found = require_files(list_labelled(settings, files), files or [settings.training_folder])
        labels = find_labels(settings, found.files, asked, is_unlabelled=unlabelled)
        jobs = plan_files(settings, found.files, labels)
        accepted = [require_accepted(job, TRAIN_ON, ingest_task, validate_task) for job in jobs]
        require_labels(accepted, get_contract(settings.contract))
        outcome = train_model_task(
            engine,
            settings.models,
            [part for file in accepted for part in file.parts],
            settings.contract,
            options,
            utc_now(),
            sources={job.batch_id: job.source.name for job in jobs},
            labels={job.batch_id: job.labels for job in jobs if job.labels is not None},
            rows_quarantined=sum(file.rows_quarantined for file in accepted),
            advisories=[
                *(f"{file.name}: {note}" for file in accepted for note in file.notes),
                *(note for one in labels for note in one.notes),
                *found.notes,
            ],
        )
        publish_training_task(outcome, return_state=True)  # a failure here fails no training
        place = "champion" if outcome.is_champion else "a challenger"
        return run.end(Completed(message=f"{outcome.model_version} is {place}", data=outcome))


def tidy(settings: Settings) -> None:
    """Remove what killed trainings left unfinished; only for the one that is alone."""
    for folder in settings.training_lake.glob("*/*"):
        discard_attempts(folder)
    discard_unfinished(settings.models)


def plan_files(
    settings: Settings, sources: Sequence[Path], labels: Sequence[LabelChoice]
) -> list[FileJob]:
    """Say how the files are read; the same content under two names is read once.

    Training reads into a part of the lake of its own: no night may hold or tidy its folders.
    """
    contents = [hash_content(source, limit_bytes=settings.max_file_bytes) for source in sources]
    require_room(settings, sum(content.size_bytes for content in contents))
    jobs = [
        plan_file(settings, source, content.sha256, settings.training_lake, found.reading)
        for source, content, found in zip(sources, contents, labels, strict=True)
    ]
    return list({job.batch_id: job for job in jobs}.values())


def require_labels(accepted: Sequence[AcceptedFile], contract: Contract) -> None:
    """Refuse labels that may not be meant as they were read, now that all of them are known.

    Raises:
        TrainingDataError: a file has such labels, or only some of the files have labels.
    """
    require_normal_labels(accepted, TRAIN_ON)
    if require_alike({file.name: file.parts for file in accepted}, contract):
        for file in accepted:
            require_clear(file.name, file.parts, contract)
