"""The cost of a stage: wall time, CPU time and peak memory, which its receipt keeps.

Belongs here: measuring a block of code. Does not belong here: receipts (``storage.lake``).
"""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel

RESET_PEAK = "5"
"""Writing this to ``/proc/self/clear_refs`` resets the peak resident memory (proc(5))."""


class Cost(BaseModel):
    """The cost of one stage, filled in when its work ends."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """CPU time of all threads of the process, in seconds."""
    own_peak_mb: float | None = None
    """Peak resident memory of the stage beyond what the process held when it began, in 10^6 bytes.
    None if the system cannot reset the peak (only Linux can)."""
    peak_mb: float = 0.0
    """Peak resident memory of the whole process while the stage ran, in 10^6 bytes, with libraries
    and what earlier stages left. If the system cannot reset the peak: since the process started."""


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure the block; the yielded cost is complete when the block ends."""
    cost = Cost()
    held = _reset_peak()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield cost
    finally:
        cost.wall_s = round(time.perf_counter() - wall, 3)
        cost.cpu_s = round(time.process_time() - cpu, 3)
        peak = _peak_bytes()
        cost.peak_mb = round(peak / 1e6, 1)
        if held is not None:
            cost.own_peak_mb = round(max(0, peak - held) / 1e6, 1)


def _reset_peak() -> int | None:
    """Reset the peak resident memory and return what is held, in bytes; None if not allowed."""
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    except OSError:
        return None
    return _peak_bytes()


def _peak_bytes() -> int:
    """Return the peak resident memory of this process, in bytes."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
