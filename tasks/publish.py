"""What a run shows of its results: outcomes in words, and Prefect artifacts made from them.

Belongs here: rendering and publishing what is already stored. Does not belong here: computing or
storing anything; a batch whose artifacts were lost has lost nothing.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Engine

from storage.cost import Cost
from storage.queries import drift_rows, flagged_rows, validation_rows
from tasks.task import task
from tasks.train import TrainingOutcome

ID_DIGITS = 12
"""Hexadecimal digits of a batch id shown to people: 48 bits tell thousands of batches apart."""
TOP_FLAGGED = 25
"""Flagged connections in the artifact: a first look; SQL has them all."""
DIGITS_SHOWN = 5
"""Significant digits of figures in artifacts; SQL has them all."""
FLAGGED_SHOWN = ("row_number", "anomaly_score", "reasons", "record")
VALIDATION_SHOWN = (
    "suite", "expectation", "column_name", "severity", "is_success", "rows_failed", "observed",
    "expected",
)  # fmt: skip
DRIFT_SHOWN = ("column_name", "method", "statistic", "threshold", "is_drifted", "rows_current")


class FileOutcome(BaseModel):
    """What became of one delivered file."""

    model_config = ConfigDict(frozen=True)

    file_name: str
    batch_date: date
    status: Literal["scored", "rejected", "known", "busy", "failed"]
    """``known``: the same content was scored or rejected before; ``busy``: another run is at it;
    ``failed``: it is still to do."""
    message: str
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
        return f"{_plural(len(self.files), 'file')}: {', '.join(counts)}; {flagged:,} flagged"

    @property
    def message(self) -> str:
        """The summary, and the files that need someone named with their reasons."""
        bad = [
            f"{outcome.file_name}: {outcome.message}" for outcome in self.files if outcome.exit_code
        ]
        return "; ".join([self.summary, *bad])


def batch_markdown(outcome: FileOutcome) -> str:
    """Render the summary of one batch."""
    rows = {
        "Date": f"{outcome.batch_date}",
        "Status": f"**{outcome.status}**",
        "Rows read": f"{outcome.rows_read:,}",
        "Scored": f"{outcome.rows_scored:,}",
        "Quarantined": f"{outcome.rows_quarantined:,}",
        "Rejected": f"{outcome.rows_rejected:,}",
        "Already known": f"{outcome.rows_known:,}",
    }
    if outcome.rows_flagged is not None:
        share = _share(outcome.rows_flagged, outcome.rows_scored)
        rows["Flagged"] = f"{outcome.rows_flagged:,}{share}"
    if outcome.model_version is not None and outcome.threshold is not None:
        rows["Model"] = f"`{outcome.model_version}`"
        rows["Threshold"] = f"{outcome.threshold:.3f} ({outcome.operating_point})"
    if outcome.drifted:
        rows["Drifted"] = ", ".join(f"`{name}`" for name in outcome.drifted)
    if outcome.exit_code:
        rows["Status"] += f": {_cell(outcome.message)}"
    lines = [f"# {_cell(outcome.file_name)}", ""]
    lines += [f"| Batch | `{(outcome.batch_id or '-')[:ID_DIGITS]}` |", "| --- | --- |"]
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
    lines = ["# Night", "", night.summary, ""]
    if night.files:
        lines += ["| file | date | status | read | scored | quarantined | flagged |"]
        lines += ["| --- | --- | --- | ---: | ---: | ---: | ---: |"]
        lines += [
            f"| {_cell(one.file_name)} | {one.batch_date} | {one.status} | {one.rows_read:,} "
            f"| {one.rows_scored:,} | {one.rows_quarantined:,} | {one.rows_flagged or 0:,} |"
            for one in night.files
        ]
    unscored = [one for one in night.files if one.status != "scored"]
    if unscored:
        lines += ["", "## Not scored", ""]
        lines += [f"- {_cell(one.file_name)}: {_cell(one.message)}" for one in unscored]
    if night.skipped:
        lines += ["", "## Left for next time", ""]
        lines += [f"- {_cell(one.file_name)}: {_cell(one.reason)}" for one in night.skipped]
    return "\n".join(lines)


def training_markdown(outcome: TrainingOutcome) -> str:
    """Render what a training came to."""
    fit = outcome.fit
    place = "champion" if outcome.is_champion else "challenger"
    lines = [f"# {outcome.model_version}", "", f"{place}, fitted on {fit.rows:,} connections", ""]
    lines += ["## Rows held out of the fit", ""]
    lines += ["| operating point | threshold | accuracy | false-positive rate | recall | F1 |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {point.threshold:.3f} | {_figure(point.accuracy)} "
        f"| {_figure(point.false_positive_rate)} | {_figure(point.recall)} | {_figure(point.f1)} |"
        for name, point in fit.metrics.known.operating_points.items()
    ]
    lines += ["", f"ROC AUC {_figure(fit.metrics.known.roc_auc)}"]
    if fit.metrics.unknown:
        lines += ["", f"## Attacks held out, by {fit.metrics.unknown_made_from}", ""]
        lines += ["| kind | rows | recall (default) | recall (low_alert) |"]
        lines += ["| --- | ---: | ---: | ---: |"]
        lines += [
            f"| {_cell(kind)} | {held_out.rows:,} | {held_out.recall_default:.4f} "
            f"| {held_out.recall_low_alert:.4f} |"
            for kind, held_out in fit.metrics.unknown.items()
        ]
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    """Write a ratio; a dash where it is not defined."""
    return "-" if value is None else f"{value:.4f}"


def reason_text(reasons: Sequence[Mapping[str, Any]]) -> str:
    """Write a connection's reasons as one line for people."""
    return "; ".join(
        f"{one['feature']} {one['observed']} (expected {one['expected']})" for one in reasons
    )


