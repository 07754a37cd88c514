"""What a person at a terminal sees while a flow runs: what is being done, and for how long.

Belongs here: showing the lines that ``noctule`` logs. Does not belong here: logging them. In a pipe
nothing is shown; the log itself is in Prefect's run.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from storage.text import printable

SHOWN_CHARACTERS = 100
"""Of what is being done. A guess: it is to stay on one line."""


@contextmanager
def shown_progress(beginning: str) -> Iterator[None]:
    """Show on a terminal's standard error what is being done, until the block ends.

    Args:
        beginning: what is done first, in words.
    """
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
    """Puts the latest log record on the line: its ``words`` if it has any, else its message."""

    def __init__(self, line: Progress, task: TaskID) -> None:
        super().__init__(logging.INFO)
        self._line = line
        self._task = task

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        words = printable(getattr(record, "words", record.getMessage()), SHOWN_CHARACTERS)
        self._line.update(self._task, description=words, refresh=True)
