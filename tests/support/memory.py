"""The folder that Linux keeps in memory: files there need no flush to a disk."""

import os
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - callers make folders of unique names in it


def memory_folder() -> Path | None:
    """Return the folder in memory; None, for the system's temporary one, if it is not writable."""
    return MEMORY if os.access(MEMORY, os.W_OK) else None
