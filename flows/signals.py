"""Signals that ask a command to stop: it closes what it has begun, and ends with one line.

Belongs here: what SIGTERM, SIGINT and SIGHUP do to a command. Does not belong here: how ``noctule
serve`` ends the runs that it has started (``flows.cli.runner``).

A signal raises an exception in the command's work. As for any exception, runs then close their row
and tell Prefect, locks are freed, and the command leaves the private server. While a flow runs,
Prefect handles SIGTERM, and sends it again after it has set the run's state. If an unreachable
server delays all this, the process still ends within ``END_LIMIT_S``.
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
"""Seconds within which a process ends; a service manager waits at least 10 s before it kills."""

REPEAT_S = 1.0
"""Seconds between two signals to a run that has lost the first. A guess: a run reacts at once."""

SIGNALLED = 128
"""A command that a signal ended exits with this plus the signal's number, as in shells."""


class Stopped(KeyboardInterrupt):
    """A signal has asked this process to stop."""

    def __init__(self, number: int) -> None:
        """Keep the signal's name, and the exit code for it."""
        super().__init__(signal.Signals(number).name)
        self.exit_code = SIGNALLED + number


@contextmanager
def stopped_in_words() -> Iterator[None]:
    """If a signal stops the block, print a line and end the process with the signal's exit code.

    A signal that is ignored stays ignored: ``nohup`` and a shell's background jobs rely on it.
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
    """After a signal, end the process if the block takes too long to end.

    The system reports every signal to the pipe below, even one that Prefect handles.
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
    """Repeat a signal that was lost, and end the process if it does not end by itself.

    A handler raises an exception. If Python is just freeing an object, it drops that exception, and
    the run would go on. Python frees thousands of objects in a stage.
    """
    deadline = time.monotonic() + END_LIMIT_S
    while not is_over.wait(REPEAT_S):
        if time.monotonic() > deadline:
            give_up(number)
        handler = signal.getsignal(number)  # SIG_IGN after ``ignore_sigterm``
        if was_lost.is_set() or str(getattr(handler, "__module__", "")).startswith("prefect."):
            was_lost.clear()
            os.kill(os.getpid(), number)


def signal_behind(error: BaseException) -> BaseException:
    """Return the signal that caused an error, or the error itself if no signal caused it.

    When a signal arrives while Prefect's engine begins a run, the engine raises another error: it
    cannot mark as crashed a run that does not exist yet.
    """
    from prefect.exceptions import TerminationSignal

    found: BaseException | None = error
    while found is not None and not isinstance(found, TerminationSignal | KeyboardInterrupt):
        found = found.__cause__ or found.__context__
    return found or error


def give_up(number: int, command: str = "noctule") -> None:
    """End this process at once, because ending in order takes too long."""
    text = (
        f"{command}: stopped by {signal.Signals(number).name} before all was closed, which took too"
        " long; perhaps a server does not answer. The next run closes what was left"
    )
    typer.echo(text, err=True)
    os._exit(SIGNALLED + number)


def ignore_sigterm() -> None:
    """Ignore SIGTERM while this process ends; a service manager and ``serve`` may both send it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise Stopped(number)
