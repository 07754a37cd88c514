"""A problem that a check reports, and the advice that several checks give.

Belongs here: the class and those texts. Does not belong here: looking for problems.
"""

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "note"]

RESTORE: Final = "restore the database from a backup, or score the batch's file into an empty one"
BY_HAND: Final = "somebody changed the database by hand, or this is a bug: " + RESTORE


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is not as it should be."""

    severity: Severity
    """``error``: the stored data cannot be relied on. ``note``: somebody should look at it."""
    subject: str
    """The batch, model version or file concerned."""
    problem: str
    advice: str
