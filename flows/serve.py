"""The deployments: the flows that are run on a schedule or from the UI, served from one process.

Belongs here: what ``noctule serve`` registers. ``prefect.yaml`` declares the same for workers.
"""

import os
from typing import TYPE_CHECKING

from expectations.errors import UsageError
from flows.prefect_api import configured_prefect_api
from flows.settings import PREFIX, Settings

if TYPE_CHECKING:
    from prefect.schedules import Schedule


def serve_deployments(settings: Settings) -> None:
    """Register the deployments with the Prefect server and run what it schedules, until stopped.

    Raises:
        ServiceUnavailableError: no Prefect server is set up, or it does not answer.
        UsageError: a schedule cannot be used.
    """
    tell_of_champion(settings)
    with configured_prefect_api():
        import prefect
        from prefect.deployments.runner import RunnerDeployment
        from prefect.types.entrypoint import EntrypointType

        from flows.nightly import nightly
        from flows.retrain import retrain
        from flows.train import train

        # Runs start in processes of their own, from any folder: they inherit absolute places.
        os.environ.update(settings.places)
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
                concurrency_limit=1,
                entrypoint_type=EntrypointType.MODULE_PATH,
            )
            for flow, setting in (
                (nightly, "nightly_cron"),
                (retrain, "training_cron"),
                (train, None),  # from the UI: a schedule would add a challenger nobody weighs
            )
        ]
        prefect.serve(*deployments)


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
    from expectations.errors import NoctuleError
    from flows.printing import say
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
