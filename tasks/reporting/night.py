"""What a night shows in Prefect: artifacts of each batch and of all together.

Belongs here: which artifacts there are, and what they say. Does not belong here: storing anything;
a batch whose artifacts were lost has lost nothing.
"""

import platform
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import Engine

from storage.cost import Cost
from storage.queries import drift_rows, flagged_rows, history_rows, validation_rows
from storage.text import printable
from tasks.reporting.markdown import escape, table_cell
from tasks.reporting.outcomes import FileOutcome, NightOutcome
from tasks.task import task
from tasks.wording import DRIFT, FLAGGED, HISTORY, ID_DIGITS, VALIDATION

TOP_FLAGGED = 25
"""Flagged connections in the artifact: a first look; SQL has them all."""
LATEST_CHANGES = 25
"""Changes of champion in the artifact, likewise."""


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
        batch_markdown(outcome, platform.node()),
        key=f"batch-{short}",
        description=describe(outcome, outcome.message),
    )
    batch_id = outcome.batch_id
    shown = {
        "flagged": ((*FLAGGED, "record"), flagged_rows(engine, batch=batch_id, limit=TOP_FLAGGED)),
        "validation": (VALIDATION, validation_rows(engine, batch_id)),
        "drift": (DRIFT, drift_rows(engine, batch=batch_id)),
    }
    for name, (columns, rows) in shown.items():
        if rows:
            create_table_artifact(
                [{column: table_cell(row[column]) for column in columns} for row in rows],
                key=f"{name}-{short}",
                description=describe(outcome, name),
            )


def publish_night(engine: Engine, contract: str, night: NightOutcome) -> None:
    """Create the artifacts of a whole night: its summary, and who was champion when."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(night_markdown(night), key="night", description=night.summary)
    publish_champions(engine, contract)


def publish_champions(engine: Engine, contract: str) -> None:
    """Show the history of champions: of a promotion or rollback by hand no flow tells."""
    from prefect.artifacts import create_table_artifact

    create_table_artifact(
        [
            {column: table_cell(row[column]) for column in HISTORY}
            for row in history_rows(engine, contract=contract, limit=LATEST_CHANGES)
        ],
        key="champions",
        description="the latest changes of champion, the newest first",
    )


def describe(outcome: FileOutcome, what: str) -> str:
    """Say under an artifact which file it is of."""
    return f"{escape(outcome.file_name)}, {outcome.batch_date}: {escape(what)}"


def batch_markdown(outcome: FileOutcome, host: str = "localhost") -> str:
    """Render the summary of one batch.

    Args:
        outcome: what became of it.
        host: the machine on which its reports lie.
    """
    short = (outcome.batch_id or "-")[:ID_DIGITS]
    lines = [f"# {escape(outcome.file_name)}", ""]
    lines += [f"| Batch | `{short}` |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in _facts(outcome).items()]
    if outcome.advisories:
        lines += ["", "## Reported, not refused", ""]
        lines += [f"- {escape(advisory)}" for advisory in outcome.advisories]
    if outcome.status == "rejected":
        lines += ["", "## To do", "", "Have it delivered anew, replay it, or dismiss it:", ""]
        lines += [
            *_typed(f"noctule replay {short} [FILE]", f"noctule dismiss {short} --reason WHY")
        ]
    if outcome.reports:
        lines += ["", "## Reports", "", *_reports(outcome.reports, host)]
    if outcome.costs:
        lines += ["", "## Stages", "", *_stages(outcome.costs)]
    return "\n".join(lines)


def _facts(outcome: FileOutcome) -> dict[str, str]:
    """Return what is known of a batch, by what it is called."""
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
    if outcome.target_flag_rate is not None:
        rows["To be flagged"] = f"{outcome.target_flag_rate:.2%}"
    if outcome.false_positive_rate is not None:
        rows["False-positive rate"] = f"{outcome.false_positive_rate:.2%} of those labelled normal"
    if outcome.drifted:
        rows["Drifted"] = ", ".join(f"`{name}`" for name in outcome.drifted)
    if outcome.exit_code:
        rows["Status"] += f": {escape(outcome.message)}"
    return rows


def _stages(costs: Mapping[str, Cost]) -> list[str]:
    """Render what each stage used."""
    return [
        "| stage | wall s | CPU s | own peak MB | peak MB of the process |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {stage} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {_megabytes(cost.own_peak_mb)} "
            f"| {_megabytes(cost.peak_mb)} |"
            for stage, cost in costs.items()
        ),
    ]


def _reports(reports: Sequence[Path], host: str) -> list[str]:
    """Say how to open files of the machine that ran the batch: a browser opens no path of it."""
    files = [shlex.quote(str(report)) for report in reports]
    copies = [shlex.quote(f"{host}:{report}") for report in reports]
    return [
        f"On {escape(host)}, which ran this:",
        "",
        *_typed(*(f"xdg-open {file}" for file in files)),
        "",
        "From another machine:",
        "",
        *_typed(f"scp {' '.join(copies)} ."),
    ]


def _typed(*commands: str) -> list[str]:
    """Render commands to be typed; nothing in them is markup."""
    fence = "~" * 8
    return [f"{fence}sh", *(printable(command, len(command)) for command in commands), fence]


def _megabytes(value: float | None) -> str:
    """Write an amount of memory; a dash where it is not known."""
    return "-" if value is None else f"{value:,.0f}"


def night_markdown(night: NightOutcome) -> str:
    """Render the summary of a night."""
    lines = ["# Night", "", night.summary, ""]
    if night.files:
        lines += ["| file | date | status | read | scored | quarantined | flagged |"]
        lines += ["| --- | --- | --- | ---: | ---: | ---: | ---: |"]
        lines += [
            f"| {escape(one.file_name)} | {one.batch_date} | {one.status} | {one.rows_read:,} "
            f"| {one.rows_scored:,} | {one.rows_quarantined:,} | {one.rows_flagged or 0:,} |"
            for one in night.files
        ]
    unscored = [one for one in night.files if one.is_unscored]
    if unscored:
        lines += ["", "## Not scored", ""]
        lines += [f"- {escape(one.file_name)}: {escape(one.message)}" for one in unscored]
    if night.open_rejections:
        lines += ["", "## Rejected earlier, and open", ""]
        lines += [f"- {escape(one.says)}" for one in night.open_rejections]
        lines += ["", f"{escape(night.advice)}."]
    if night.skipped:
        lines += ["", "## Left for next time", ""]
        lines += [f"- {escape(one.file_name)}: {escape(one.reason)}" for one in night.skipped]
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    """Return a percentage in brackets, or nothing where there is no whole."""
    return f" ({part / whole:.1%})" if whole else ""


# An artifact made twice is a second version under the same key.
publish_batch_task = task(publish_batch, name="publish", retries=1)
publish_night_task = task(publish_night, name="publish night", retries=1)
