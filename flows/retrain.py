"""The retraining flow: challengers are fitted and weighed, and one may become champion.

Belongs here: the order of the steps, and what is fitted beside what. Does not belong here: the rows
(``tasks.retraining.labelled_batches``), a fit (``tasks.retraining.challengers``), or the decision
(``tasks.retraining.gate``, ``tasks.retraining.decide``).
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from prefect.client.schemas.objects import State
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner
from sqlalchemy import Engine

from expectations.errors import InputRejectedError, NoctuleError, UsageError
from expectations.registry import get_contract
from flows.clock import utc_now
from flows.endings import flow
from flows.places import open_database
from flows.plan import look_back
from flows.run_records import record_run
from flows.settings import Settings, load_settings
from flows.train import plan_files, tidy
from flows.training_files import list_labelled
from storage.claims import lock_folder
from storage.lake import room_on_disk
from storage.model_store import ModelVersion, champion, load_verified
from tasks.detectors.model_card import read_card
from tasks.evaluation.file_head import read_file_head
from tasks.evaluation.label_columns import (
    ask_labels,
    find_labels,
    require_column,
    require_normal_labels,
)
from tasks.evaluation.operating_points import choose_threshold
from tasks.intake.labelling import LabelReading
from tasks.reporting.models import publish_retraining_task
from tasks.retraining.challengers import FittedChallenger, ServedPoint, fit_challenger_task
from tasks.retraining.decide import (
    Challenger,
    RetrainOutcome,
    decide_task,
    evaluate_challengers_task,
)
from tasks.retraining.gate import GateOptions
from tasks.retraining.labelled_batches import RetrainingRows, find_rows_task
from tasks.retraining.parent_pipe import parent_pipe
from tasks.retraining.recipes import plan_again, plan_recipe
from tasks.task import untagged
from tasks.training.options import TrainingOptions
from tasks.validation.accept import ingest_task, require_accepted, validate_task

RETRAIN_ON = "retrain on"
"""What messages say is done with a file."""


def name_retraining() -> str:
    """Name a run by its day."""
    return f"retraining of {utc_now().date()}"


@flow("retrain", name_retraining)
def retrain(label: str | None = None, normal: list[str] | None = None) -> State[RetrainOutcome]:
    """Fit the challengers, weigh each against the champion, and promote the one that is better.

    Args:
        label: the column of files in the training folder that says which of their connections are
            attacks, if it is none of the contract's.
        normal: values of the label column that mean normal, beside the contract's own.

    Returns:
        Completed with every decision and its evidence, whatever was decided.
    """
    settings = load_settings()
    asked = ask_labels(label, normal)
    with (
        untagged(),
        open_database(settings) as engine,
        record_run(engine, "retrain") as run,
        workshop(settings) as folder,
    ):
        live = champion(engine, settings.contract)
        live_folder = load_verified(engine, settings.models, live.version)
        gathered = gather(settings, engine, live, asked)
        own, recipes = list_recipes(settings, live)
        weighed = evaluate_challengers_task(
            fit_all(settings, recipes, gathered, folder),
            own,
            live_folder,
            gathered,
            settings.contract,
            served_point(settings, engine, live, live_folder),
            GateOptions(margin=settings.promotion_margin, seed=settings.seed),
        )
        outcome = decide_task(engine, settings.models, live, weighed, gathered, recipes, utc_now())
        # A failure here fails no retraining.
        publish_retraining_task(engine, settings.contract, outcome, return_state=True)
        return run.end(Completed(message=outcome.message, data=outcome))


@contextmanager
def workshop(settings: Settings) -> Iterator[Path]:
    """Make a folder for the fits, for one training at a time.

    Raises:
        UsageError: another training is at work.
    """
    with lock_folder(settings.training_lake) as is_alone:
        if not is_alone:
            message = (
                f"Cannot retrain: another training is at work in {settings.home}. Wait for it."
            )
            raise UsageError(message)
        tidy(settings)
        settings.models.mkdir(parents=True, exist_ok=True)
        with (
            room_on_disk(settings.models),
            tempfile.TemporaryDirectory(prefix=".fit-", dir=settings.models) as folder,
        ):
            yield Path(folder)


def gather(
    settings: Settings, engine: Engine, live: ModelVersion, asked: LabelReading
) -> RetrainingRows:
    """Bring the training folder's files into the lake, and find all rows to fit on and judge by."""
    files, refused = accept_files(settings, asked)
    return find_rows_task(
        engine,
        [settings.training_lake, settings.lake],
        settings.contract,
        live.version,
        files,
        test_nights=settings.judged_nights,
        max_rows=settings.retrain_max_rows,
        refused=refused,
    )


