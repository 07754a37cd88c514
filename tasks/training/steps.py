"""The steps of a long piece of work: announced one by one, and timed.

Belongs here: the timer. Does not belong here: what a step does, or how progress is shown.
"""

import time
from collections.abc import Callable


class StepTimer:
    """Announces each step before it is done, and measures its wall time."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        """Time steps; ``progress`` is called with the name of each."""
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._current: tuple[str, float] | None = None

    def begin(self, name: str) -> None:
        """End the step before, and begin the next."""
        self.end()
        self._current = (name, time.perf_counter())
        self._progress(name)

    def end(self) -> dict[str, float]:
        """End the last step; return the seconds of each step by its name."""
        if self._current is not None:
            name, began = self._current
            self._seconds[name] = time.perf_counter() - began
            self._current = None
        return self._seconds
