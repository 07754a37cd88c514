"""How a flow ends: each ending that we foresee is one sentence, in its state and in its log.

Belongs here: the house decorator of flows, and what Prefect makes of their ends. Does not belong
here: what a flow came to (``tasks.reporting.outcomes``), or its row in our database
(``flows.run_records``).

Prefect raises what a failed flow ended with, and where a flow is run for a deployment, its engine
is the only one to catch it: it logs a page of traceback, whether the flow was broken or a file was
rejected. Here an error that is meant for the user is a failed state with the error's words, and a
deployed run hands the engine nothing to raise. A bug stays an exception, with its traceback.
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
    """Make a function a Prefect flow, whose known errors are states.

    Its results are never persisted, whatever Prefect's settings say: they would be pickles.

    Args:
        name: what the Prefect UI calls it.
        flow_run_name: a template of its runs' names, or a function that names them.
    """

    def decorate(work: Callable[P, State[R]]) -> "prefect.Flow[P, State[R]]":
        named = prefect.flow(name=name, flow_run_name=flow_run_name, persist_result=False)
        made = named(work)
        made.fn = _in_words(work)
        return made

    return decorate


class Ended(State[R]):
    """A failed state of a deployed run, whose result is returned and never raised."""

    def result(self, *_: object, **__: object) -> Any:  # noqa: ANN401 - as Prefect has it
        """Return what the run came to."""
        return self.data


def _in_words(work: Callable[P, State[R]]) -> Callable[P, State[R]]:
    """Have a flow's function return a failed state instead of raising a known error.

    Outside a run of Prefect's it is the function itself.
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
                ensure_crash_automation(client)  # runs of a worker too, beside which nothing serves
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
    """Take no notice of what a terminal sends to all of its processes.

    The runner or worker hears it too, and tells its runs by SIGTERM when they are to end.
    """
    if _is_main():
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def _looked_after() -> Iterator[None]:
    """End a deployed run in time where a signal asks for it, and tell of it where it is killed."""
    with watched(), ended_in_time() if _is_main() else nullcontext():
        yield


def _is_main() -> bool:
    """Tell whether this is the thread that signals come to."""
    return threading.current_thread() is threading.main_thread()
