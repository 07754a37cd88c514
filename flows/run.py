"""A flow run from the command line: with a Prefect API around it, and its outcome handed back.

Belongs here: what ``noctule run``, ``train`` and ``evaluate`` do between arguments and printing.
Does not belong here: the flows themselves.
"""

import tempfile
from datetime import date
from pathlib import Path
from typing import Any

from prefect import tags
from prefect.client.schemas.objects import State

from expectations.errors import NoctuleError
from flows.labelled_file import accept_labelled
from flows.nightly import nightly
from flows.options import require_names
from flows.plan import plan_scoring
from flows.prefect_api import prefect_api
from flows.printing import say
from flows.progress import shown_progress
from flows.replay import choose_target, replay_batch
from flows.retrain import retrain
from flows.settings import Settings
from flows.shadow import find_trouble
from flows.stores import open_database, outcome_of
from flows.train import train
from storage.model_store import champion, load_verified
from storage.queries import training_sources
from tasks.detectors.model_card import read_card
from tasks.detectors.names import ClassifierName, OneClassName
from tasks.evaluation.evaluate import Evaluation, evaluate_batch
from tasks.features.names import SelectionName
from tasks.intake.labelling import LabelReading
from tasks.reporting.outcomes import FileOutcome, NightOutcome
from tasks.retraining.decide import RetrainOutcome
from tasks.scoring.stage import score
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


def run_evaluation(
    settings: Settings, file: Path, model_version: str | None, asked: LabelReading
) -> Evaluation:
    """Score a labelled file with the champion, or another version, and judge it; store nothing.

    Args:
        settings: where things are.
        file: the labelled file.
        model_version: the champion if None.
        asked: what the user says of the labels.

    Raises:
        InputRejectedError: the file is refused, or has no labels.
        ModelRefusedError: the model is unknown or altered.
        UsageError: the file has no such label column.
    """
    with open_database(settings) as engine:
        version = model_version or champion(engine, settings.contract).version
        model_folder = load_verified(engine, settings.models, version)
        trained_on = training_sources(engine, version)
    with (
        shown_progress(f"reading {file.name}"),
        tempfile.TemporaryDirectory(prefix="noctule-evaluate-") as workshop,
    ):
        accepted = accept_labelled(settings, file, Path(workshop), asked, "evaluate")
        job = plan_scoring(settings, accepted.job, version, model_folder)
        validated = accepted.validated
        scored = score(job, validated)
        card = read_card(model_folder)
        if settings.low_alert_rate is not None:
            thresholds = card.thresholds.with_low_alert_rate(settings.low_alert_rate)
            card = card.model_copy(update={"thresholds": thresholds})
        evaluation = evaluate_batch(
            job.folder, validated.parts, scored.parts, model_folder, job.declared, card
        )
        parted = scored.describe_rate_deviation(usual=None, budget=None)
        reported = (
            *accepted.notes,
            *((parted,) if parted else ()),
            *scored.notes,
        )
        if job.batch_id in trained_on:
            reported = (f"{version} was trained on these rows: its figures flatter it", *reported)
        return evaluation.model_copy(
            update={"rows_quarantined": accepted.rows_quarantined, "advisories": reported}
        )


def _result(state: State[Any]) -> object:
    """Return what a flow handed back, or raise the error it ended with."""
    result = outcome_of(state)
    if isinstance(result, NoctuleError):
        raise result
    if isinstance(result, BaseException):
        raise RuntimeError(state.message) from result  # noqa: TRY004 - an error as a value
    return result
