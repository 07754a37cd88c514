"""Runs: one row per run of a flow, whether it succeeded or failed.

Belongs here: opening and closing that row, also for a run that was killed. Does not belong here:
what the run did to a batch (``batches``).

A running flow holds a lock: on a folder with SQLite, which is used from one host, or an advisory
lock on PostgreSQL. If a row has the state ``running`` but its lock is free, the run was killed; the
next run of any flow closes that row.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy import Engine

from storage.claims import is_locked, lock_folder, lock_key
from storage.database import read, write
from storage.schema import run

RunState = Literal["completed", "failed"]

KILLED: Final = "ended without a word (killed?)"


@contextmanager
def open_run(
    engine: Engine,
    kind: str,
    started_at: datetime,
    *,
    batch_id: str | None = None,
    flow_run_id: str | None = None,
) -> Iterator[int]:
    """Record that a flow has started, and hold its lock until the block ends.

    ``kind`` is the name of the flow. ``batch_id`` is the batch it works on, whose delivery is
    recorded; None for none or several. Prefect's UI shows the run by ``flow_run_id``.

    Yields:
        The ``run_id`` that ``finish_run`` takes before the block ends.
    """
    with ExitStack() as life:
        with write(engine) as connection:  # others see the row only when its lock is held
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
            run_id = int(connection.execute(inserted).scalar_one())
            life.enter_context(_life(engine, run_id))
        yield run_id


def finish_run(
    engine: Engine, run_id: int, state: RunState, message: str, finished_at: datetime
) -> None:
    """Record how a flow ended, with one sentence for the operator."""
    with write(engine) as connection:
        connection.execute(
            sa.update(run)
            .where(run.c.run_id == run_id)
            .values(state=state, message=message, finished_at=finished_at)
        )


def close_killed_runs(engine: Engine, now: datetime) -> list[str]:
    """Close the rows of runs that were killed; return the Prefect ids of those closed."""
    with read(engine) as connection:
        is_open = run.c.state == "running"
        found = connection.execute(sa.select(run.c.run_id, run.c.flow_run_id).where(is_open)).all()
    closed = []
    for run_id, flow_run_id in found:
        with _life(engine, run_id) as is_over:
            if is_over and _close(engine, run_id, now) and flow_run_id is not None:
                closed.append(flow_run_id)
    return closed


def find_ended(
    engine: Engine, since: Mapping[str, datetime], before: datetime
) -> dict[str, str | None]:
    """Return which of Prefect's runs have ended according to our own rows.

    ``since`` has, by Prefect's id, when the run got its present state in Prefect; a row closed
    before that belongs to an earlier attempt, which somebody retried. A run that closed its row
    after ``before`` may not have informed Prefect yet.

    Returns:
        Prefect id -> how the run ended, in words.
    """
    tries = (
        sa.select(run.c.flow_run_id, run.c.message, run.c.finished_at)
        .where(run.c.flow_run_id.in_(since))
        .order_by(run.c.run_id)
    )
    with read(engine) as connection:
        latest = {row.flow_run_id: row for row in connection.execute(tries)}
    return {
        flow_run_id: row.message
        for flow_run_id, row in latest.items()
        if row.finished_at is not None
        and row.finished_at >= since[flow_run_id]
        and (row.finished_at < before or row.message == KILLED)
    }


def is_over(engine: Engine, run_id: int) -> bool:
    """Return whether a run with the state ``running`` has ended without closing its row."""
    if engine.dialect.name == "sqlite":
        return not is_locked(_folder(engine, run_id))
    with _life(engine, run_id) as is_free:
        return is_free


def _close(engine: Engine, run_id: int, now: datetime) -> bool:
    """Close the row of a killed run; return False if the run has closed it itself meanwhile."""
    with write(engine) as connection:
        closed = connection.execute(
            sa.update(run)
            .where(run.c.run_id == run_id, run.c.state == "running")
            .values(state="failed", message=KILLED, finished_at=now)
        )
        return closed.rowcount > 0


def _life(engine: Engine, run_id: int) -> AbstractContextManager[bool]:
    """Take the lock of a live run; another process that gets it knows that the run has ended."""
    if engine.dialect.name == "sqlite":
        return _life_in_folder(_folder(engine, run_id))
    return lock_key(engine, f"run {run_id}")


def _folder(engine: Engine, run_id: int) -> Path:
    """Return the folder that a run locks, next to the database."""
    return Path(f"{engine.url.database}-runs") / str(run_id)


@contextmanager
def _life_in_folder(folder: Path) -> Iterator[bool]:
    """Lock the folder of a run, and remove it at the end."""
    with lock_folder(folder) as is_held:
        try:
            yield is_held
        finally:
            if is_held:
                with suppress(OSError):  # another run found this one dead and removed it
                    folder.rmdir()
