"""The house decorator: how a stage becomes a Prefect task, and what its runs inherit."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import prefect
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from expectations.errors import NoctuleError
from storage.refusals import refused_by_system

P = ParamSpec("P")
R = TypeVar("R")


def task(
    work: Callable[P, R],
    *,
    name: str,
    retries: int = 0,
    retry_delays_s: Sequence[float] = (0,),
    is_passing: Callable[[object], bool] | None = None,
) -> "prefect.Task[P, R]":
    """Name a function as a Prefect task without result caching or persistence.

    Prefect's default cache policy hashes every argument on every call and may hand back a result
    of an earlier run. Whether a stage needs redoing is decided by its receipt in the lake, which
    knows the hash of the input; a second opinion from the orchestrator could only be wrong. Nor is
    a result written to Prefect's storage, whatever its settings say: it would be a pickle.

    Args:
        work: a function of paths, options and small summaries.
        name: what the Prefect UI calls it.
        retries: how often to try again; only for work whose effect is idempotent.
        retry_delays_s: waits before each further try, in seconds.
        is_passing: tells an error that another try may not meet; None if any may be such.

    Returns:
        The Prefect task; ``.fn`` is the function itself.
    """
    decorate = prefect.task(
        name=name,
        retries=retries,
        retry_delay_seconds=list(retry_delays_s),
        retry_condition_fn=None if is_passing is None else _condition(is_passing),
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    return decorate(work)


class _WithoutTraceback(logging.Filter):
    """Leaves of an error that is no bug its words: where it was raised is no news."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, NoctuleError) or (error and refused_by_system(error)):
            record.exc_info = None
        return True


logging.getLogger("prefect.task_runs").addFilter(_WithoutTraceback())


def _condition(
    is_passing: Callable[[object], bool],
) -> "Callable[[prefect.Task[P, R], TaskRun, State[R]], bool]":
    """Ask of the error that a failed state holds, as Prefect asks of the state."""

    def should_retry(_task: "prefect.Task[P, R]", _run: TaskRun, state: "State[R]") -> bool:
        return is_passing(state.data)

    return should_retry


@contextmanager
def untagged() -> Iterator[None]:
    """Keep the tags of a flow run from the tasks called in the block.

    Prefect asks the server, before each task run, for a slot under every tag the task has, whether
    or not the tag is limited. A server on SQLite is often busy then and has the client wait: 2 s
    is usual, a minute was seen. We limit no tag, and look runs up by their flow.
    """
    from prefect.context import TagsContext

    with TagsContext(current_tags=set()):
        yield
