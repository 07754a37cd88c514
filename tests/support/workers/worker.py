"""A worker: a simulated process that stops before each step until it is resumed or killed.

Belongs here: the worker as a greenlet, and its state as seen from outside. Does not belong here:
what it does (see ``batch_work``), which of its calls are steps (``stops``), or which worker is
resumed next (``schedule``).

Workers share one thread and hand it over only at their steps, so the same seed gives the same
interleaving. A killed worker is as dead as after ``kill -9``: its database sessions are ended
first, and while its stack unwinds, every call that would have an effect raises again, so that no
``finally`` cleans up. Only the closing of file descriptors goes through, because the operating
system does that too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from greenlet import getcurrent, greenlet
from sqlalchemy import Connection


class WorkerKilled(BaseException):
    """Unwinds the stack of a killed worker; only ``Worker._begin`` may catch it."""


class Step(NamedTuple):
    """The next action of a worker."""

    kind: str
    """One word, such as ``insert`` or ``rename``."""
    what: str
    """The object of the action, for readers of the trace."""
    is_locking: bool = False
    """Whether it takes a database lock that lasts until the transaction ends."""


@dataclass(eq=False)
class Holdings:
    """What the operating system and the database hold for a worker until it dies."""

    locked: set[int] = field(default_factory=set)
    """File descriptors on which the worker has a lock."""
    connections: list[Connection] = field(default_factory=list)
    """Every database connection that it has opened."""
    writing: set[int] = field(default_factory=set)
    """The ``id`` of each connection whose open transaction has written something."""

    def open_connections(self) -> list[Connection]:
        """Return the open connections, and drop the closed ones from the list."""
        self.connections = [each for each in self.connections if not each.closed]
        return [each for each in self.connections if not each.invalidated]


class Worker(greenlet):  # type: ignore[misc]  # has no types
    """One simulated process that works on batches until it ends or is killed."""

    def __init__(self, name: str, work: Callable[["Worker"], None]) -> None:
        """Start a worker and run it up to its first step.

        Args:
            name: for the trace.
            work: the function that it runs; its argument is the worker.
        """
        super().__init__(self._begin)
        self.name = name
        self.next = Step("call", "begin")
        self.holdings = Holdings()
        self.is_killed = False
        self.is_waiting = False
        """Whether it waits for a database lock that another worker holds."""
        self.is_holding = False
        """Whether it holds a batch, be the batch finished or not."""
        self.claimed: str | None = None
        """The id of the unfinished batch that it holds."""
        self.has_lost_locks = False
        """Whether its locks were taken away while it held that batch."""
        self.run_id: int | None = None
        """The id of its run, as long as it holds the lock of that run."""
        self.error: BaseException | None = None
        """The exception that ended it, unless it was killed."""
        self._work = work
        self.switch()

    def _begin(self) -> None:
        try:
            self.step("call", "begin")
            self._work(self)
            self.step("call", "end")
        except WorkerKilled:
            pass
        except BaseException as error:  # noqa: BLE001 - the schedule reports it
            if not self.is_killed:  # otherwise the kill caused it
                self.error = error

    @property
    def is_at_first_lock(self) -> bool:
        """Whether its next step takes its first lock, for which other workers may wait."""
        return self.next.is_locking and not self.holdings.writing

    def step(self, kind: str, what: str) -> None:
        """Stop before an action until the worker is resumed."""
        self.pause(Step(kind, what))

    def pause(self, upcoming: Step) -> None:
        """Hand the thread to the schedule, which decides what happens next.

        Raises:
            WorkerKilled: the worker was killed.
        """
        if self.is_killed:
            raise WorkerKilled
        self.next = upcoming
        assert self.parent is not None, "another greenlet has started the worker"
        self.parent.switch()

    def kill(self) -> None:
        """Unwind the stack without any effect; call it after the sessions have ended."""
        self.is_killed = True
        if not self.dead:
            self.throw(WorkerKilled())


def current_worker() -> Worker | None:
    """Return the worker whose code runs now; None outside a worker."""
    running = getcurrent()
    return running if isinstance(running, Worker) else None
