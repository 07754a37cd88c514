"""Runs a command and measures its time and memory."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import psutil

POLL_S = 0.05
"""Seconds between two measurements of the memory: stages last seconds."""


@dataclass(frozen=True)
class Usage:
    """The time and memory of one run of a command and its children."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    """Largest sum of the resident memory of the process and its children, in 10^6 bytes."""
    output: str


def run_measured(command: Sequence[str], environment: dict[str, str]) -> Usage:
    """Run a command to its end.

    Raises:
        SystemExit: the command failed; the message is the end of its standard error.
    """
    before = os.times()
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak: list[float] = [0.0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    watcher.start()
    output, errors = process.communicate()
    wall_s = time.perf_counter() - started
    after = os.times()
    watcher.join()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}: {errors[-2000:]}")
    cpu_s = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return Usage(wall_s, cpu_s, peak[0] / 1e6, output)


def middle(runs: Sequence[Usage]) -> Usage:
    """Return the median of each figure over several runs, with the last run's output."""
    return Usage(
        median(one.wall_s for one in runs),
        median(one.cpu_s for one in runs),
        median(one.peak_mb for one in runs),
        runs[-1].output,
    )


def _watch(pid: int, peak: list[float]) -> None:
    """Keep the largest resident memory of a process tree until it ends."""
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            resident = 0
            for process in [root, *root.children(recursive=True)]:
                try:
                    resident += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak[0] = max(peak[0], resident)
            time.sleep(POLL_S)
    except psutil.NoSuchProcess:
        return