def accept_files(settings: Settings, asked: LabelReading) -> tuple[dict[str, str], list[str]]:
    """Bring the training folder's files into the lake; one that is refused stops no retraining.

    Returns:
        SHA-256 -> name of those that are there, and why the others are not.

    Raises:
        UsageError: the training folder is none, or no file in it has the label column asked for.
    """
    contract = get_contract(settings.contract)
    found = list_labelled(settings, None)
    heads, files, refused = [], {}, list(found.notes)
    for source in found.files:
        try:
            heads.append(read_file_head(source, contract, settings.max_file_bytes))
        except InputRejectedError as error:
            refused.append(str(error))
    if heads:
        require_column(heads, contract, asked)
    for head in heads:
        try:
            labels = find_labels(head, contract, asked, RETRAIN_ON)
            for job in plan_files(settings, [head.source], [labels]):
                accepted = require_accepted(job, RETRAIN_ON, ingest_task, validate_task)
                require_normal_labels([accepted], RETRAIN_ON)
                files[job.batch_id] = head.source.name
        except InputRejectedError as error:
            refused.append(str(error))
    return files, refused


def list_recipes(
    settings: Settings, live: ModelVersion
) -> tuple[str | None, dict[str, TrainingOptions]]:
    """List what is fitted: the champion's own recipe, by which name, and those of the settings."""
    taught = live.metrics.get("known") is not None  # without labels it had no classifier
    own = (
        plan_again(live.training.get("options", {}), settings.seed, settings.threads)
        if taught
        else None
    )
    recipes = {} if own is None else dict([own])
    for recipe in settings.challengers:
        recipes.setdefault(recipe, plan_recipe(recipe, settings.seed, settings.threads))
    if not recipes:
        message = (
            f"Cannot retrain: {live.version} was fitted without labels, or by another version of"
            " Noctule, so it has no recipe to fit again, and NOCTULE_CHALLENGERS names none. Name"
            " one, such as lightgbm+autoencoder."
        )
        raise UsageError(message)
    return (None if own is None else own[0]), recipes


def served_point(
    settings: Settings, engine: Engine, live: ModelVersion, folder: Path
) -> ServedPoint:
    """Say at which operating point models are compared: that of a night, at the settings' rate."""
    if settings.operating_point != "low_alert":
        return ServedPoint(settings.operating_point)
    if settings.alert_budget is None:
        return ServedPoint("low_alert", settings.low_alert_rate)
    nights = look_back(settings, engine, live.version, folder, before=date.max)
    choice = choose_threshold(
        read_card(folder), "low_alert", budget=settings.alert_budget, nights=nights
    )
    return ServedPoint("low_alert", None if choice.budget is None else choice.target_flag_rate)


def fit_all(
    settings: Settings,
    recipes: Mapping[str, TrainingOptions],
    gathered: RetrainingRows,
    folder: Path,
) -> list[Challenger]:
    """Fit every recipe, some at once; one that fails stops no other.

    Returns:
        What came of each, in the order of the recipes.
    """
    threads: ThreadPoolTaskRunner[FittedChallenger] = ThreadPoolTaskRunner(count_at_once(settings))
    with threads as runner, parent_pipe() as line:
        futures = {}
        for number, (name, options) in enumerate(recipes.items()):
            out = folder / f"{number}"
            out.mkdir()
            asked = {
                "recipe": name,
                "parts": list(gathered.fit_parts),
                "contract": settings.contract,
            }
            futures[name] = runner.submit(
                fit_challenger_task, {**asked, "options": options, "out": out, "line": line}
            )
        return [
            read_fit(name, future.result(raise_on_failure=False))
            for name, future in futures.items()
        ]


def count_at_once(settings: Settings) -> int:
    """Count the fits that go on at once: those asked for, as far as there are cores for them."""
    return max(1, min(settings.retrain_jobs, count_cores() // settings.threads))


def count_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_fit(recipe: str, result: object) -> Challenger:
    """Say what came of a fit, or why it failed."""
    if isinstance(result, FittedChallenger):
        return Challenger(recipe=recipe, fitted=result)
    said = str(result) if isinstance(result, NoctuleError) else f"{type(result).__name__}: {result}"
    return Challenger(recipe=recipe, failure=said)
