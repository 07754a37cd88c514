"""How a flow ends: an expected error is one sentence, in the flow's state and in its log.

Belongs here: Noctule's decorator for flows, and the states in which they end. Does not belong here:
a flow's outcome (``tasks.reporting.outcomes``), or its row in our database (``flows.run_records``).

Prefect raises the error of a failed flow. For a run of a deployment, Prefect's engine catches it
and logs a page of traceback, whether the code is broken or a file was rejected. Here, an error that
is meant for the user becomes a failed state with the error's message, and a deployed run gives the
engine nothing to raise. A bug remains an exception with its traceback.
"""

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ParamSpec, TypeVar

import prefect
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Failed

from expectations.errors import NoctuleError
from flows.leftovers import ensure_crash_automation
from flows.signals import ended_in_time, signal_behind
from flows.watchdog import watched
from storage.refusals import refused_by_system
from storage.text import printable

P = ParamSpec("P")
R = TypeVar("R")


def flow(
    name: str, flow_run_name: str | Callable[[], str]
) -> "Callable[[Callable[P, State[R]]], prefect.Flow[P, State[R]]]":
    """Make a function a Prefect flow that ends in a failed state where a known error occurs.

    Its results are never persisted, even if Prefect's settings ask for it: they would be pickles.

    ``flow_run_name`` is a template for the names of its runs, or a function that returns a name.
    """

    def decorate(work: Callable[P, State[R]]) -> "prefect.Flow[P, State[R]]":
        named = prefect.flow(name=name, flow_run_name=flow_run_name, persist_result=False)
        made = named(work)
        made.fn = _in_words(work)
        return made

    return decorate


class Ended(State[R]):
    """A failed state of a deployed run: reading its result returns it, and never raises it."""

    def result(self, *_: object, **__: object) -> Any:  # noqa: ANN401 - as Prefect has it
        """Return the run's outcome, or its error."""
        return self.data


def _in_words(work: Callable[P, State[R]]) -> Callable[P, State[R]]:
    """Return a function that returns a failed state where the flow's function raises a known error.

    Outside a Prefect run, it only calls the flow's function.
    """

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> State[R]:
        context = FlowRunContext.get()
        if context is None or context.flow_run is None:
            return work(*args, **kwargs)
        is_deployed = context.flow_run.deployment_id is not None
        if is_deployed:
            _leave_signals_to_the_runner()
            with get_client(sync_client=True) as client:
                ensure_crash_automation(client)  # here too: a worker runs no `noctule serve`
        try:
            with _looked_after() if is_deployed else nullcontext():
                state = work(*args, **kwargs)
        except Exception as error:
            if (signalled := signal_behind(error)) is not error:
                raise signalled from None
            refused = error if isinstance(error, NoctuleError) else refused_by_system(error)
            if refused is None:
                raise
            state = Failed(message=printable(str(refused)), data=refused)
        if is_deployed and state.is_failed():
            return Ended(type=state.type, name=state.name, message=state.message, data=state.data)
        return state

    return run


def _leave_signals_to_the_runner() -> None:
    """Ignore the signals that a terminal sends to all of its processes.

    The runner or worker gets them too, and sends SIGTERM to its runs.
    """
    if _is_main():
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def _looked_after() -> Iterator[None]:
    """End a deployed run soon after a signal, and have it marked as crashed if it is killed."""
    with watched(), ended_in_time() if _is_main() else nullcontext():
        yield


def _is_main() -> bool:
    """Return whether this is the main thread, which handles signals."""
    return threading.current_thread() is threading.main_thread()
