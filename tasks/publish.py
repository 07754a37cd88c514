"""What a run shows in Prefect: artifacts made of what is already stored.

Belongs here: which artifacts there are. Does not belong here: how they look (``tasks.markdown``),
or storing anything; a batch whose artifacts were lost has lost nothing.
"""

import platform
from collections.abc import Callable
from uuid import UUID

from sqlalchemy import Engine

from storage.queries import drift_rows, flagged_rows, history_rows, validation_rows
from tasks.decide import RetrainOutcome
from tasks.markdown import (
    batch_markdown,
    describe,
    escape,
    night_markdown,
    retraining_markdown,
    table_cell,
    training_markdown,
)
from tasks.outcomes import FileOutcome, NightOutcome
from tasks.shown import DRIFT, FLAGGED, HISTORY, ID_DIGITS, VALIDATION, plural
from tasks.task import task
from tasks.train import TrainingOutcome

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
    _publish_champions(engine, contract)


def publish_training(outcome: TrainingOutcome) -> None:
    """Create the artifact of a training: the version, and how it does on what it had not seen."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(
        training_markdown(outcome),
        key=outcome.model_version.lower().replace("_", "-"),
        description=f"{escape(outcome.model_version)}, {plural(outcome.fit.rows, 'connection')}",
    )


def publish_retraining(engine: Engine, contract: str, outcome: RetrainOutcome) -> None:
    """Create the artifacts of a retraining: what was decided and why, and who was champion when."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(
        retraining_markdown(outcome), key="retraining", description=escape(outcome.message)
    )
    _publish_champions(engine, contract)


def _publish_champions(engine: Engine, contract: str) -> None:
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
publish_retraining_task = task(publish_retraining, name="publish retraining", retries=1)
publish_training_task = task(publish_training, name="publish training", retries=1)
