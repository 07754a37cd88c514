"""The artifacts of a night: of each batch, and of all batches together.

Belongs here: which artifacts there are. Does not belong here: what they say (``batch.md.j2``,
``night.md.j2``), or storing: a batch stays stored even if its artifacts are lost.
"""

import platform

from sqlalchemy import Engine

from storage.queries import drift_rows, flagged_rows, history_rows, validation_rows
from tasks.reporting.markdown import escape, render, shell_word, table_cell
from tasks.reporting.outcomes import FileOutcome, NightOutcome
from tasks.task import task
from tasks.wording import DRIFT, FLAGGED, HISTORY, ID_DIGITS, VALIDATION, add_identifiers

TOP_FLAGGED = 25
"""Flagged connections in the artifact, for a first look; SQL has them all."""
LATEST_CHANGES = 25
"""Changes of champion in the artifact, for a first look; SQL has them all."""


def publish_batch(engine: Engine, outcome: FileOutcome) -> None:
    """Create the artifacts of a scored or rejected batch: summary, flagged, validation, drift."""
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    assert outcome.batch_id is not None  # noqa: S101 - a finished batch has an id
    short = outcome.batch_id[:ID_DIGITS]
    create_markdown_artifact(
        render_batch(outcome, platform.node()),
        key=f"batch-{short}",
        description=describe_file(outcome, outcome.message),
    )
    batch_id = outcome.batch_id
    flagged, identifiers = add_identifiers(flagged_rows(engine, batch=batch_id, limit=TOP_FLAGGED))
    tables = {
        "flagged": ((*identifiers, *FLAGGED, "record"), flagged),
        "validation": (VALIDATION, validation_rows(engine, batch_id)),
        "drift": (DRIFT, drift_rows(engine, batch=batch_id)),
    }
    for name, (columns, rows) in tables.items():
        if rows:
            create_table_artifact(
                [{column: table_cell(row[column]) for column in columns} for row in rows],
                key=f"{name}-{short}",
                description=describe_file(outcome, name),
            )


def publish_night(engine: Engine, night: NightOutcome) -> None:
    """Create the artifacts of a whole night: its summary, and all champions."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(render_night(night), key="night", description=night.summary)
    publish_champions(engine)


def publish_champions(engine: Engine) -> None:
    """Create the artifact of all champions: no flow reports a promotion or rollback by hand."""
    from prefect.artifacts import create_table_artifact

    create_table_artifact(
        [
            {column: table_cell(row[column]) for column in HISTORY}
            for row in history_rows(engine, limit=LATEST_CHANGES)
        ],
        key="champions",
        description="the latest changes of champion, the newest first",
    )


def describe_file(outcome: FileOutcome, text: str) -> str:
    """Return the description of an artifact: the file's name, its date, and the text."""
    return f"{escape(outcome.file_name)}, {outcome.batch_date}: {escape(text)}"


def render_batch(outcome: FileOutcome, host: str = "localhost") -> str:
    """Return the summary of one batch as Markdown.

    ``host`` is the machine on which its reports are; a browser elsewhere cannot open their paths.
    """
    short_id = (outcome.batch_id or "none")[:ID_DIGITS]
    return render("batch", outcome=outcome, short_id=short_id, host=host, shell_word=shell_word)


def render_night(night: NightOutcome) -> str:
    """Return the summary of a night as Markdown."""
    return render("night", night=night)


# An artifact made twice is a second version under the same key.
publish_batch_task = task(publish_batch, name="publish", retries=1)
publish_night_task = task(publish_night, name="publish night", retries=1)
