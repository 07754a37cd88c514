"""The row that each flow run has in our database, and the value that a flow returns.

Belongs here: opening and closing that row, and keeping a flow's outcome for its caller. Does not
belong here: how a flow's state looks in Prefect (``flows.endings``).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from prefect.client.schemas.objects import State
from prefect.exceptions import MissingResult, TerminationSignal
from prefect.runtime import flow_run
from sqlalchemy import Engine

from expectations.errors import NoctuleError
from flows.clock import utc_now
from flows.leftovers import report_killed_runs
from flows.signals import ignore_sigterm, signal_behind
from storage.refusals import refused_by_system
from storage.runs import RunState, finish_run, open_run

T = TypeVar("T")

_outcomes: dict[str, object] = {}
"""Outcomes of flows that ran in this process, by Prefect's id of the run, until they are read."""


class RunRecord:
    """The row of a run that is in progress."""

    def __init__(self, flow_run_id: str | None) -> None:
        """Begin without a state."""
        self.state: State[Any] | None = None
        self._flow_run_id = flow_run_id

    def end(self, state: State[T]) -> State[T]:
        """Note the flow's final state, keep its outcome, and return the state."""
        self.state = state
        self.keep(state.data)
        return state

    def keep(self, outcome: object) -> None:
        """Keep the flow's outcome, or the error that ends it."""
        if self._flow_run_id is not None:
            _outcomes[self._flow_run_id] = outcome


def outcome_of(state: State[Any]) -> object:
    """Return the outcome of a flow that was called in this process, or the error that ended it.

    When Prefect has to repeat a request to its server, it returns the state as the server has it,
    without the flow's data. Nothing is persisted from which the data could be read. So it is kept
    in this process.
    """
    flow_run_id = state.state_details.flow_run_id
    if flow_run_id is not None and str(flow_run_id) in _outcomes:
        outcome = _outcomes.pop(str(flow_run_id))
    else:
        try:
            outcome = state.result(raise_on_failure=False)
        except MissingResult:
            outcome = RuntimeError(state.message or state.name)
    refused = refused_by_system(outcome) if isinstance(outcome, BaseException) else None
    return refused or outcome


@contextmanager
def record_run(engine: Engine, kind: str, batch_id: str | None = None) -> Iterator[RunRecord]:
    """Keep a row of the run table while the block runs; close it at the end, also after an error.

    Rows of earlier runs that were killed are closed first.

    Yields:
        The record; pass the final state to its ``end``.
    """
    started_at = utc_now()
    report_killed_runs(engine, flow_run.id, started_at)
    with open_run(engine, kind, started_at, batch_id=batch_id, flow_run_id=flow_run.id) as run_id:
        record = RunRecord(flow_run.id)
        try:
            yield record
        except BaseException as raised:
            error = signal_behind(raised)
            if isinstance(error, TerminationSignal):
                ignore_sigterm()
            record.keep(error)
            # The first line only: the others may hold a statement and its values.
            said, *_ = f"{type(error).__name__}: {error}".splitlines()
            if not isinstance(error, Exception):
                said = "stopped by a signal; the next run goes on from what is finished"
            with suppress(NoctuleError):  # the first error is the one to report
                finish_run(engine, run_id, "failed", said, utc_now())
            if error is raised:
                raise
            raise error from None
        state = record.state
        is_failed = state is None or state.is_failed()
        message = state.message if state is not None else "ended without a state"
        end: RunState = "failed" if is_failed else "completed"
        finish_run(engine, run_id, end, message or "", utc_now())
