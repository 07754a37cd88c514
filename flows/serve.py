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
    from prefect.flows import EntrypointType
    from prefect.schedules import Cron

    from flows.nightly import nightly
    from flows.train import train

    # Runs start in processes of their own, from any folder: they inherit an absolute home.
    os.environ[f"{PREFIX}HOME"] = str(settings.home)
    prefect.serve(
        nightly.to_deployment(
            "nightly",
            schedule=Cron(settings.nightly_cron, timezone=settings.time_zone),
            tags=["noctule", settings.contract],
            concurrency_limit=1,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
        train.to_deployment(
            "train",
            schedule=Cron(settings.training_cron, timezone=settings.time_zone),
            tags=["noctule", settings.contract],
            concurrency_limit=1,
            entrypoint_type=EntrypointType.MODULE_PATH,
        ),
    )
