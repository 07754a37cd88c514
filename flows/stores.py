"""The database as flows and commands open it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Engine

from expectations.errors import NoctuleError, ServiceUnavailableError
from flows.settings import Settings
from flows.signals import ignore_sigterm, signal_behind
from storage.database import connect
from storage.refusals import refused_by_system
from storage.revisions import require_schema, status, upgrade
from storage.runs import RunState, finish_run, open_run

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

T = TypeVar("T")


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


@contextmanager
def open_database(settings: Settings) -> Iterator[Engine]:
    """Open the configured database; one that holds nothing at all gets its tables.

    Raises:
        ServiceUnavailableError: it cannot be reached.
        UsageError: its schema is older or newer than this version of Noctule, or it holds tables
            of something else and none of ours.
    """
    engine = connect(settings.database_address, settings.home, settings.database_wait_s)
    try:
        found = status(engine)
        require_schema(upgrade(engine) if found.is_empty else found)
        yield engine
    finally:
        engine.dispose()


ROOM_FOR_CONTENT = 2
"""Bytes that a byte of a file's content may come to, in lake and database together. A guess."""


def require_room(settings: Settings, content_bytes: int) -> None:
    """Refuse to begin a file for which the disk may have no room.

    Raises:
        ServiceUnavailableError: too little is free; nothing was begun.
    """
    free = shutil.disk_usage(settings.home).free
    needed = settings.min_free_bytes + ROOM_FOR_CONTENT * content_bytes
    if free < needed:
        message = (
            f"Cannot begin: {free / 1e9:,.1f} GB are free in {settings.home}, and"
            f" {needed / 1e9:,.1f} GB are needed: {ROOM_FOR_CONTENT} times the file's content, and"
            " NOCTULE_MIN_FREE_BYTES. Free some and run it again; nothing was stored."
        )
        raise ServiceUnavailableError(message)


_handed_back: dict[str, object] = {}
"""What the flows of this process came to, by Prefect's id of the run, until it is asked for."""


class RunRecord:
    """The row of a run that is under way."""

    def __init__(self, flow_run_id: str | None) -> None:
        """Begin without a state."""
        self.state: State[Any] | None = None
        self._flow_run_id = flow_run_id

    def end(self, state: "State[T]") -> "State[T]":
        """Note the state the flow ends in, keep what it hands back, and return it."""
        self.state = state
        self.keep(state.data)
        return state

    def keep(self, outcome: object) -> None:
        """Keep what the flow came to, or the error it ends with."""
        if self._flow_run_id is not None:
            _handed_back[self._flow_run_id] = outcome


def outcome_of(state: "State[Any]") -> object:
    """Return what a flow that was called in this process came to: its outcome, or its error.

    When a request to the server has to be repeated, Prefect returns the state as the server has
    it, without its data; nothing is persisted from which it could be read. So it is kept here.
    """
    from prefect.exceptions import MissingResult

    flow_run_id = state.state_details.flow_run_id
    if flow_run_id is not None and str(flow_run_id) in _handed_back:
        outcome = _handed_back.pop(str(flow_run_id))
    else:
        try:
            outcome = state.result(raise_on_failure=False)
        except MissingResult:
            outcome = RuntimeError(state.message or state.name)
    refused = refused_by_system(outcome) if isinstance(outcome, BaseException) else None
    return refused or outcome


@contextmanager
def record_run(engine: Engine, kind: str, batch_id: str | None = None) -> Iterator[RunRecord]:
    """Keep a row of the run table from the block's beginning to its end, however it ends.

    Rows of earlier runs that were killed are closed first.

    Args:
        engine: the database.
        kind: the flow's name.
        batch_id: the one batch it is about.

    Yields:
        The record, which is told the final state.
    """
    from prefect.exceptions import TerminationSignal
    from prefect.runtime import flow_run

    from flows.leftovers import crash_killed_runs

    started_at = utc_now()
    crash_killed_runs(engine, flow_run.id, started_at)
    with open_run(engine, kind, started_at, batch_id=batch_id, flow_run_id=flow_run.id) as run_id:
        record = RunRecord(flow_run.id)
        try:
            yield record
        except BaseException as raised:
            error = signal_behind(raised)
            if isinstance(error, TerminationSignal):
                ignore_sigterm()
            record.keep(error)
            said, *_ = f"{type(error).__name__}: {error}".splitlines()  # below, maybe a statement
            if not isinstance(error, Exception):
                said = "stopped by a signal; the next run goes on from what is finished"
            with suppress(NoctuleError):  # the first error is the one to tell of
                finish_run(engine, run_id, "failed", said, utc_now())
            if error is raised:
                raise
            raise error from None
        state = record.state
        is_failed = state is None or state.is_failed()
        message = state.message if state is not None else "ended without a state"
        end: RunState = "failed" if is_failed else "completed"
        finish_run(engine, run_id, end, message or "", utc_now())