def _plain(value: object) -> object:
    """Return a stored value as an artifact's table shows it."""
    if isinstance(value, list):
        return reason_text(value)
    if isinstance(value, float):
        return float(f"{value:.{DIGITS_SHOWN}g}")
    if isinstance(value, Mapping):
        return json.dumps(value)
    if isinstance(value, float):
        return round(value, 4)
    return value


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


def publish_batch(engine: Engine, outcome: FileOutcome) -> None:
    """Create the artifacts of one batch: summary, top flagged, validation and drift.

    Args:
        engine: the database; what is shown is what is stored.
        outcome: of a batch that was scored or rejected.
    """
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    assert outcome.batch_id is not None  # noqa: S101 - a finished batch has an id
    short = outcome.batch_id[:ID_DIGITS]
    create_markdown_artifact(
        batch_markdown(outcome),
        key=f"batch-{short}",
        description=f"{outcome.file_name}, {outcome.batch_date}: {outcome.message}",
    )
    batch_id = outcome.batch_id
    shown = {
        "flagged": (FLAGGED_SHOWN, flagged_rows(engine, batch=batch_id, limit=TOP_FLAGGED)),
        "validation": (VALIDATION_SHOWN, validation_rows(engine, batch_id)),
        "drift": (DRIFT_SHOWN, drift_rows(engine, batch=batch_id)),
    }
    for name, (columns, rows) in shown.items():
        if rows:
            create_table_artifact(
                [{column: _plain(row[column]) for column in columns} for row in rows],
                key=f"{name}-{short}",
                description=f"{outcome.file_name}, {outcome.batch_date}: {name}",
            )


def publish_night(night: NightOutcome) -> None:
    """Create the artifact of a whole night."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(night_markdown(night), key="night", description=night.summary)


def publish_training(outcome: TrainingOutcome) -> None:
    """Create the artifact of a training: the version, and how it does on what it had not seen."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(
        training_markdown(outcome),
        key=outcome.model_version.lower().replace("_", "-"),
        description=f"{outcome.model_version}, {outcome.fit.rows:,} connections",
    )


def progress_artifact(batch_id: str) -> Callable[[float], None]:
    """Create a progress artifact and return what moves it: a share of the rows, in [0, 1]."""
    from prefect.artifacts import create_progress_artifact, update_progress_artifact

    made = create_progress_artifact(
        0.0, key=f"progress-{batch_id[:ID_DIGITS]}", description="connections scored, percent"
    )
    assert isinstance(made, UUID)  # noqa: S101 - a coroutine only within an event loop

    def move(share: float) -> None:
        update_progress_artifact(made, 100 * share)

    return move


# An artifact made twice is a second version under the same key.
publish_batch_task = task(publish_batch, name="publish", retries=1)
publish_night_task = task(publish_night, name="publish night", retries=1)
publish_training_task = task(publish_training, name="publish training", retries=1)
