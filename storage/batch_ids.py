"""The id of a batch: its content under one contract.

Belongs here: computing it, and the names that are special. Does not belong here: hashing a file
(``tasks.intake.content``), or the id of a replay (``tasks.intake.replay``).
"""

import hashlib
from typing import Final

FIRST_CONTRACT: Final = "nsl_kdd"
"""The contract that was the only one: the id of its batches is the hash of their content."""

UNRECOGNISED: Final = "unrecognised"
"""What a batch has instead of a contract if none, or more than one, claims its file."""


def name_batch(contract: str, content_sha256: str) -> str:
    """Return the id of a file's batch, in hexadecimal.

    ``content_sha256`` is the SHA-256 of the file's decompressed bytes, in hexadecimal. The same
    content under two contracts is two batches.
    """
    if contract == FIRST_CONTRACT:
        return content_sha256
    return hashlib.sha256(f"{contract}\n{content_sha256}".encode()).hexdigest()


def stored_content(batch_id: str, content_sha256: str) -> str | None:
    """Return what ``batch.content_sha256`` holds: the hash, or None if it is the batch id."""
    return None if batch_id == content_sha256 else content_sha256
