"""The progress line on a terminal: the current step, and for how long the command has run.

Belongs here: showing the lines that ``noctule`` logs. Does not belong here: logging them. In a pipe
nothing is shown. The log itself is in Prefect's run.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from storage.text import printable

SHOWN_CHARACTERS = 100
"""Most characters of the current step. A guess: the line must not wrap."""


@contextmanager
def shown_progress(beginning: str) -> Iterator[None]:
    """Show the current step on standard error until the block ends, if that is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    line = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
    handler = _Follower(line, line.add_task(printable(beginning), total=None))
    logger = logging.getLogger("noctule")
    with line:
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)


class _Follower(logging.Handler):
    """Shows the latest log record: its attribute ``words`` if it has one, else its message."""

    def __init__(self, line: Progress, task: TaskID) -> None:
        super().__init__(logging.INFO)
        self._line = line
        self._task = task

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        words = printable(getattr(record, "words", record.getMessage()), SHOWN_CHARACTERS)
        self._line.update(self._task, description=words, refresh=True)
