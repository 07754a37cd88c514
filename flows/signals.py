"""Signals that ask a command to stop: it says so in one line, with all that it has begun closed.

Belongs here: what SIGTERM, SIGINT and SIGHUP do to a command. Does not belong here: how ``noctule
serve`` ends the runs that it has started (``flows.runner``).

A signal is an exception in the command's work: runs close their row and tell Prefect, locks are
freed, and the private server is left, in the ordinary way of exceptions. While a flow runs, Prefect
takes SIGTERM, and sends it anew when it has set the run's state.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from flows.printing import say

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

SIGNALLED = 128
"""What a shell adds to a signal's number to say that it ended a command."""


class Stopped(KeyboardInterrupt):
    """A signal has asked this process to stop."""

    def __init__(self, number: int) -> None:
        """Remember which."""
        super().__init__(signal.Signals(number).name)
        self.exit_code = SIGNALLED + number


@contextmanager
def stopped_in_words() -> Iterator[None]:
    """End the process with a line and the signal's exit code where a signal stops the block.

    A signal that is ignored stays so: ``nohup`` and a shell's background jobs count on it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, _raise)
        for number in STOPPING
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    except Stopped as stopped:
        text = f"noctule: stopped by {stopped}. What was finished is kept; run it again to go on"
        say(text, is_error=True)
        raise SystemExit(stopped.exit_code) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_sigterm() -> None:
    """Have what ends by SIGTERM end in peace: a service manager and ``serve`` may both send it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped(number)
