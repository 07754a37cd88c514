"""What became of a night: of each file, of those left for next time or open, and of all together.

Belongs here: outcomes as values, and in words. Does not belong here: how they look in a browser
(``tasks.reporting.markdown``) or on a terminal (``flows.tables``).
"""

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from expectations.errors import InputRejectedError
from storage.cost import Cost
from storage.text import printable
from tasks.wording import ID_DIGITS, OutsideText, plural

OPEN_SHOWN: Final = 5
"""Most open rejections that a message names. A guess: more than that is one fault."""
REASON_CHARACTERS: Final = 200
"""Of the reason of each. A guess: the whole of it is in the batch."""


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

    @property
    def is_unscored(self) -> bool:
        """Whether rows of it are still to be scored: not if it was scored, or settled, before."""
        return self.status != "scored" and (self.status != "known" or self.exit_code != 0)


class SkippedFile(BaseModel):
    """A file that was left for next time, and why."""

    model_config = ConfigDict(frozen=True)

    file_name: OutsideText
    reason: OutsideText


class OpenRejection(BaseModel):
    """A file that an earlier run rejected, and that nobody has seen to."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    batch_id: str
    batch_date: date
    file_name: OutsideText
    rejection: OutsideText
    source_path: OutsideText
    """Where it came from."""
    arrived_at: datetime

    @property
    def description(self) -> str:
        """The file, its batch and the reason in one line."""
        place = f"{self.batch_date}, batch {self.batch_id[:ID_DIGITS]}"
        reason = printable(self.rejection, REASON_CHARACTERS)
        return f"{printable(self.file_name)} ({place}): {reason}"


class NightOutcome(BaseModel):
    """What became of all files of one run of the nightly flow."""

    model_config = ConfigDict(frozen=True)

    files: tuple[FileOutcome, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    open_rejections: tuple[OpenRejection, ...] = ()
    """Of files that this run passed over; those it worked on are among ``files``."""

    @property
    def exit_code(self) -> int:
        """The worst that happened: a bug, then a service, then a rejected file."""
        codes = {outcome.exit_code for outcome in self.files}
        if self.open_rejections:
            codes.add(InputRejectedError.exit_code)
        return next((code for code in (1, 4, 2, 3) if code in codes), 0)

    @property
    def summary(self) -> str:
        """The night in one sentence."""
        is_open = plural(len(self.open_rejections), "earlier rejection") + " open"
        still = f"; {is_open}" if self.open_rejections else ""
        if not self.files:
            left = f", {len(self.skipped)} left for next time" if self.skipped else ""
            return f"no new file{left}{still}"
        counts = [
            f"{count} {status}"
            for status in ("scored", "known", "busy", "rejected", "failed")
            if (count := sum(outcome.status == status for outcome in self.files))
        ]
        flagged = sum(outcome.rows_flagged or 0 for outcome in self.files)
        files = plural(len(self.files), "file")
        return f"{files}: {', '.join(counts)}; {flagged:,} flagged{still}"

    @property
    def message(self) -> str:
        """The summary, and the files that need someone named with their reasons."""
        bad = [
            f"{printable(outcome.file_name)}: {printable(outcome.message)}"
            for outcome in self.files
            if outcome.exit_code
        ]
        shown = [f"open: {one.description}" for one in self.open_rejections[:OPEN_SHOWN]]
        more = len(self.open_rejections) - OPEN_SHOWN
        if more > 0:
            shown.append(f"and {more:,} more, see `noctule batches`")
        advice = [self.advice] if self.open_rejections else []
        return "; ".join([self.summary, *bad, *shown, *advice])

    @property
    def advice(self) -> str:
        """What to do about the rejections that are open, in one sentence."""
        ids = {one.batch_id[:ID_DIGITS] for one in self.open_rejections}
        batch = ids.pop() if len(ids) == 1 else "BATCH"
        return (
            f"a rejected file is open until it is delivered anew, replayed (noctule replay {batch})"
            f" or dismissed (noctule dismiss {batch} --reason WHY)"
        )
