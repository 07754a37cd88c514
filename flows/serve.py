"""The deployments: the flows that are run on a schedule or from the UI, served from one process.

Belongs here: what ``noctule serve`` registers. ``prefect.yaml`` declares the same for workers.
"""

import os
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from expectations.errors import NoctuleError, UsageError
from flows.prefect_api import configured_prefect_api
from flows.printing import say
from flows.settings import PREFIX, Settings
from tasks.wording import plural

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Schedule


def serve_deployments(settings: Settings) -> int:
    """Register the deployments with the Prefect server and run what it schedules, until stopped.

    Returns:
        The exit code: 128 and the number of the signal that stopped it.

    Raises:
        ServiceUnavailableError: no Prefect server is set up, or it does not answer.
        UsageError: a schedule cannot be used.
    """
    tell_of_champion(settings)
    with configured_prefect_api():
        from prefect.client.orchestration import get_client
        from prefect.settings import PREFECT_UI_URL

        from flows.leftovers import HEARTBEAT_S, crash_silent_runs, skip_missed_runs
        from flows.runner import StoppableRunner, run_until_stopped
        from flows.stores import utc_now

        # Runs start in processes of their own, from any folder: they inherit absolute places.
        os.environ.update(settings.places)
        runner = StoppableRunner(heartbeat_s=HEARTBEAT_S)
        served = [UUID(str(runner.add_deployment(one))) for one in list_deployments(settings)]
        close_dead = partial(close_dead_runs_of, settings, served)
        close_dead()
        with get_client(sync_client=True) as client:
            crash_silent_runs(client)
            missed = skip_missed_runs(client, served, utc_now())
        if missed:
            say(f"noctule serve: {plural(missed, 'missed run')} cancelled; the latest does it all")
        say(
            f"noctule serve: nightly at '{settings.nightly_cron}', retrain at"
            f" '{settings.training_cron}' ({settings.time_zone}), train when asked for; until a"
            f" signal stops it. The Prefect UI is {PREFECT_UI_URL.value()}"
        )
        return run_until_stopped(runner, close_dead)


def list_deployments(settings: Settings) -> list["RunnerDeployment"]:
    """List what is served.

    None has a limit of runs at once: a slot is kept by the Prefect server, outlives the run that
    took it when all is killed at once, and then no night ever runs again. Our own locks, which die
    with their owners, keep two runs from the same work.

    Raises:
        UsageError: a schedule cannot be used.
    """
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    from flows.nightly import nightly
    from flows.retrain import retrain
    from flows.train import train

    deployments = [
        RunnerDeployment.from_flow(
            flow,
            flow.name,
            schedule=(
                None
                if setting is None
                else plan_schedule(setting, getattr(settings, setting), settings.time_zone)
            ),
            tags=["noctule", settings.contract],
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow, setting in (
            (nightly, "nightly_cron"),
            (retrain, "training_cron"),
            (train, None),  # from the UI: a schedule would add a challenger nobody weighs
        )
    ]
    for deployment in deployments:  # said, and so changed where `prefect deploy` has set a pool
        deployment.work_pool_name = deployment.work_queue_name = None
    return deployments


def close_dead_runs_of(settings: Settings, served: Collection[UUID]) -> None:
    """Close the runs whose process is gone, and say so; no trouble with the database stops it."""
    from prefect.client.orchestration import get_client

    from flows.leftovers import close_dead_runs
    from flows.stores import open_database, utc_now

    try:
        with open_database(settings) as engine, get_client(sync_client=True) as client:
            dead = close_dead_runs(engine, client, served, utc_now())
    except NoctuleError as error:  # the nights are served all the same, and will say it
        say(f"noctule serve: {error}", is_error=True)
    else:
        if dead:
            say(f"noctule serve: {plural(dead, 'run')} of processes that are gone marked Crashed")


def plan_schedule(setting: str, cron: str, time_zone: str) -> "Schedule":
    """Return a schedule that Prefect understands.

    Args:
        setting: the name of the setting that holds it.
        cron: five fields, or six with the seconds last.
        time_zone: IANA name.

    Raises:
        UsageError: it is no schedule.
    """
    from prefect.schedules import Cron

    try:
        return Cron(cron, timezone=time_zone)
    except ValueError:
        msg = (
            f"Cannot use {PREFIX}{setting.upper()}={cron!r}: expected minute, hour, day of the "
            "month, month and day of the week, such as '30 4 * * *' for every day at 04:30"
        )
        raise UsageError(msg) from None


def tell_of_champion(settings: Settings) -> None:
    """Say why no night can be scored yet, and what to do; nothing where one can."""
    from flows.stores import open_database
    from storage.model_store import champion

    try:
        with open_database(settings) as engine:
            champion(engine, settings.contract)
    except NoctuleError as error:
        words = (
            f"noctule serve: {error}. Or put labelled files into {settings.training_folder} and run"
            " the deployment train. Until a model is champion, no night is scored"
            if isinstance(error, UsageError)
            else f"noctule serve: {error}"
        )
        say(words, is_error=True)
