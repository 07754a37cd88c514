"""Signals that ask a command to stop: it says so in one line, with all that it has begun closed.

Belongs here: what SIGTERM, SIGINT and SIGHUP do to a command. Does not belong here: how ``noctule
serve`` ends the runs that it has started (``flows.cli.runner``).

A signal is an exception in the command's work: runs close their row and tell Prefect, locks are
freed, and the private server is left, in the ordinary way of exceptions. While a flow runs, Prefect
takes SIGTERM, and sends it anew when it has set the run's state. Where a server that is away keeps
all this from ending, the process ends within ``END_LIMIT_S`` all the same.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

END_LIMIT_S = 9.0
"""For all to end; a service manager waits for 10 s, if not longer, before it kills."""

REPEAT_S = 1.0
"""Between two signals to a run that has not heard the first. A guess: it hears one at once."""

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
        with ended_in_time():
            yield
    except Stopped as stopped:
        text = f"noctule: stopped by {stopped}. What was finished is kept; run it again to go on"
        typer.echo(text, err=True)
        raise SystemExit(stopped.exit_code) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ended_in_time() -> Iterator[None]:
    """End the process where a signal has asked it to end and the block takes too long to do so.

    The system tells of each signal here, whoever handles it: Prefect does while a flow runs.
    """
    heard, told = os.pipe()
    os.set_blocking(told, False)
    is_over, was_lost = threading.Event(), threading.Event()
    threading.Thread(target=_listen, args=(heard, is_over, was_lost), daemon=True).start()
    before, show_dropped = signal.set_wakeup_fd(told, warn_on_full_buffer=False), sys.unraisablehook

    def note_dropped(dropped: "sys.UnraisableHookArgs") -> None:
        kind = dropped.exc_type
        if issubclass(kind, KeyboardInterrupt) or kind.__name__ == "TerminationSignal":
            was_lost.set()
        else:
            show_dropped(dropped)

    sys.unraisablehook = note_dropped
    try:
        yield
    finally:
        sys.unraisablehook = show_dropped
        signal.set_wakeup_fd(before)
        is_over.set()
        os.close(told)


def _listen(heard: int, is_over: threading.Event, was_lost: threading.Event) -> None:
    with os.fdopen(heard, "rb", buffering=0) as numbers:
        while number := numbers.read(1):
            if number[0] in STOPPING:
                _insist(number[0], is_over, was_lost)


def _insist(number: int, is_over: threading.Event, was_lost: threading.Event) -> None:
    """Repeat a signal that was lost, and end the process where it does not end by itself.

    Handlers raise. Python drops what is raised while it frees an object, as it does thousands of
    times in a stage, and the run would go on.
    """
    deadline = time.monotonic() + END_LIMIT_S
    while not is_over.wait(REPEAT_S):
        if time.monotonic() > deadline:
            give_up(number)
        handler = signal.getsignal(number)  # who has heard it ignores it: see ``ignore_sigterm``
        if was_lost.is_set() or str(getattr(handler, "__module__", "")).startswith("prefect."):
            was_lost.clear()
            os.kill(os.getpid(), number)


def signal_behind(error: BaseException) -> BaseException:
    """Return the signal that an error comes of, or the error itself where it comes of none.

    Prefect's engines meet a signal that arrives while they begin a run with an error of their own:
    the run, which is not there yet, cannot be marked as crashed.
    """
    from prefect.exceptions import TerminationSignal

    found: BaseException | None = error
    while found is not None and not isinstance(found, TerminationSignal | KeyboardInterrupt):
        found = found.__cause__ or found.__context__
    return found or error


def give_up(number: int, command: str = "noctule") -> None:
    """End this process at once, because it takes too long to end in order.

    Args:
        number: the signal that asked for it.
        command: who says so.
    """
    text = (
        f"{command}: stopped by {signal.Signals(number).name} before all was closed: that took too"
        " long, as it does where a server is away. The next run closes what was left"
    )
    typer.echo(text, err=True)
    os._exit(SIGNALLED + number)


def ignore_sigterm() -> None:
    """Ignore SIGTERM while this process ends: a service manager and ``serve`` may both send it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped(number)
