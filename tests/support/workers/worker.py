"""Steps: a worker that stops before everything it does, until it is told to go on or kills dead.

Belongs here: the worker as a greenlet, and what is known of it from outside. Does not belong here:
what it does (see ``batch_work``), which of its calls are steps (``guards``), or who goes next
(``schedules``).

Workers share one thread and hand it over at their steps only, so that an interleaving is the same
each time. A worker that is kills is as dead as after ``kill -9``: its sessions are ended from the
outside first, and while its stack unwinds every call that would have an effect raises again, so
that no ``finally`` cleans up. Only the closing of descriptors goes through, as the system does it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from greenlet import getcurrent, greenlet
from sqlalchemy import Connection


class WorkerKilled(BaseException):
    """A worker is dead; nothing may catch it but the worker's own beginning."""


class Step(NamedTuple):
    """What a worker is about to do."""

    kind: str
    """One word, such as ``insert`` or ``rename``."""
    what: str
    """To what, for who reads the trace."""
    is_locking: bool = False
    """Whether it takes a lock of the database that lasts to the end of the transaction."""


@dataclass(eq=False)
class Holdings:
    """What the system holds for a worker, and takes back when it dies."""

    locked: set[int] = field(default_factory=set)
    """Descriptors with a lock on them."""
    connections: list[Connection] = field(default_factory=list)
    """Every connection it ever opened."""
    writing: set[int] = field(default_factory=set)
    """Those, by ``id``, that are in a transaction in which something is written."""

    def open_connections(self) -> list[Connection]:
        """Return the connections that are open now, and forget the others."""
        self.connections = [each for each in self.connections if not each.closed]
        return [each for each in self.connections if not each.invalidated]


class Worker(greenlet):  # type: ignore[misc]  # has no types
    """One process that works on batches, from its beginning to its end or death."""

    def __init__(self, name: str, work: Callable[["Worker"], None]) -> None:
        """Make a worker and let it come to its first step.

        Args:
            name: for the trace.
            work: what it does; it is given the worker.
        """
        super().__init__(self._begin)
        self.name = name
        self.next = Step("call", "begin")
        self.holdings = Holdings()
        self.is_killed = False
        self.is_waiting = False
        """Whether it waits for a lock of the database that another worker has."""
        self.is_holding = False
        """Whether it holds a batch, finished or not."""
        self.claimed: str | None = None
        """The batch that it holds and has not finished."""
        self.has_lost_locks = False
        """Whether its locks were taken away from it while it held that batch."""
        self.run_id: int | None = None
        """The run whose life it is, for as long as it has the lock of it."""
        self.error: BaseException | None = None
        """What ended it, unless it was kills."""
        self._work = work
        self.switch()

    def _begin(self) -> None:
        try:
            self.step("call", "begin")
            self._work(self)
            self.step("call", "end")
        except WorkerKilled:
            pass
        except BaseException as error:  # noqa: BLE001 - handed to whoever made the schedule
            if not self.is_killed:  # else it is an echo of the death
                self.error = error

    @property
    def is_at_first_lock(self) -> bool:
        """Whether its next step begins what makes others wait."""
        return self.next.is_locking and not self.holdings.writing

    def step(self, kind: str, what: str) -> None:
        """Stop before an action, until it may be done."""
        self.pause(Step(kind, what))

    def pause(self, upcoming: Step) -> None:
        """Hand the thread over to whoever decides what happens next.

        Raises:
            WorkerKilled: nothing happens next, as the worker is dead.
        """
        if self.is_killed:
            raise WorkerKilled
        self.next = upcoming
        assert self.parent is not None, "a worker has been begun by another greenlet"
        self.parent.switch()

    def kill(self) -> None:
        """Unwind its stack without effect; its sessions are gone by now."""
        self.is_killed = True
        if not self.dead:
            self.throw(WorkerKilled())


def current_worker() -> Worker | None:
    """Return the worker whose code is running, if any."""
    running = getcurrent()
    return running if isinstance(running, Worker) else None
