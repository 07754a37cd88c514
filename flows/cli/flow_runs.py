"""A flow that a command runs: with a Prefect API around it, and its outcome returned.

Belongs here: what is looked up before a flow is started, and running it. Does not belong here: the
flows themselves, or how an outcome is printed (``flows.cli.outcomes``).
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from prefect import tags
from prefect.client.schemas.objects import State

from expectations.errors import NoctuleError
from flows.cli.options import require_names
from flows.cli.printing import say
from flows.cli.progress import shown_progress
from flows.contracts import require_champion
from flows.nightly import nightly
from flows.places import open_database
from flows.prefect_api import prefect_api
from flows.replay import choose_target, replay_batch
from flows.retrain import retrain
from flows.run_records import outcome_of
from flows.settings import Settings
from flows.shadow import find_trouble
from flows.train import train
from tasks.detectors.names import ClassifierName, OneClassName
from tasks.features.names import SelectionName
from tasks.intake.label_words import LabelReading
from tasks.reporting.outcomes import FileOutcome, NightOutcome
from tasks.retraining.decide import RetrainedContracts, RetrainOutcome
from tasks.training.register import TrainingOutcome

R = TypeVar("R")


def run_night(settings: Settings, files: list[Path] | None, night: date | None) -> NightOutcome:
    """Run the nightly flow once and return its outcome.

    Without files, the inbox is read. Without a night, the night is found out file by file.

    Raises:
        NoctuleError: the night could not begin: no database, no model, no inbox.
    """
    require_names(files or [])
    with open_database(settings) as engine:  # fails before a server is started
        require_champion(settings, engine)
        trouble = find_trouble(settings, engine)
    if trouble is not None:
        say(f"noctule: {trouble}", is_error=True)
    return _run(settings, nightly, NightOutcome, files or None, night, settings.contract)


def run_replay(settings: Settings, batch: str, corrected: Path | None) -> NightOutcome:
    """Run the replay flow once and return its outcome, as a night of one file.

    ``batch`` is an id or a unique beginning of it. Without a corrected file, the rows are read as
    they were.

    Raises:
        NoctuleError: nothing can be replayed, or there is no database or model.
    """
    require_names([corrected] if corrected is not None else [])
    with open_database(settings) as engine:  # fails before a server is started
        choose_target(settings, engine, batch, corrected)
    outcome = _run(settings, replay_batch, FileOutcome, batch, corrected, settings.contract)
    return NightOutcome(files=(outcome,))


def run_training(
    settings: Settings,
    files: list[Path],
    selection: SelectionName = "none",
    top_k: int | None = None,
    classifier: ClassifierName = "lightgbm",
    one_class: OneClassName = "autoencoder",
    asked: LabelReading | None = None,
    *,
    is_unlabelled: bool = False,
) -> TrainingOutcome:
    """Run the training flow once and return its outcome.

    The arguments are those of the flow; ``asked`` is the user's choice of how to read labels.

    Raises:
        NoctuleError: no model could be fitted on these files, or the database is unreachable.
    """
    with open_database(settings):  # fails before a server is started
        pass
    labels = asked or LabelReading()
    return _run(
        settings,
        train,
        TrainingOutcome,
        files,
        selection,
        top_k,
        classifier,
        one_class,
        label=labels.column,
        normal=list(labels.normal),
        unlabelled=is_unlabelled,
        contract=settings.contract,
    )


def run_retraining(settings: Settings, asked: LabelReading) -> RetrainOutcome | RetrainedContracts:
    """Run the retraining flow once and return its outcome; of each contract, if there are several.

    Raises:
        NoctuleError: it could not begin, or nothing could be fitted on: the champion is unchanged.
    """
    with open_database(settings) as engine:  # fails before a server is started
        require_champion(settings, engine)
    kinds: tuple[type[RetrainOutcome | RetrainedContracts], ...] = (
        RetrainOutcome,
        RetrainedContracts,
    )
    return _run(settings, retrain, kinds, asked.column, list(asked.normal), settings.contract)


def _run(
    settings: Settings,
    flow: Callable[..., State[R]],
    kind: type[R] | tuple[type[R], ...],
    *arguments: object,
    **options: object,
) -> R:
    """Run a flow with a Prefect API around it; return its outcome, or raise its error."""
    with (
        shown_progress("starting Prefect"),
        prefect_api(settings.home),
        tags("noctule"),
    ):
        state: State[Any] = flow(*arguments, **options, return_state=True)
        outcome = outcome_of(state)
        if isinstance(outcome, NoctuleError):
            raise outcome
        if isinstance(outcome, BaseException):
            raise RuntimeError(state.message) from outcome  # noqa: TRY004 - an error as a value
    assert isinstance(outcome, kind)  # noqa: S101 - the flow returns nothing else
    return outcome
