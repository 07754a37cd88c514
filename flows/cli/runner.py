"""The process that serves: it starts what is due, and ends in order when a signal asks it to.

Belongs here: Prefect's runner, and how it stops. Does not belong here: what is served
(``flows.cli.serve``).

Prefect's own runner, told to stop, waits for its runs without limit or leaves them, and may end in
a traceback. This one sends its runs SIGTERM, by which each closes its row, gives back its batch and
tells Prefect how it ended; kills those that do not listen; and is gone within ``END_LIMIT_S``.
A process that is killed with -9 reports nothing: see ``flows.leftovers``.
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
"""For a run to end when it is told to. It takes about a second, and as long as a library stays in
code that is not Python's."""

HEARD_S = 0.5
"""A service manager sends SIGTERM to all processes of a service: so long after, a run that has
heard it ends already, and takes no notice of ours."""

MINUTE_S = 60

POLL_S = 0.1
"""Between two looks at runs that end. A guess."""


class StoppableRunner(Runner):
    """Prefect's runner, which ends its runs before itself."""

    def __init__(self, *, heartbeat_s: int) -> None:
        """Serve until told to stop; the schedules stay as they are then.

        Args:
            heartbeat_s: how often each run says that it lives.
        """
        # Schedules are those of the deployments, not of a process: others may serve them too, and
        # what is missed is made up for by the next one that does.
        # No limit: a retraining of hours, or one that hangs, keeps no night from starting.
        super().__init__(heartbeat_seconds=heartbeat_s, pause_on_shutdown=False, limit=None)
        self.signal: signal.Signals | None = None
        """What has asked this process to stop."""
        self._is_asked = asyncio.Event()

    def handle_sigterm(self, *_: object) -> None:
        """Take SIGTERM: ``start`` makes this its handler."""
        self._ask(signal.SIGTERM)

    async def serve(self, look_after: Callable[[], None]) -> int:
        """Run what is scheduled until a signal comes.

        Args:
            look_after: what is done every minute beside it.

        Returns:
            How many runs were ended by it.
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
            await work  # it never ends by itself, but with an error
            return 0
        ended = await self._end_runs() if self.started else 0
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        return ended

    def _ask(self, number: signal.Signals) -> None:
        """Begin to stop, once."""
        if self.signal is None:
            self.signal = number
            limit = threading.Timer(END_LIMIT_S, give_up, (number, "noctule serve"))
            limit.daemon = True
            limit.start()
            asyncio.get_running_loop().call_soon_threadsafe(self._is_asked.set)

    async def _end_runs(self) -> int:
        """Start no more runs, end those at work, and wait until Prefect knows how they ended."""
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
        # As Prefect and the system have a server that is away, or a disk that is full.
        except (httpx.HTTPError, RuntimeError, OSError):
            continue  # the runner asks the server too, and ends if it stays so


def run_until_stopped(runner: StoppableRunner, look_after: Callable[[], None]) -> int:
    """Serve what a runner was given, until a signal stops it.

    Args:
        runner: with its deployments.
        look_after: what is done every minute beside it.

    Returns:
        The exit code: 128 and the signal's number.
    """
    ended = asyncio.run(runner.serve(look_after))
    assert runner.signal is not None  # noqa: S101 - it ends by a signal or an error
    say(
        f"noctule serve: stopped by {runner.signal.name}; {plural(ended, 'run')} at work ended. The"
        " schedules stay: start it again to go on, and what is missed is made up for once"
    )
    return SIGNALLED + runner.signal
