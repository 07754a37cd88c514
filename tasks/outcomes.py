"""What became of a night: of each file, of those left for next time, and of all together.

Belongs here: outcomes as values, and in words. Does not belong here: how they look in a browser
(``tasks.markdown``) or on a terminal (``flows.tables``).
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from storage.cost import Cost
from storage.text import printable, storable
from tasks.shown import plural

OutsideText = Annotated[str, BeforeValidator(storable)]
"""A name or a message that may quote one, written as the database has it: a file name that is not
UTF-8 is no text to pydantic, JSON or Prefect."""


class FileOutcome(BaseModel):
    """What became of one delivered file."""

    model_config = ConfigDict(frozen=True)

    file_name: OutsideText
    batch_date: date
    status: Literal["scored", "rejected", "known", "busy", "failed"]
    """``known``: the same content was scored or rejected before; ``busy``: another run is at it;
    ``failed``: it is still to do."""
    message: OutsideText
    exit_code: int = 0
    batch_id: str | None = None
    rows_read: int = 0
    rows_scored: int = 0
    rows_quarantined: int = 0
    rows_rejected: int = 0
    rows_known: int = 0
    rows_flagged: int | None = None
    """None where this run scored nothing."""
    model_version: str | None = None
    operating_point: str | None = None
    threshold: float | None = None
    target_flag_rate: float | None = None
    """Share that the operating point is to flag; None where that is not known."""
    false_positive_rate: float | None = None
    """Of the rows that came labelled normal; None where none did."""
    """Of the anomaly score, in decades."""
    advisories: tuple[OutsideText, ...] = ()
    drifted: tuple[str, ...] = ()
    """Columns whose distribution moved, by PSI on all rows."""
    reports: tuple[Path, ...] = ()
    costs: Mapping[str, Cost] = {}
    """What each stage used that this run did; one that was found done is not among them."""


class SkippedFile(BaseModel):
    """A file that was left for next time, and why."""

    model_config = ConfigDict(frozen=True)

    file_name: OutsideText
    reason: OutsideText


class NightOutcome(BaseModel):
    """What became of all files of one run of the nightly flow."""

    model_config = ConfigDict(frozen=True)

    files: tuple[FileOutcome, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()

    @property
    def exit_code(self) -> int:
        """The worst that happened: a bug, then a service, then a rejected file."""
        codes = {outcome.exit_code for outcome in self.files}
        return next((code for code in (1, 4, 2, 3) if code in codes), 0)

    @property
    def summary(self) -> str:
        """The night in one sentence."""
        if not self.files:
            left = f", {len(self.skipped)} left for next time" if self.skipped else ""
            return f"no new file{left}"
        counts = [
            f"{count} {status}"
            for status in ("scored", "known", "busy", "rejected", "failed")
            if (count := sum(outcome.status == status for outcome in self.files))
        ]
        flagged = sum(outcome.rows_flagged or 0 for outcome in self.files)
        return f"{plural(len(self.files), 'file')}: {', '.join(counts)}; {flagged:,} flagged"

    @property
    def message(self) -> str:
        """The summary, and the files that need someone named with their reasons."""
        bad = [
            f"{printable(outcome.file_name)}: {printable(outcome.message)}"
            for outcome in self.files
            if outcome.exit_code
        ]
        return "; ".join([self.summary, *bad])
