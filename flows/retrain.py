"""The retraining flow: challengers are fitted and weighed, and one may become champion.

Belongs here: the order of the steps, and what is fitted beside what. Does not belong here: the rows
(``tasks.gather``), a fit (``tasks.challenge``), or the decision (``tasks.gate``, ``tasks.decide``).
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from sqlalchemy import Engine

from expectations.errors import NoctuleError, UsageError
from flows.settings import Settings, load_settings
from flows.stores import open_database, record_run, utc_now
from flows.train import accept_file, list_labelled, plan_files, tidy
from storage.claims import lock_folder
from storage.lake import room_on_disk
from storage.model_store import ModelVersion, champion, load_verified
from tasks.challenge import FittedChallenger, fit_challenger_task
from tasks.decide import Challenged, RetrainOutcome, decide_task, weigh_all_task
from tasks.gate import GateOptions
from tasks.gather import Gathered, gather_task
from tasks.holdout import TrainingOptions
from tasks.publish import publish_retraining_task
from tasks.recipes import plan_again, plan_recipe
from tasks.task import untagged


def name_retraining() -> str:
    """Name a run by its day."""
    return f"retraining of {utc_now().date()}"


@flow(name="retrain", flow_run_name=name_retraining, persist_result=False)
def retrain() -> State[RetrainOutcome]:
    """Fit the challengers, weigh each against the champion, and promote the one that is better.

    Returns:
        Completed with every decision and its evidence, whatever was decided.
    """
    settings = load_settings()
    with (
        untagged(),
        open_database(settings) as engine,
        record_run(engine, "retrain") as run,
        workshop(settings) as folder,
    ):
        live = champion(engine, settings.contract)
        live_folder = load_verified(engine, settings.models, live.version)
        gathered = gather(settings, engine, live)
        own, recipes = list_recipes(settings, live)
        weighed = weigh_all_task(
            fit_all(settings, recipes, gathered, folder),
            own,
            live_folder,
            gathered,
            settings.contract,
            settings.operating_point,
            GateOptions(margin=settings.promotion_margin, seed=settings.seed),
        )
        outcome = decide_task(engine, settings.models, live, weighed, gathered, recipes, utc_now())
        publish_retraining_task(outcome, return_state=True)  # a failure here fails no retraining
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


def gather(settings: Settings, engine: Engine, live: ModelVersion) -> Gathered:
    """Bring the training folder's files into the lake, and find all rows to fit on and judge by."""
    jobs = plan_files(settings, list_labelled(settings, None))
    for job in jobs:
        accept_file(job)
    return gather_task(
        engine,
        [settings.training_lake, settings.lake],
        settings.contract,
        live.version,
        {job.batch_id: job.source.name for job in jobs},
        judged_nights=settings.judged_nights,
        max_rows=settings.retrain_max_rows,
    )


def list_recipes(
    settings: Settings, live: ModelVersion
) -> tuple[str | None, dict[str, TrainingOptions]]:
    """List what is fitted: the champion's own recipe, by which name, and those of the settings."""
    own = plan_again(live.training.get("options", {}), settings.seed, settings.threads)
    recipes = {} if own is None else dict([own])
    for recipe in settings.challengers:
        recipes.setdefault(recipe, plan_recipe(recipe, settings.seed, settings.threads))
    if not recipes:
        message = (
            f"Cannot retrain: how {live.version} was fitted is not known to this version of"
            " Noctule, and NOCTULE_CHALLENGERS names no recipe. Name one, such as"
            " lightgbm+autoencoder."
        )
        raise UsageError(message)
    return (None if own is None else own[0]), recipes


def fit_all(
    settings: Settings,
    recipes: Mapping[str, TrainingOptions],
    gathered: Gathered,
    folder: Path,
) -> list[Challenged]:
    """Fit every recipe, as many at once as there are cores for; one that fails stops no other."""
    at_once = max(1, (os.cpu_count() or 1) // settings.threads)
    names = list(recipes)
    challenged = []
    for first in range(0, len(names), at_once):
        futures = {}
        for name in names[first : first + at_once]:
            out = folder / f"{names.index(name)}"
            out.mkdir()
            futures[name] = fit_challenger_task.submit(
                name, list(gathered.fit), settings.contract, recipes[name], out
            )
        for name, future in futures.items():
            challenged.append(read_fit(name, future.result(raise_on_failure=False)))
    return challenged


def read_fit(recipe: str, result: object) -> Challenged:
    """Say what came of a fit, or why it failed."""
    if isinstance(result, FittedChallenger):
        return Challenged(recipe=recipe, fitted=result)
    said = str(result) if isinstance(result, NoctuleError) else f"{type(result).__name__}: {result}"
    return Challenged(recipe=recipe, failure=said)
