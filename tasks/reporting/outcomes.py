"""The outcome of a night: of each file, of each file left for next time, and of all files together.

Belongs here: outcomes as values, and the sentences about them. Does not belong here: how they look
in a browser (``tasks.reporting.markdown``) or on a terminal (``flows.cli.outcomes``).
"""

from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel

from expectations.errors import InputRejectedError
from storage.batch_ids import UNRECOGNISED
from storage.cost import Cost
from storage.row_counts import RowCounts
from storage.text import printable
from tasks.wording import ID_DIGITS, OutsideText, plural

OPEN_SHOWN: Final = 5
"""Most open rejections that a message names. A guess: more of them have one cause."""
REASON_CHARACTERS: Final = 200
"""Most characters of a rejection's reason in that list. A guess; SQL has the whole reason."""


class FileOutcome(RowCounts, frozen=True):
    """The outcome of one delivered file."""

    file_name: OutsideText
    batch_date: date
    status: Literal["scored", "rejected", "known", "busy", "failed"]
    """``known``: the same content was scored or rejected before. ``busy``: another run works on it.
    ``failed``: the next run does it again."""
    message: OutsideText
    exit_code: int = 0
    batch_id: str | None = None
    contract: str | None = None
    """None if the run ended before the file's contract was known."""
    rows_flagged: int | None = None
    """None where this run scored nothing."""
    model_version: str | None = None
    operating_point: str | None = None
    threshold: float | None = None
    target_flag_rate: float | None = None
    """Share of rows that the operating point is meant to flag; None where it is not known."""
    false_positive_rate: float | None = None
    """Share of the rows labelled normal that are flagged; None where no row is labelled normal."""
    advisories: tuple[OutsideText, ...] = ()
    drifted: tuple[str, ...] = ()
    """Columns whose distribution has drifted, by PSI on all rows."""
    reports: tuple[Path, ...] = ()
    costs: Mapping[str, Cost] = {}
    """Cost of each stage that this run did; a stage that was done before is left out."""

    @property
    def is_unscored(self) -> bool:
        """Whether it is still neither scored nor settled, by this run or an earlier one."""
        return self.status != "scored" and (self.status != "known" or self.exit_code != 0)


class SkippedFile(BaseModel, frozen=True):
    """A file that this run left for the next one, and why."""

    file_name: OutsideText
    reason: OutsideText


class OpenRejection(BaseModel, frozen=True, extra="ignore"):
    """A file that an earlier run rejected and that is still open."""

    batch_id: str
    batch_date: date
    file_name: OutsideText
    rejection: OutsideText
    source_path: OutsideText
    """The path from which the file was read."""
    arrived_at: datetime

    @property
    def description(self) -> str:
        """The file, its batch and the reason, in one line."""
        place = f"{self.batch_date}, batch {self.batch_id[:ID_DIGITS]}"
        reason = printable(self.rejection, REASON_CHARACTERS)
        return f"{printable(self.file_name)} ({place}): {reason}"


class NightOutcome(BaseModel, frozen=True):
    """The outcome of one run of the nightly flow."""

    files: tuple[FileOutcome, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    open_rejections: tuple[OpenRejection, ...] = ()
    """Rejections of earlier runs; a file that this run worked on is in ``files`` instead."""

    @property
    def has_several_contracts(self) -> bool:
        """Whether its files have several contracts, besides those without any."""
        return len({one.contract for one in self.files} - {None, UNRECOGNISED}) > 1

    @property
    def exit_code(self) -> int:
        """The exit code of the worst outcome.

        A bug comes first, then an unavailable service, then wrong settings, then a rejected file.
        """
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
        """The summary, then each file that needs a person's attention, with its reason."""
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
        """What to do about open rejections, in one sentence."""
        ids = {one.batch_id[:ID_DIGITS] for one in self.open_rejections}
        batch = ids.pop() if len(ids) == 1 else "BATCH"
        return (
            "a rejected file is open until it is delivered again, replayed"
            f" (noctule replay {batch}) or dismissed (noctule dismiss {batch} --reason WHY)"
        )
