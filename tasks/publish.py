"""What a run shows of its results: outcomes in words, and Prefect artifacts made from them.

Belongs here: rendering and publishing what is already stored. Does not belong here: computing or
storing anything; a batch whose artifacts were lost has lost nothing.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from storage.cost import Cost

ID_DIGITS = 12
"""Hexadecimal digits of a batch id shown to people: 48 bits tell thousands of batches apart."""


class FileOutcome(BaseModel):
    """What became of one delivered file."""

    model_config = ConfigDict(frozen=True)

    file_name: str
    batch_date: date
    status: Literal["scored", "rejected", "known", "failed"]
    """``known``: the same content was scored or rejected before; ``failed``: it is still to do."""
    message: str
    exit_code: int = 0
    batch_id: str | None = None
    rows_read: int = 0
    rows_scored: int = 0
    rows_quarantined: int = 0
    rows_rejected: int = 0
    rows_known: int = 0
    rows_flagged: int = 0
    model_version: str | None = None
    operating_point: str | None = None
    threshold: float | None = None
    """Of the anomaly score, in decades."""
    advisories: tuple[str, ...] = ()
    drifted: tuple[str, ...] = ()
    """Columns whose distribution moved, by PSI on all rows."""
    reports: tuple[Path, ...] = ()
    costs: Mapping[str, Cost] = {}
    """What each stage used when it was done."""


class SkippedFile(BaseModel):
    """A file that was left for next time, and why."""

    model_config = ConfigDict(frozen=True)

    file_name: str
    reason: str


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
    def message(self) -> str:
        """The night in one sentence, the files that need someone named with their reasons."""
        if not self.files:
            left = f", {len(self.skipped)} left for next time" if self.skipped else ""
            return f"no new file{left}"
        counts = [
            f"{count} {status}"
            for status in ("scored", "known", "rejected", "failed")
            if (count := sum(outcome.status == status for outcome in self.files))
        ]
        flagged = sum(outcome.rows_flagged for outcome in self.files if outcome.status == "scored")
        sentence = f"{_plural(len(self.files), 'file')}: {', '.join(counts)}; {flagged:,} flagged"
        bad = [
            f"{outcome.file_name}: {outcome.message}" for outcome in self.files if outcome.exit_code
        ]
        return "; ".join([sentence, *bad])


def batch_markdown(outcome: FileOutcome) -> str:
    """Render the summary of one batch."""
    rows = {
        "Batch": f"`{(outcome.batch_id or '-')[:ID_DIGITS]}`",
        "Date": f"{outcome.batch_date}",
        "Status": f"**{outcome.status}**: {_cell(outcome.message)}",
        "Rows read": f"{outcome.rows_read:,}",
        "Scored": f"{outcome.rows_scored:,}",
        "Quarantined": f"{outcome.rows_quarantined:,}",
        "Rejected": f"{outcome.rows_rejected:,}",
        "Already known": f"{outcome.rows_known:,}",
        "Flagged": f"{outcome.rows_flagged:,}{_share(outcome.rows_flagged, outcome.rows_scored)}",
    }
    if outcome.model_version is not None and outcome.threshold is not None:
        rows["Model"] = f"`{outcome.model_version}`"
        rows["Threshold"] = f"{outcome.threshold:.3f} ({outcome.operating_point})"
    if outcome.drifted:
        rows["Drifted"] = ", ".join(f"`{name}`" for name in outcome.drifted)
    lines = [f"# {_cell(outcome.file_name)}", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    if outcome.advisories:
        lines += ["", "## Reported, not refused", ""]
        lines += [f"- {_cell(advisory)}" for advisory in outcome.advisories]
    if outcome.reports:
        lines += ["", "## Reports", ""]
        lines += [f"- `{report}`" for report in outcome.reports]
    if outcome.costs:
        lines += ["", "## Stages", "", "| stage | wall s | CPU s | peak MB |"]
        lines += ["| --- | ---: | ---: | ---: |"]
        lines += [
            f"| {stage} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {cost.peak_mb:.0f} |"
            for stage, cost in outcome.costs.items()
        ]
    return "\n".join(lines)


def night_markdown(night: NightOutcome) -> str:
    """Render the summary of a night."""
    lines = ["# Night", "", night.message, ""]
    if night.files:
        lines += ["| file | date | status | read | scored | quarantined | flagged | what |"]
        lines += ["| --- | --- | --- | ---: | ---: | ---: | ---: | --- |"]
        lines += [
            f"| {_cell(one.file_name)} | {one.batch_date} | {one.status} | {one.rows_read:,} "
            f"| {one.rows_scored:,} | {one.rows_quarantined:,} | {one.rows_flagged:,} "
            f"| {_cell(one.message)} |"
            for one in night.files
        ]
    if night.skipped:
        lines += ["", "## Left for next time", ""]
        lines += [f"- {_cell(one.file_name)}: {_cell(one.reason)}" for one in night.skipped]
    return "\n".join(lines)


def _plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _share(part: int, whole: int) -> str:
    """Return a percentage in brackets, or nothing where there is no whole."""
    return f" ({part / whole:.1%})" if whole else ""


def _cell(text: str) -> str:
    """Return outside text as it may stand in a Markdown table: one line, nothing that renders."""
    escaped = text.replace("\\", "\\\\")
    for character in "|`*_<>[]":
        escaped = escaped.replace(character, "\\" + character)
    return " ".join(escaped.split())
