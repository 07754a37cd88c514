"""Runs: one row per run of a flow, whatever came of it.

Belongs here: opening and closing that row. Does not belong here: what the run did to a batch,
which the batch itself says.
"""

from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy import Engine

from storage.database import write
from storage.schema import run

RunState = Literal["completed", "failed"]


def start_run(
    engine: Engine,
    kind: str,
    started_at: datetime,
    *,
    batch_id: str | None = None,
    flow_run_id: str | None = None,
) -> int:
    """Note that a flow has begun.

    Args:
        engine: the database.
        kind: the flow's name.
        started_at: when.
        batch_id: the one batch it is about, whose delivery is recorded; None for none or many.
        flow_run_id: Prefect's, to find the run in its UI.

    Returns:
        The ``run_id`` that ``finish_run`` takes.
    """
    with write(engine) as connection:
        inserted = (
            sa.insert(run)
            .values(
                kind=kind,
                batch_id=batch_id,
                flow_run_id=flow_run_id,
                state="running",
                started_at=started_at,
            )
            .returning(run.c.run_id)
        )
        return int(connection.execute(inserted).scalar_one())


def finish_run(
    engine: Engine, run_id: int, state: RunState, message: str, finished_at: datetime
) -> None:
    """Note how a flow ended, in one sentence for the operator."""
    with write(engine) as connection:
        connection.execute(
            sa.update(run)
            .where(run.c.run_id == run_id)
            .values(state=state, message=message, finished_at=finished_at)
        )
