"""The deployments: the flows that run on a schedule or from Prefect's UI.

Belongs here: what each deployment runs, and when. Does not belong here: the process that serves
them (``flows.cli.serve``). ``prefect.yaml`` declares the same deployments for Prefect's workers.
"""

from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Schedule
from prefect.types.entrypoint import EntrypointType

from expectations.errors import UsageError
from flows.nightly import nightly
from flows.retrain import retrain
from flows.settings import PREFIX, Settings
from flows.train import train


def list_deployments(settings: Settings) -> list[RunnerDeployment]:
    """List the deployments.

    None has a limit of runs at once. The Prefect server keeps the slots of such a limit. If the run
    and the server's client are killed together, the slot stays taken, and no night runs again.
    Noctule's own locks, which end with their owners, keep two runs from the same work.

    Raises:
        UsageError: a schedule has a wrong form.
    """
    deployments = [
        RunnerDeployment.from_flow(
            flow,
            flow.name,
            schedule=(
                None
                if setting is None
                else plan_schedule(setting, getattr(settings, setting), settings.time_zone)
            ),
            tags=["noctule"],
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow, setting in (
            (nightly, "nightly_cron"),
            (retrain, "training_cron"),
            (train, None),  # on demand: a schedule would add challengers that are never compared
        )
    ]
    for deployment in deployments:  # replaces a pool that an earlier `prefect deploy` has set
        deployment.work_pool_name = deployment.work_queue_name = None
    return deployments


def plan_schedule(setting: str, cron: str, time_zone: str) -> Schedule:
    """Return Prefect's schedule for a cron expression of five fields, or six with the seconds last.

    Raises:
        UsageError: it is not a cron expression.
    """
    try:
        return Cron(cron, timezone=time_zone)
    except ValueError:
        msg = (
            f"Cannot use {PREFIX}{setting.upper()}={cron!r}: expected minute, hour, day of the "
            "month, month and day of the week, such as '30 4 * * *' for every day at 04:30"
        )
        raise UsageError(msg) from None
