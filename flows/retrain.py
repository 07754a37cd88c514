"""The retraining flow: challengers are fitted and compared, and one may become champion.

Belongs here: the order of the steps, and which fits run together. Does not belong here: the rows
(``tasks.retraining.labelled_batches``), a fit (``tasks.retraining.challengers``), or the decision
(``tasks.retraining.gate``, ``tasks.retraining.decide``).
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from sqlalchemy import Engine

from expectations.errors import (
    InputRejectedError,
    NoctuleError,
    TrainingDataError,
    UsageError,
)
from expectations.registry import get_contract
from flows.clock import utc_now
from flows.contracts import NO_MODEL
from flows.endings import flow
from flows.places import open_database
from flows.plan import look_back
from flows.run_records import outcome_of, record_run
from flows.settings import Settings, load_settings
from flows.training_files import ListedFiles, list_labelled
from flows.training_lake import hold_training_lake, plan_files
from storage.lake import room_on_disk
from storage.model_store import (
    ModelVersion,
    champion,
    list_champion_contracts,
    load_verified,
)
from storage.nights import list_labelled_batches
from tasks.detectors.model_card import read_card, require_contract
from tasks.evaluation.file_head import read_file_head
from tasks.evaluation.label_columns import (
    ask_labels,
    find_labels,
    require_column,
    require_normal_labels,
)
from tasks.evaluation.operating_points import choose_threshold
from tasks.intake.label_words import LabelReading
from tasks.reporting.models import publish_retraining_task
from tasks.retraining.challengers import FittedChallenger, ServedPoint, fit_challenger_task
from tasks.retraining.decide import (
    Challenger,
    RetrainedContracts,
    RetrainOutcome,
    decide_task,
    evaluate_challengers_task,
)
from tasks.retraining.gate import GateOptions
from tasks.retraining.labelled_batches import RetrainingRows, find_rows_task
from tasks.retraining.parent_pipe import parent_pipe
from tasks.retraining.recipes import plan_recipe, restore_recipe
from tasks.task import untagged
from tasks.training.options import TrainingOptions
from tasks.validation.accept import ingest_task, require_accepted, validate_task

RETRAIN_ON = "retrain on"
"""What messages say about a file: "Cannot retrain on night.csv"."""


def name_retraining() -> str:
    """Return the name of a run: its contract, if it is of one, and its day."""
    contract: str | None = flow_run.parameters.get("contract")
    return f"retraining of {f'{contract}, ' if contract else ''}{utc_now().date()}"


@flow("retrain", name_retraining)
def retrain(
    label: str | None = None, normal: list[str] | None = None, contract: str | None = None
) -> State[RetrainOutcome | RetrainedContracts]:
    """Fit the challengers, compare each with the champion, and promote one that is better.

    Args:
        label: the column that tells attacks from normal connections in files of the training
            folder, if the contract has no such column.
        normal: values of the label column that mean normal, besides the contract's own.
        contract: the contract whose champion is compared; if None, that of the settings, else every
            contract that has a champion and labelled connections, one after another.

    Returns:
        Completed with every decision and its figures; of several contracts, failed if one did.
    """
    settings = load_settings(contract)
    asked = ask_labels(label, normal)
    with (
        untagged(),
        open_database(settings) as engine,
        record_run(engine, "retrain") as run,
    ):
        listed = list_labelled(settings, None)
        contracts = choose_contracts(settings, engine, listed)
        if len(contracts) == 1:
            outcome = retrain_contract(settings, engine, contracts[0], listed, asked)
            return run.end(Completed(message=outcome.message, data=outcome))
        all_of_them = collect_outcomes(
            {one: retrain(label, normal, one, return_state=True) for one in contracts}
        )
        end = Failed if all_of_them.exit_code else Completed
        return run.end(end(message=all_of_them.message, data=all_of_them))


def choose_contracts(settings: Settings, engine: Engine, listed: ListedFiles) -> list[str]:
    """Return the contracts to retrain: that of the settings, the only one, or all with labels.

    Raises:
        UsageError: there is no champion.
        TrainingDataError: several contracts have a champion, and none has labelled connections.
    """
    champions = list_champion_contracts(engine)
    if settings.contract is not None:
        return [settings.contract]
    if not champions:
        raise UsageError(NO_MODEL)
    if len(champions) == 1:
        return champions
    found = [
        one for one in champions if one in listed.by_contract or list_labelled_batches(engine, one)
    ]
    if not found:
        message = (
            f"Cannot retrain: no contract with a champion ({', '.join(champions)}) has labelled"
            " connections. Run labelled files, or put some into the training folder"
        )
        raise TrainingDataError(message)
    return found


def collect_outcomes(states: Mapping[str, State[Any]]) -> RetrainedContracts:
    """Return the outcomes of retraining several contracts; one that failed has its reason."""
    outcomes, failures, codes = {}, {}, []
    for contract, state in states.items():
        result = outcome_of(state)
        if isinstance(result, RetrainOutcome):
            outcomes[contract] = result
            continue
        is_ours = isinstance(result, NoctuleError)
        failures[contract] = str(result) if is_ours else f"{state.name}: {result}"
        codes.append(result.exit_code if isinstance(result, NoctuleError) else 1)
    return RetrainedContracts(outcomes=outcomes, failures=failures, exit_code=min(codes, default=0))


def retrain_contract(
    settings: Settings, engine: Engine, contract: str, listed: ListedFiles, asked: LabelReading
) -> RetrainOutcome:
    """Retrain one contract, and show the result."""
    with hold_work_folder(settings) as folder:
        live = champion(engine, contract)
        live_folder = load_verified(engine, settings.models, live.version)
        require_contract(live_folder, get_contract(contract))
        found = find_rows(settings, engine, live, listed, asked)
        own, recipes = list_recipes(settings, live)
        compared = evaluate_challengers_task(
            fit_all(settings, contract, recipes, found, folder),
            own,
            live_folder,
            found,
            contract,
            served_point(settings, engine, live, live_folder),
            GateOptions(margin=settings.promotion_margin, seed=settings.seed),
        )
        outcome = decide_task(engine, settings.models, live, compared, found, recipes, utc_now())
        # A failure here does not fail the retraining.
        publish_retraining_task(engine, contract, outcome, return_state=True)
        return outcome


@contextmanager
def hold_work_folder(settings: Settings) -> Iterator[Path]:
    """Yield a folder for the fits, and be the only training until the block ends.

    Raises:
        UsageError: another training is at work.
    """
    with hold_training_lake(settings, "retrain"):
        settings.models.mkdir(parents=True, exist_ok=True)
        with (
            room_on_disk(settings.models),
            tempfile.TemporaryDirectory(prefix=".fit-", dir=settings.models) as folder,
        ):
            yield Path(folder)


def find_rows(
    settings: Settings,
    engine: Engine,
    live: ModelVersion,
    listed: ListedFiles,
    asked: LabelReading,
) -> RetrainingRows:
    """Read the training folder into the lake, and find all rows to fit on and to compare on."""
    files, refused = accept_files(settings, live.contract, listed, asked)
    return find_rows_task(
        engine,
        [settings.training_lake, settings.lake],
        live.contract,
        live.version,
        files,
        test_nights=settings.judged_nights,
        max_rows=settings.retrain_max_rows,
        refused=refused,
    )


def accept_files(
    settings: Settings, name: str, listed: ListedFiles, asked: LabelReading
) -> tuple[dict[str, str], list[str]]:
    """Read a contract's files into the lake; a refused file does not stop the retraining.

    Returns:
        Batch id -> name of the accepted files, and the reasons why the others were refused.

    Raises:
        UsageError: no file of the contract in the training folder has the given label column.
    """
    contract = get_contract(name)
    heads, files, refused = [], {}, [*listed.notes, *listed.refused]
    for source in listed.by_contract.get(name, ()):
        try:
            heads.append(read_file_head(source, contract, settings.max_file_bytes))
        except InputRejectedError as error:
            refused.append(str(error))
    if heads:
        require_column(heads, contract, asked)
    for head in heads:
        try:
            labels = find_labels(head, contract, asked, RETRAIN_ON)
            for job in plan_files(settings, name, [head.source], [labels]):
                accepted = require_accepted(
                    job, RETRAIN_ON, ingest_task, validate_task, TrainingDataError
                )
                require_normal_labels([accepted], RETRAIN_ON)
                files[job.batch_id] = head.source.name
        except InputRejectedError as error:
            refused.append(str(error))
    return files, refused


def list_recipes(
    settings: Settings, live: ModelVersion
) -> tuple[str | None, dict[str, TrainingOptions]]:
    """Return the name of the champion's recipe, and all recipes to fit, by name.

    Raises:
        UsageError: there is no recipe.
    """
    options = live.training.get("options", {})
    has_labels = live.metrics.get("known") is not None  # without labels it has no classifier
    own = restore_recipe(options, settings.seed, settings.threads) if has_labels else None
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
    """Return the operating point at which models are compared: the one that nights use."""
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
    contract: str,
    recipes: Mapping[str, TrainingOptions],
    found: RetrainingRows,
    folder: Path,
) -> list[Challenger]:
    """Fit every recipe, several at once; a fit that fails does not stop the others.

    Returns:
        The result of each fit, in the order of the recipes.
    """
    threads: ThreadPoolTaskRunner[FittedChallenger] = ThreadPoolTaskRunner(count_at_once(settings))
    with threads as runner, parent_pipe() as line:
        futures = {}
        for number, (name, options) in enumerate(recipes.items()):
            out = folder / f"{number}"
            out.mkdir()
            asked = {
                "recipe": name,
                "parts": list(found.fit_parts),
                "contract": contract,
            }
            futures[name] = runner.submit(
                fit_challenger_task, {**asked, "options": options, "out": out, "line": line}
            )
        return [
            read_fit(name, future.result(raise_on_failure=False))
            for name, future in futures.items()
        ]


def count_at_once(settings: Settings) -> int:
    """Return how many fits run at once: as many as the setting, or as there are cores for."""
    return max(1, min(settings.retrain_jobs, count_cores() // settings.threads))


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_fit(recipe: str, result: object) -> Challenger:
    """Return the fitted challenger, or the reason why the fit failed."""
    if isinstance(result, FittedChallenger):
        return Challenger(recipe=recipe, fitted=result)
    said = str(result) if isinstance(result, NoctuleError) else f"{type(result).__name__}: {result}"
    return Challenger(recipe=recipe, failure=said)
