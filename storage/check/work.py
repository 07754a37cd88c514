"""Checks of unfinished work: batches, flow runs and events that are not complete.

Belongs here: finding them, and the command that completes each. Does not belong here: whether
stored rows are consistent (``tables``).
"""

import shlex
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Engine

from storage.check.invariants import Problem
from storage.claims import is_held
from storage.database import available
from storage.lake import batch_folder
from storage.replays import find_target
from storage.runs import is_over
from storage.schema import batch, delivery, outbox, run


def check_work(engine: Engine, lake: Path) -> Iterator[Problem]:
    """Yield a note for each unfinished batch, each run that was killed, and unsent events."""
    source = (
        sa.select(delivery.c.source_path)
        .where(delivery.c.batch_id == batch.c.batch_id)
        .order_by(delivery.c.delivery_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = sa.select(
        batch.c.batch_id,
        batch.c.contract,
        batch.c.file_name,
        batch.c.received_at,
        batch.c.replayed_batch_id,
        source,
    ).where(batch.c.status == "received")
    with available(engine), engine.connect() as connection:
        unfinished = connection.execute(query.order_by(batch.c.received_at)).all()
        open_runs = connection.execute(
            sa.select(run.c.run_id, run.c.kind).where(run.c.state == "running")
        ).all()
        waiting = connection.scalar(
            sa.select(sa.func.count()).where(outbox.c.published_at.is_(None))
        )
    for batch_id, contract, name, received_at, replayed, path in unfinished:
        if is_held(engine, batch_folder(lake, contract, batch_id), batch_id):
            continue  # a run is working on it
        again = f"run it again: noctule run {'FILE' if path is None else shlex.quote(path)}"
        yield Problem(
            severity="note",
            subject=f"batch {batch_id}",
            problem=f"it arrived at {received_at:%Y-%m-%d %H:%M} UTC and is not finished",
            advice=again if replayed is None else _advise_replay(engine, replayed, name),
        )
    for run_id, kind in open_runs:
        if is_over(engine, run_id):
            yield Problem(
                severity="note",
                subject=f"run {run_id}",
                problem=f"this run of {kind} ended without recording how",
                advice="nothing: the next run of any kind closes it",
            )
    if waiting:
        yield Problem(
            severity="note",
            subject="outbox",
            problem=f"{waiting:,} events have not been sent to a Prefect server",
            advice="nothing: the next night sends them",
        )


def _advise_replay(engine: Engine, replayed: str, file_name: str) -> str:
    """Return the command that finishes a replay, or that nothing is left to do.

    ``file_name`` is that of the corrected file, if the replay had one.
    """
    target = find_target(engine, replayed)
    if target is None or not target.rows_open:
        return "nothing: another batch has scored its rows since"
    file = "" if file_name == target.file_name else f" {shlex.quote(file_name)}"
    return f"run it again: noctule replay {replayed}{file}"
