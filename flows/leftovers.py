"""Corrections at a Prefect server for processes that are gone.

Belongs here: runs whose state says Running although their process is gone, and scheduled runs that
no process took. Does not belong here: Noctule's own record of runs (``storage.runs``).

None of these stops a night. Noctule corrects them so that the UI shows the true state, and so that
one run makes up for all missed nights.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Crashed
from sqlalchemy import Engine

from storage.runs import KILLED, close_killed_runs, find_ended

FLOWS = ("nightly", "batch", "retrain", "train", "replay")

REPORTING_S = 60
"""Seconds that a run has, after it has closed its row, to tell Prefect how it ended. A guess."""

STARTING_S = 300
"""Seconds after which a run that a process took, and that has not begun, counts as crashed. Twelve
seconds are usual; two minutes were measured on a busy machine."""

HEARTBEAT_S = 30
"""Seconds between two heartbeats of a run: the shortest interval that Prefect allows."""

SILENCE_S = 90
"""Seconds without a heartbeat after which a run counts as crashed: three heartbeats."""

AUTOMATION = "noctule: crash runs that went silent"

PAGE = 200
"""Most runs that a Prefect server returns at once."""


def ensure_crash_automation(client: SyncPrefectClient, silence_s: int = SILENCE_S) -> None:
    """Create the automation that marks runs without heartbeats as crashed, unless it exists.

    An automation of that name is not changed: an operator may have edited it. A server that knows
    no automations gets none: no night depends on it.
    """
    with suppress(httpx.HTTPStatusError):
        if not client.read_automations_by_name(AUTOMATION):
            client.create_automation(_automation(silence_s))


def _automation(silence_s: int) -> AutomationCore:
    ends = {f"prefect.flow-run.{name}" for name in ("Completed", "Failed", "Cancelled", "Crashed")}
    heartbeat = "prefect.flow-run.heartbeat"
    return AutomationCore(
        name=AUTOMATION,
        description=f"Marks a run as crashed that has sent no heartbeat for {silence_s} s.",
        trigger=EventTrigger(
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {"prefect.resource.id": "prefect.tag.noctule", "prefect.resource.role": "tag"}
            ),
            after={heartbeat},
            expect={heartbeat, *ends},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=silence_s),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"No heartbeat for {silence_s} s: its process is gone.",
            )
        ],
    )


def close_dead_runs(
    engine: Engine, client: SyncPrefectClient, deployments: Collection[UUID], now: datetime
) -> int:
    """Close the runs whose process is gone, in Noctule's database and at the Prefect server.

    Runs of the deployments are also closed if they never begin.

    Returns:
        The number of runs that were marked at the Prefect server.
    """
    close_killed_runs(engine, now)
    at_work = _states(StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
    of_ours = FlowFilter(name=FlowFilterName(any_=list(FLOWS)))
    unfinished = list(_read_runs(client, FlowRunFilter(state=at_work), flow_filter=of_ours))
    heard_before = now - timedelta(seconds=REPORTING_S)
    since = {str(run.id): now if run.state is None else run.state.timestamp for run in unfinished}
    ended = find_ended(engine, since, heard_before)
    for run in unfinished:
        is_begun = run.state_type == StateType.RUNNING or run.deployment_id not in deployments
        if not is_begun and now - since[str(run.id)] > timedelta(seconds=STARTING_S):
            ended.setdefault(str(run.id), "the process that took it is gone")
    return mark_crashed(client, ended)


def report_killed_runs(engine: Engine, besides: str | None, now: datetime) -> None:
    """Close the rows of killed runs, and mark them as crashed at the Prefect server.

    ``besides`` is Prefect's id of the calling run, which may be a new attempt at a killed one.
    """
    killed = [run for run in close_killed_runs(engine, now) if run != besides]
    if killed:
        with get_client(sync_client=True) as client:
            mark_crashed(client, dict.fromkeys(killed, KILLED))


def mark_crashed(client: SyncPrefectClient, ended: Mapping[str, str | None]) -> int:
    """Mark runs as crashed that have no final state; skip those that the server does not know.

    ``ended`` maps Prefect's id of a run to the reason.

    Returns:
        The number of runs that were marked.
    """
    marked = 0
    for flow_run_id, why in ended.items():
        try:
            state = client.read_flow_run(UUID(flow_run_id)).state
            if state is not None and not state.is_final():
                client.set_flow_run_state(flow_run_id, Crashed(message=why), force=True)
                marked += 1
        except (ObjectNotFound, httpx.HTTPStatusError):  # another server's run, or it is refused
            continue
    return marked


def skip_missed_runs(
    client: SyncPrefectClient, deployments: Collection[UUID], now: datetime
) -> int:
    """Cancel the scheduled runs that no process took, except the latest of each deployment.

    A night takes all files that have arrived, and a retraining all labelled files: the latest run
    does the work of the earlier ones.

    Returns:
        The number of runs that were cancelled.
    """
    due = FlowRunFilter(
        state=_states(StateType.SCHEDULED),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=now),
    )
    served = DeploymentFilter(id=DeploymentFilterId(any_=list(deployments)))
    missed: dict[UUID | None, list[FlowRun]] = defaultdict(list)
    for run in _read_runs(client, due, deployment_filter=served):
        if run.auto_scheduled:
            missed[run.deployment_id].append(run)
    earlier = [run for runs in missed.values() for run in runs[:-1]]
    for run in earlier:
        message = "missed: no process was there to run it; a later run does its work"
        client.set_flow_run_state(run.id, Cancelled(message=message), force=True)
    return len(earlier)


def _states(*types: StateType) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))


def _read_runs(
    client: SyncPrefectClient,
    which: FlowRunFilter,
    **of: Any,  # noqa: ANN401 - further filters, as Prefect's client takes them
) -> Iterator[FlowRun]:
    """Yield all runs that match the filters, the earliest first, page by page."""
    offset = 0
    while True:
        page = client.read_flow_runs(
            flow_run_filter=which,
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=PAGE,
            offset=offset,
            **of,
        )
        yield from page
        if len(page) < PAGE:
            return
        offset += PAGE
