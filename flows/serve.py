"""The deployments: both flows on their schedules, served from one process.

Belongs here: what ``noctule serve`` registers. ``prefect.yaml`` declares the same two for workers.
"""

import os

from flows.prefect_api import require_prefect_api
from flows.settings import PREFIX, Settings


def serve_deployments(settings: Settings) -> None:
    """Register both deployments with the Prefect server and run what it schedules, until stopped.

    Raises:
        ServiceUnavailableError: no Prefect server is set up, or it does not answer.
    """
    require_prefect_api()
    import prefect
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    from flows.nightly import nightly
    from flows.train import train

    # Runs start in processes of their own, from any folder: they inherit an absolute home.
    os.environ[f"{PREFIX}HOME"] = str(settings.home)
    deployments = [
        RunnerDeployment.from_flow(
            flow,
            flow.name,
            schedule=Cron(cron, timezone=settings.time_zone),
            tags=["noctule", settings.contract],
            concurrency_limit=1,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow, cron in ((nightly, settings.nightly_cron), (train, settings.training_cron))
    ]
    prefect.serve(*deployments)
