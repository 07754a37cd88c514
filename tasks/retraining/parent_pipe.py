"""A line that processes hang on: when nobody holds it any more, they end.

Belongs here: ending a process of our own whose work nobody waits for. Does not belong here: the
work, or the pools that start it.

A worker of ``ProcessPoolExecutor`` outlives a parent that is killed, for it holds both ends of the
pipe that it reads; and a parent that is told to end waits for what its workers are at. So each gets
one end of a further pipe, of which the parent alone has the other. Nothing is ever sent: it closes
when the parent lets go, or is gone.
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
    """Hold a line for the length of a block, whatever ends it.

    Yields:
        The end that processes hang on; see ``exit_with_parent``.
    """
    # Polars has a wait go on after an interrupt: who waits for a fit would hear of it at its end.
    signal.siginterrupt(signal.SIGINT, True)  # noqa: FBT003 - its only form
    line, held = Pipe(duplex=False)
    with line, held:
        yield line


def exit_with_parent(line: Connection) -> None:
    """End this process, whatever it is at, when nobody holds its line; the initializer of a pool.

    An interrupt at the keyboard reaches it too and is left to the one that holds the line.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with, args=(line,), daemon=True).start()


def _end_with(line: Connection) -> None:
    line.poll(None)  # until the other end is closed
    os._exit(1)
