"""The process of ``noctule serve``: it starts scheduled runs, and ends in order after a signal.

Belongs here: Prefect's runner, and how it stops. Does not belong here: what is served
(``flows.cli.serve``).

Prefect's own runner, when it is stopped, waits for its runs without limit or abandons them, and may
end with a traceback. This one sends SIGTERM to its runs: each then closes its row, releases its
batch and tells Prefect how it ended. The runner kills runs that do not react, and ends within
``END_LIMIT_S``. A process that is killed with ``kill -9`` reports nothing: see ``flows.leftovers``.
"""

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import httpx
from prefect.runner import Runner

from flows.cli.printing import say
from flows.signals import END_LIMIT_S, SIGNALLED, STOPPING, give_up
from tasks.wording import plural

LISTEN_LIMIT_S = 6.0
"""Seconds that a run has to end after SIGTERM. It takes about one second, or longer while a library
runs compiled code."""

HEARD_S = 0.5
"""Seconds to wait before SIGTERM is sent to the runs. A service manager sends SIGTERM to all
processes of a service: by then, a run that got it is already ending, and ignores ours."""

MINUTE_S = 60

POLL_S = 0.1
"""Seconds between two checks of runs that are ending. A guess."""


class StoppableRunner(Runner):
    """Prefect's runner, which ends its runs before it ends itself."""

    def __init__(self, *, heartbeat_s: int) -> None:
        """Make a runner that leaves the schedules unchanged when it stops."""
        # Schedules belong to the deployments, not to a process: another process may serve them too,
        # and the next one makes up for what is missed.
        # No limit of runs at once: a long retraining, or one that hangs, must not delay a night.
        super().__init__(heartbeat_seconds=heartbeat_s, pause_on_shutdown=False, limit=None)
        self.signal: signal.Signals | None = None
        """The signal that asked this process to stop."""
        self._is_asked = asyncio.Event()

    def handle_sigterm(self, *_: object) -> None:
        """Handle SIGTERM; ``start`` installs this handler."""
        self._ask(signal.SIGTERM)

    async def serve(self, look_after: Callable[[], None]) -> int:
        """Run what is scheduled until a signal arrives; call ``look_after`` every minute meanwhile.

        Returns:
            The number of runs that the signal ended.
        """
        loop = asyncio.get_running_loop()
        for number in STOPPING:
            if signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, self._ask, number)
        work = loop.create_task(self.start())
        asked = loop.create_task(self._is_asked.wait())
        looking = loop.create_task(_look_every_minute(look_after))
        await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
        looking.cancel()
        if self.signal is None:
            asked.cancel()
            await work  # it ended by itself, so it raises an error
            return 0
        ended = await self._end_runs() if self.started else 0
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        return ended

    def _ask(self, number: signal.Signals) -> None:
        """Begin to stop; a second signal changes nothing."""
        if self.signal is None:
            self.signal = number
            limit = threading.Timer(END_LIMIT_S, give_up, (number, "noctule serve"))
            limit.daemon = True
            limit.start()
            asyncio.get_running_loop().call_soon_threadsafe(self._is_asked.set)

    async def _end_runs(self) -> int:
        """Start no more runs, end the present ones, and wait until Prefect knows how they ended."""
        poller = self._scheduled_run_poller
        poller.stopping = True
        told = set()
        await asyncio.sleep(HEARD_S)
        deadline = time.monotonic() + LISTEN_LIMIT_S
        while poller._submitting_flow_run_ids:  # noqa: SLF001 - from "pending" to its last state
            for run in self._process_manager.flow_run_ids():
                process = self._process_manager.get(run)
                if process is None:
                    continue
                with suppress(ProcessLookupError):
                    if time.monotonic() > deadline:
                        process.hard_kill()
                    elif run not in told:
                        process.graceful_kill()
                told.add(run)
            await asyncio.sleep(POLL_S)
        return len(told)


async def _look_every_minute(look_after: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(MINUTE_S)
        try:
            await asyncio.to_thread(look_after)
        # What Prefect and the system raise where a server is unreachable or a disk is full.
        except (httpx.HTTPError, RuntimeError, OSError):
            continue  # the runner asks the server too, and ends if it stays unreachable


def run_until_stopped(runner: StoppableRunner, look_after: Callable[[], None]) -> int:
    """Serve a runner's deployments until a signal; call ``look_after`` every minute meanwhile.

    Returns:
        The exit code: 128 and the signal's number.
    """
    ended = asyncio.run(runner.serve(look_after))
    assert runner.signal is not None  # noqa: S101 - only a signal ends it without an error
    say(
        f"noctule serve: stopped by {runner.signal.name}; {plural(ended, 'run')} ended. The"
        " schedules stay: start it again to go on. One run makes up for those missed meanwhile"
    )
    return SIGNALLED + runner.signal
