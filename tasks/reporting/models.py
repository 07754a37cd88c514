"""The artifacts of a training and a retraining: the models, and how they did on held-out rows.

Belongs here: which artifacts there are. Does not belong here: what they say
(``training.md.j2``, ``retraining.md.j2``), the decision (``tasks.retraining``), or storing.
"""

from sqlalchemy import Engine

from tasks.reporting.markdown import escape, render
from tasks.reporting.night import publish_champions
from tasks.retraining.decide import RetrainOutcome
from tasks.task import task
from tasks.training.register import TrainingOutcome
from tasks.training.threshold_choice import NOVEL_SHARE
from tasks.wording import plural


def publish_training(outcome: TrainingOutcome) -> None:
    """Create the artifact of a training: the version, and its metrics on held-out rows."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(
        render_training(outcome),
        key=outcome.model_version.lower().replace("_", "-"),
        description=f"{escape(outcome.model_version)}, {plural(outcome.fit.rows, 'connection')}",
    )


def publish_retraining(engine: Engine, contract: str, outcome: RetrainOutcome) -> None:
    """Create the artifacts of a retraining: the decision with its reasons, and all champions."""
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(
        render_retraining(outcome),
        key=f"retraining-{contract.replace('_', '-')}",
        description=escape(outcome.message),
    )
    publish_champions(engine)


def render_training(outcome: TrainingOutcome) -> str:
    """Return a training's metrics as Markdown."""
    return render(
        "training",
        outcome=outcome,
        connections=plural(outcome.fit.rows, "connection"),
        metrics=outcome.fit.metrics,
        novel_share=NOVEL_SHARE,
    )


def render_retraining(outcome: RetrainOutcome) -> str:
    """Return what a retraining decided, and why, as Markdown."""
    return render("retraining", outcome=outcome, plural=plural)


# An artifact made twice is a second version under the same key.
publish_retraining_task = task(publish_retraining, name="publish retraining", retries=1)
publish_training_task = task(publish_training, name="publish training", retries=1)
