"""A flow run from the command line: with a Prefect API around it, and its outcome handed back.

Belongs here: what ``noctule run``, ``train`` and ``evaluate`` do between arguments and printing.
Does not belong here: the flows themselves.
"""

from datetime import date
from pathlib import Path
from typing import Any

from prefect import tags
from prefect.client.schemas.objects import State

from expectations.errors import NoctuleError
from flows.cli.options import require_names
from flows.cli.printing import say
from flows.cli.progress import shown_progress
from flows.nightly import nightly
from flows.places import open_database
from flows.prefect_api import prefect_api
from flows.replay import choose_target, replay_batch
from flows.retrain import retrain
from flows.run_records import outcome_of
from flows.settings import Settings
from flows.shadow import find_trouble
from flows.train import train
from storage.model_store import champion
from tasks.detectors.names import ClassifierName, OneClassName
from tasks.features.names import SelectionName
from tasks.intake.labelling import LabelReading
from tasks.reporting.outcomes import FileOutcome, NightOutcome
from tasks.retraining.decide import RetrainOutcome
from tasks.training.register import TrainingOutcome


def run_night(settings: Settings, files: list[Path] | None, night: date | None) -> NightOutcome:
    """Run the nightly flow once and return what it came to.

    Raises:
        NoctuleError: the night could not begin: no database, no model, no inbox.
    """
    require_names(files or [])
    with open_database(settings) as engine:  # before a server is started for nothing
        champion(engine, settings.contract)
        trouble = find_trouble(settings, engine)
    if trouble is not None:
        say(f"noctule: {trouble}", is_error=True)
    with (
        shown_progress("starting Prefect"),
        prefect_api(settings.home),
        tags("noctule", settings.contract),
    ):
        outcome = _result(nightly(files or None, night, return_state=True))
    assert isinstance(outcome, NightOutcome)  # noqa: S101 - the flow returns nothing else
    return outcome


def run_replay(settings: Settings, batch: str, corrected: Path | None) -> NightOutcome:
    """Replay a batch once and return what it came to, as a night of one file.

    Raises:
        NoctuleError: there is nothing that could be replayed, or no database or model.
    """
    require_names([corrected] if corrected is not None else [])
    with open_database(settings) as engine:  # before a server is started for nothing
        champion(engine, settings.contract)
        choose_target(settings, engine, batch)
    with (
        shown_progress("starting Prefect"),
        prefect_api(settings.home),
        tags("noctule", settings.contract),
    ):
        outcome = _result(replay_batch(batch, corrected, return_state=True))
    assert isinstance(outcome, FileOutcome)  # noqa: S101 - the flow returns nothing else
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
    """Run the training flow once and return what it came to.

    Args:
        settings: where things are.
        files: labelled files, or folders of them.
        selection: what the classifier reads instead of all features.
        top_k: how many columns the selection gives; its own default if None.
        classifier: the supervised detector.
        one_class: the detector that knows only normal traffic.
        asked: what the user says of the labels.
        is_unlabelled: whether every connection is taken for normal.

    Raises:
        NoctuleError: no model could be fitted on these files, or the database is unreachable.
    """
    asked = asked or LabelReading()
    with open_database(settings):
        pass
    with (
        shown_progress("starting Prefect"),
        prefect_api(settings.home),
        tags("noctule", settings.contract),
    ):
        state = train(
            files,
            selection,
            top_k,
            classifier,
            one_class,
            label=asked.column,
            normal=list(asked.normal),
            unlabelled=is_unlabelled,
            return_state=True,
        )
        outcome = _result(state)
    assert isinstance(outcome, TrainingOutcome)  # noqa: S101 - the flow returns nothing else
    return outcome


def run_retraining(settings: Settings, asked: LabelReading) -> RetrainOutcome:
    """Run the retraining flow once and return what it came to.

    Args:
        settings: where things are.
        asked: what the user says of the labels in the training folder.

    Raises:
        NoctuleError: it could not begin, or nothing could be fitted on: the champion is unchanged.
    """
    with open_database(settings) as engine:  # before a server is started for nothing
        champion(engine, settings.contract)
    with (
        shown_progress("starting Prefect"),
        prefect_api(settings.home),
        tags("noctule", settings.contract),
    ):
        outcome = _result(retrain(asked.column, list(asked.normal), return_state=True))
    assert isinstance(outcome, RetrainOutcome)  # noqa: S101 - the flow returns nothing else
    return outcome


def _result(state: State[Any]) -> object:
    """Return what a flow handed back, or raise the error it ended with."""
    result = outcome_of(state)
    if isinstance(result, NoctuleError):
        raise result
    if isinstance(result, BaseException):
        raise RuntimeError(state.message) from result  # noqa: TRY004 - an error as a value
    return result
