"""What processes that are gone have left at a Prefect server, and how it is put right.

Belongs here: runs that say they are at work and are not, and runs that were due while nobody was
there to take them. Does not belong here: our own record of runs (``storage.runs``), which says
which have ended.

None of these stops a night. Noctule corrects them, so that the UI shows what is true and a missed
night is made up for once.
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
"""A run that has closed its own row is left so long to tell Prefect how it ended. A guess."""

STARTING_S = 300
"""A run that was handed to a process, and has not begun so long after, never will: the process is
gone. Twelve seconds are usual, two minutes were measured on a busy machine."""

HEARTBEAT_S = 30
"""How often a run says that it lives: the shortest that Prefect allows."""

SILENCE_S = 90
"""A run that says nothing for so long is taken for dead: three heartbeats."""

AUTOMATION = "noctule: crash runs that went silent"

PAGE = 200
"""Most runs that a Prefect server lists at once."""


def crash_silent_runs(client: SyncPrefectClient, silence_s: int = SILENCE_S) -> None:
    """Make the automation that marks a run as crashed whose process is gone, unless it is there.

    An automation of that name is left as it is: an operator may have changed it. A server that has
    no automations is left without: no night depends on it.

    Args:
        client: of the Prefect server.
        silence_s: how long a run says nothing before it is taken for dead.
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
    """Close the runs whose process is gone, in our record and at the Prefect server.

    Args:
        engine: our database.
        client: of the Prefect server.
        deployments: those of which a run that has not begun for long is closed too.
        now: the time.

    Returns:
        How many runs the Prefect server took for being at work.
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
    return crash(client, ended)


def crash_killed_runs(engine: Engine, besides: str | None, now: datetime) -> None:
    """Close the rows of runs that were killed, and tell the Prefect server of them.

    Args:
        engine: our database.
        besides: Prefect's id of the run that asks: it may be another try of one that was killed.
        now: the time.
    """
    killed = [run for run in close_killed_runs(engine, now) if run != besides]
    if killed:
        with get_client(sync_client=True) as client:
            crash(client, dict.fromkeys(killed, KILLED))


def crash(client: SyncPrefectClient, ended: Mapping[str, str | None]) -> int:
    """Mark runs as crashed that have no final state yet, and skip those the server does not know.

    Args:
        client: of the Prefect server.
        ended: Prefect's id -> why.

    Returns:
        How many were marked.
    """
    marked = 0
    for flow_run_id, why in ended.items():
        try:
            state = client.read_flow_run(UUID(flow_run_id)).state
            if state is not None and not state.is_final():
                client.set_flow_run_state(flow_run_id, Crashed(message=why), force=True)
                marked += 1
        except (ObjectNotFound, httpx.HTTPStatusError):  # of another server, or it will not have it
            continue
    return marked


def skip_missed_runs(
    client: SyncPrefectClient, deployments: Collection[UUID], now: datetime
) -> int:
    """Cancel all but the latest of the scheduled runs that nobody was there to take.

    A night takes whatever has arrived, and a retraining whatever is labelled: the latest run does
    the work of those before it.

    Returns:
        How many were cancelled.
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
        message = "missed: nothing was there to run it then, and a later run does its work"
        client.set_flow_run_state(run.id, Cancelled(message=message), force=True)
    return len(earlier)


def _states(*types: StateType) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=list(types)))


def _read_runs(
    client: SyncPrefectClient,
    which: FlowRunFilter,
    **of: Any,  # noqa: ANN401 - further filters, as Prefect's client takes them
) -> Iterator[FlowRun]:
    """Read all runs of a kind, page by page, the earliest first."""
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
