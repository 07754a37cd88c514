"""Make a function a Prefect task.

Belongs here: the options that all of our tasks share, and the log and the tags of their runs. Does
not belong here: what a task does.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

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
    """Return a function as a Prefect task that neither caches nor stores its results.

    Prefect's default cache policy hashes every argument of every call, and may return the result of
    an earlier run. The receipt in the lake already decides whether a stage is done again, by the
    hash of its input. Prefect would store results as pickles, so we always turn that off, with any
    settings.

    Args:
        work: a function of paths, options and small summaries.
        name: what the Prefect UI calls it.
        retries: how often to try again; only for idempotent work.
        retry_delays_s: waits before each further try, in seconds.
        is_passing: returns whether another try may succeed after an error; None to try after any.

    Returns:
        The Prefect task; ``.fn`` is the function itself.
    """

    def should_retry(_task: "prefect.Task[..., Any]", _run: TaskRun, state: "State[Any]") -> bool:
        return is_passing is None or is_passing(state.data)

    decorate = prefect.task(
        name=name,
        retries=retries,
        retry_delay_seconds=list(retry_delays_s),
        retry_condition_fn=should_retry,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    return decorate(work)


class _WithoutTraceback(logging.Filter):
    """Removes the traceback of an error that is not a bug; its message stays."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, NoctuleError) or (error and refused_by_system(error)):
            record.exc_info = None
        return True


logging.getLogger("prefect.task_runs").addFilter(_WithoutTraceback())


@contextmanager
def untagged() -> Iterator[None]:
    """Keep the tags of a flow run from the tasks that are called in the block.

    Before each task run, Prefect asks the server for a slot under every tag of the task, even if
    the tag has no limit. A server on SQLite is often busy then, and the client waits: usually 2 s,
    once a minute. We limit no tag, and find runs by their flow.
    """
    from prefect.context import TagsContext

    with TagsContext(current_tags=set()):
        yield
