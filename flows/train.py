"""The training flow: files become a model version; the first one becomes champion.

Belongs here: which files, and what a training came to. Does not belong here: fitting
(``tasks.fit``) or the comparison of versions.
"""

from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import BaseModel

from expectations.errors import TrainingDataError, UsageError
from expectations.registry import get_contract
from flows.plan import plan_file
from flows.settings import Settings, load_settings
from flows.stores import open_database, record_run, require_room, utc_now
from storage.claims import lock_folder
from storage.lake import discard_attempts
from storage.model_store import discard_unfinished
from storage.text import printable
from tasks.detectors.names import ClassifierName, OneClassName, SelectionName
from tasks.holdout import TrainingOptions
from tasks.inbox import pending_files
from tasks.publish import publish_training_task
from tasks.sources import hash_content
from tasks.stages import FileJob, Refusal, ingest_task, validate_task
from tasks.task import untagged
from tasks.train import TrainingOutcome, train_model_task
from tasks.training_data import require_alike


def name_training() -> str:
    """Name a run by its day."""
    return f"training of {utc_now().date()}"


@flow(name="train", flow_run_name=name_training, persist_result=False)
def train(
    files: list[Path] | None = None,
    selection: SelectionName = "none",
    top_k: int | None = None,
    classifier: ClassifierName = "lightgbm",
    one_class: OneClassName = "autoencoder",
) -> State[TrainingOutcome | None]:
    """Fit, evaluate and register a model.

    Args:
        files: labelled files, or folders of them; the training folder if None.
        selection: what the classifier reads instead of all features.
        top_k: how many columns the selection gives; its own default if None.
        classifier: the supervised detector, with its default options.
        one_class: the detector that knows only normal traffic, likewise.

    Returns:
        Completed with the version, or with nothing where there is no labelled file.
    """
    settings = load_settings()
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
        jobs = plan_files(settings, list_labelled(settings, files))
        if not jobs:
            return run.end(Completed(message=f"no file in {settings.training_folder}", data=None))
        accepted = [accept_file(job) for job in jobs]
        require_alike({file.name: file.parts for file in accepted}, get_contract(settings.contract))
        outcome = train_model_task(
            engine,
            settings.models,
            [part for file in accepted for part in file.parts],
            settings.contract,
            options,
            utc_now(),
            sources={job.batch_id: job.source.name for job in jobs},
            rows_quarantined=sum(file.rows_quarantined for file in accepted),
            advisories=[advisory for file in accepted for advisory in file.advisories],
        )
        publish_training_task(outcome, return_state=True)  # a failure here fails no training
        place = "champion" if outcome.is_champion else "a challenger"
        return run.end(Completed(message=f"{outcome.model_version} is {place}", data=outcome))


class AcceptedFile(BaseModel):
    """A file whose usable rows are in the lake."""

    name: str
    parts: tuple[Path, ...]
    rows_quarantined: int
    advisories: tuple[str, ...]
    """What validation reports of them, with the file's name."""


def tidy(settings: Settings) -> None:
    """Remove what killed trainings left unfinished; only for the one that is alone."""
    for folder in settings.training_lake.glob("*/*"):
        discard_attempts(folder)
    discard_unfinished(settings.models)


def list_labelled(settings: Settings, files: list[Path] | None) -> list[Path]:
    """List the files to train on: those named, and what lies whole in the folders named."""
    places = files or [settings.training_folder]
    if files is None:
        settings.training_folder.mkdir(parents=True, exist_ok=True)
    listed: list[Path] = []
    for place in places:
        if place.is_dir():
            contents = pending_files(place, utc_now(), settings.settle_s)
            listed += [file.path for file in contents.pending]
        else:
            listed.append(place)
    return listed


def plan_files(settings: Settings, sources: list[Path]) -> list[FileJob]:
    """Say how the files are read; the same content under two names is read once.

    Training reads into a part of the lake of its own: no night may hold or tidy its folders.
    """
    contents = [hash_content(source, limit_bytes=settings.max_file_bytes) for source in sources]
    require_room(settings, sum(content.size_bytes for content in contents))
    jobs = [
        plan_file(settings, source, content.sha256, settings.training_lake)
        for source, content in zip(sources, contents, strict=True)
    ]
    return list({job.batch_id: job for job in jobs}.values())


def accept_file(job: FileJob) -> AcceptedFile:
    """Bring a labelled file into the lake.

    Raises:
        TrainingDataError: it is refused whole; nothing is trained on the others without it.
    """
    ingested = ingest_task(job, None)
    if isinstance(ingested, Refusal):
        raise TrainingDataError(ingested.reason)
    validated = validate_task(job, ingested)
    if isinstance(validated, Refusal):
        message = f"Cannot train on {job.source.name}: {validated.reason}"
        raise TrainingDataError(message)
    parts = tuple(job.folder / part.path for part in validated.parts)
    return AcceptedFile(
        name=printable(job.source.name),
        parts=parts,
        rows_quarantined=ingested.rows_unparsed + validated.rows_quarantined,
        advisories=tuple(
            f"{printable(job.source.name)}: {advisory}"
            for advisory in (*ingested.notes, *validated.advisories)
        ),
    )
