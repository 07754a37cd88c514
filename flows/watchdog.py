"""The watchdog of a deployed run: a process that tells Prefect if the run is killed.

Belongs here: that process, and how it notices the run's end. Does not belong here: the corrections
that follow (``flows.leftovers``).

Prefect's worker kills its runs when it is stopped, and the system kills processes when memory is
short. A killed run reports nothing. The watchdog reads from a pipe whose other end only the run
holds. A run that ends in order writes a byte into it; the pipe of a killed run closes empty.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flows.signals import STOPPING

IN_ORDER = b"."
"""What a run writes into the pipe when it ends in order."""


@contextmanager
def watched() -> Iterator[None]:
    """If this process is killed in the block, have its run marked as Crashed within seconds."""
    watchdog = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell, our own words
        [sys.executable, "-P", "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        with suppress(OSError):  # the watchdog may be gone: the run needs none
            watchdog.communicate(IN_ORDER)


def watch() -> None:
    """Wait for the end of the run. If it was killed, close its row and mark it as crashed."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)  # a service manager stops the run too
    if sys.stdin.buffer.read() == IN_ORDER:
        return
    from flows.clock import utc_now
    from flows.leftovers import report_killed_runs
    from flows.places import open_database
    from flows.prefect_api import quiet_libraries
    from flows.settings import load_settings

    quiet_libraries()
    with open_database(load_settings()) as engine:
        report_killed_runs(engine, None, utc_now())


if __name__ == "__main__":
    watch()
