"""A pipe to the parent process: when the parent closes its end, the worker exits.

Belongs here: ending a worker process without a parent. Does not belong here: its work, or the
pool that starts it.

A worker of ``ProcessPoolExecutor`` outlives a parent that is killed, because it holds both ends of
the pipe that it reads. A parent that is told to end waits until its workers are done. So each
worker gets one end of another pipe, and only the parent holds the other end. Nothing is sent
through it. It closes when the parent closes it, or dies.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Thread


@contextmanager
def parent_pipe() -> Iterator[Connection]:
    """Hold a pipe open during a block; it closes however the block ends.

    Yields:
        The workers' end; see ``exit_with_parent``.
    """
    # Polars makes an interrupted wait continue: the interrupt would only count after the fit.
    signal.siginterrupt(signal.SIGINT, True)  # noqa: FBT003 - its only form
    line, held = Pipe(duplex=False)
    with line, held:
        yield line


def exit_with_parent(line: Connection) -> None:
    """Exit this process at once when the parent's end of the pipe closes; initializer of a pool.

    The worker ignores an interrupt from the keyboard: the parent handles it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_exit_when_closed, args=(line,), daemon=True).start()


def _exit_when_closed(line: Connection) -> None:
    line.poll(None)  # until the other end closes
    os._exit(1)
