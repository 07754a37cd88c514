"""``noctule serve``: one process registers the deployments and runs what is scheduled.

Belongs here: what the process corrects at its start and every minute, and what it prints. Does not
belong here: the deployments (``flows.deployments``), or how the process stops
(``flows.cli.runner``).
"""

import os
from collections.abc import Collection
from functools import partial
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_UI_URL

from expectations.errors import NoctuleError, UsageError
from flows.cli.printing import say
from flows.cli.runner import StoppableRunner, run_until_stopped
from flows.clock import utc_now
from flows.contracts import require_champion
from flows.deployments import list_deployments
from flows.leftovers import HEARTBEAT_S, close_dead_runs, ensure_crash_automation, skip_missed_runs
from flows.places import open_database
from flows.prefect_api import configured_prefect_api
from flows.settings import Settings
from tasks.wording import plural


def serve_deployments(settings: Settings) -> int:
    """Register the deployments with the Prefect server, and run what is scheduled until stopped.

    Returns:
        The exit code: 128 and the number of the signal that stopped it.

    Raises:
        ServiceUnavailableError: no Prefect server is set up, or it does not answer.
        UsageError: a schedule has a wrong form.
    """
    warn_without_champion(settings)
    with configured_prefect_api():
        # Each run is a new process, perhaps in another folder: it inherits absolute paths.
        os.environ.update(settings.places)
        runner = StoppableRunner(heartbeat_s=HEARTBEAT_S)
        served = [UUID(str(runner.add_deployment(one))) for one in list_deployments(settings)]
        close_dead = partial(close_dead_runs_of, settings, served)
        close_dead()
        with get_client(sync_client=True) as client:
            ensure_crash_automation(client)
            missed = skip_missed_runs(client, served, utc_now())
        if missed:
            say(f"noctule serve: {plural(missed, 'missed run')} cancelled; the latest one is kept")
        say(
            f"noctule serve: nightly at '{settings.nightly_cron}', retrain at"
            f" '{settings.training_cron}' ({settings.time_zone}), train on demand; until a"
            f" signal stops it. The Prefect UI is {PREFECT_UI_URL.value()}"
        )
        return run_until_stopped(runner, close_dead)


def close_dead_runs_of(settings: Settings, served: Collection[UUID]) -> None:
    """Close the runs whose process is gone, and print how many; print an error of the database."""
    try:
        with open_database(settings) as engine, get_client(sync_client=True) as client:
            dead = close_dead_runs(engine, client, served, utc_now())
    except NoctuleError as error:  # serve anyway: each night reports it
        say(f"noctule serve: {error}", is_error=True)
    else:
        if dead:
            say(f"noctule serve: {plural(dead, 'run')} marked Crashed: the process is gone")


def warn_without_champion(settings: Settings) -> None:
    """If there is no champion, print that no night can be scored yet, and what to do."""
    try:
        with open_database(settings) as engine:
            require_champion(settings, engine)
    except NoctuleError as error:
        words = (
            f"noctule serve: {error}. Or put labelled files into {settings.training_folder} and run"
            " the deployment train. Until a model is champion, no night is scored"
            if isinstance(error, UsageError)
            else f"noctule serve: {error}"
        )
        say(words, is_error=True)
