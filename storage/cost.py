"""What a piece of work used: wall time, CPU time and peak memory, kept in its receipt."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel

RESET_PEAK = "5"
"""Written to ``/proc/self/clear_refs`` it resets the peak resident memory (proc(5))."""


class Cost(BaseModel):
    """The cost of one stage; filled in when the work ends."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """CPU time of the process, all threads, in seconds."""
    peak_mb: float = 0.0
    """Peak resident memory of the process while the stage ran, in 10^6 bytes. Where the system
    cannot reset its peak (other than Linux), the peak since the process began."""


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure the work in the block; the cost is complete when the block ends."""
    cost = Cost()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield cost
    finally:
        cost.wall_s = round(time.perf_counter() - wall, 3)
        cost.cpu_s = round(time.process_time() - cpu, 3)
        cost.peak_mb = round(_peak_bytes() / 1e6, 1)


def _peak_bytes() -> int:
    """Return the peak resident memory of this process."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
