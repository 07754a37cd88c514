"""The training flow: files become a model version; the first one becomes champion.

Belongs here: which files, and the result of a training. Does not belong here: fitting
(``tasks.training.fit``) or the comparison of versions.
"""

from collections.abc import Sequence
from pathlib import Path

from prefect.client.schemas.objects import State
from prefect.states import Completed

from expectations.contract import Contract
from expectations.errors import TrainingDataError
from expectations.registry import get_contract
from flows.clock import utc_now
from flows.endings import flow
from flows.places import open_database
from flows.run_records import record_run
from flows.settings import load_settings
from flows.training_files import (
    TrainingFiles,
    choose_training_labels,
    list_labelled,
    require_files,
)
from flows.training_lake import hold_training_lake, plan_files
from tasks.detectors.names import ClassifierName, OneClassName
from tasks.evaluation.label_columns import (
    TRAIN_ON,
    LabelChoice,
    ask_labels,
    require_normal_labels,
)
from tasks.features.names import SelectionName
from tasks.reporting.models import publish_training_task
from tasks.task import untagged
from tasks.training.earlier_files import find_earlier_files
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
    """Return the name of a run, with its day."""
    return f"training of {utc_now().date()}"


@flow("train", name_training)
def train(  # noqa: PLR0913, PLR0917 - Prefect passes parameters by name
    files: list[Path] | None = None,
    selection: SelectionName = "none",
    top_k: int | None = None,
    classifier: ClassifierName = "lightgbm",
    one_class: OneClassName = "autoencoder",
    label: str | None = None,
    normal: list[str] | None = None,
    unlabelled: bool = False,  # noqa: FBT001, FBT002 - Prefect passes parameters by name
    contract: str | None = None,
) -> State[TrainingOutcome]:
    """Fit, evaluate and register a model.

    Args:
        files: labelled files, or folders of them; the training folder if None.
        selection: what the classifier reads instead of all features.
        top_k: number of columns that the selection gives; the selection's own default if None.
        classifier: the supervised detector, with its default options.
        one_class: the detector that is fitted on normal traffic only, with its default options.
        label: the column that tells attacks from normal connections, if the contract has no such
            column.
        normal: values of the label column that mean normal, besides the contract's own.
        unlabelled: whether every connection of files without labels counts as normal.
        contract: the contract of the files; if None, that of the settings, else the one that is
            recognised.

    Returns:
        Completed with the version.

    Raises:
        UsageError: there is no file to train on, or the options contradict each other.
        InputRejectedError: a file cannot be trained on.
    """
    settings = load_settings(contract)
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
        hold_training_lake(settings, "train"),
    ):
        found = require_files(list_labelled(settings, files), files or [settings.training_folder])
        labels = choose_training_labels(settings, found, asked, is_unlabelled=unlabelled)
        jobs = plan_files(settings, found.contract, found.files, labels)
        accepted = [
            require_accepted(job, TRAIN_ON, ingest_task, validate_task, TrainingDataError)
            for job in jobs
        ]
        declared = get_contract(found.contract)
        require_labels(accepted, declared)
        earlier = find_earlier_files(settings.training_lake, declared, accepted)
        outcome = train_model_task(
            engine,
            settings.models,
            [*(part for file in accepted for part in file.parts), *earlier.parts],
            found.contract,
            options,
            utc_now(),
            sources={job.batch_id: job.source.name for job in jobs} | earlier.sources,
            labels={job.batch_id: job.labels for job in jobs if job.labels is not None},
            rows_quarantined=sum(file.rows_quarantined for file in accepted),
            advisories=[*earlier.notes, *list_notes(accepted, labels, found)],
        )
        publish_training_task(outcome, return_state=True)  # a failure here does not fail it
        place = "champion" if outcome.is_champion else "a challenger"
        return run.end(Completed(message=f"{outcome.model_version} is {place}", data=outcome))


def list_notes(
    accepted: Sequence[AcceptedFile], labels: Sequence[LabelChoice], found: TrainingFiles
) -> list[str]:
    """List what a reader of the model's figures should know of the files."""
    return [
        *(f"{file.name}: {note}" for file in accepted for note in file.notes),
        *(note for one in labels for note in one.notes),
        *found.notes,
    ]


def require_labels(accepted: Sequence[AcceptedFile], contract: Contract) -> None:
    """Refuse labels that may have another meaning than the one that was read.

    Raises:
        TrainingDataError: a file has such labels, or only some of the files have labels.
    """
    require_normal_labels(accepted, TRAIN_ON)
    if require_alike({file.name: file.parts for file in accepted}, contract):
        for file in accepted:
            require_clear(file.name, file.parts, contract)
