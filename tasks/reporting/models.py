"""What a training and a retraining show in Prefect: the models, and the evidence about them.

Belongs here: which artifacts there are, and what they say. Does not belong here: the decision
(``tasks.retraining``), or storing anything.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Engine

from tasks.evaluation.metrics import OperatingPoint
from tasks.reporting.markdown import escape
from tasks.reporting.night import publish_champions
from tasks.retraining.comparison import MetricChange
from tasks.retraining.decide import RetrainOutcome
from tasks.retraining.gate import GateResult
from tasks.task import task
from tasks.training.register import TrainingOutcome
from tasks.training.threshold_choice import NOVEL_SHARE
from tasks.wording import plural

RATES: Final = "change of the false-positive rate"


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
    publish_champions(engine, contract)


def training_markdown(outcome: TrainingOutcome) -> str:
    """Render what a training came to."""
    fit = outcome.fit
    place = "champion" if outcome.is_champion else "challenger"
    lines = [
        f"# {outcome.model_version}",
        "",
        f"{place}, fitted on {plural(fit.rows, 'connection')}",
        "",
    ]
    metrics = fit.metrics
    if metrics.known is not None:
        lines += ["## Rows held out of the fit (random split)", ""]
        lines += points_table(metrics.known.operating_points)
        lines += ["", f"ROC AUC {_figure(metrics.known.roc_auc)}"]
    for made_from, unknown in (
        (metrics.unknown_made_from, metrics.unknown),
        ("name", metrics.unknown_attacks),
    ):
        if not unknown:
            continue
        lines += ["", f"## Attacks held out, by {made_from}", ""]
        lines += ["Recall, and the false-positive rate at the same threshold:", ""]
        lines += ["| kind | rows | ROC AUC | default | low_alert | p50 |"]
        lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
        lines += [
            f"| {escape(kind)} | {held_out.rows:,} | {_figure(held_out.roc_auc)} "
            f"| {held_out.recall_default:.4f} at {held_out.false_positive_rate_default:.4f} "
            f"| {held_out.recall_low_alert:.4f} at {held_out.false_positive_rate_low_alert:.4f} "
            f"| {held_out.recall_p50:.4f} at {held_out.false_positive_rate_p50:.4f} |"
            for kind, held_out in unknown.items()
        ]
    if metrics.mixed:
        title = f"## To expect where {NOVEL_SHARE:.0%} of the attacks are of a kind never met"
        lines += ["", title, "", *points_table(metrics.mixed)]
    if outcome.advisories:
        lines += ["", "## Reported, not refused", ""]
        lines += [f"- {escape(advisory)}" for advisory in outcome.advisories]
    return "\n".join(lines)


def retraining_markdown(outcome: RetrainOutcome) -> str:
    """Render what a retraining decided, with the evidence."""
    nights = ", ".join(f"{night}" for night in outcome.judged_nights) or "none"
    lines = ["# Retraining", "", f"**{escape(outcome.message)}**", ""]
    lines += ["| | |", "| --- | --- |"]
    lines += [f"| Fitted on | {plural(outcome.rows_fit, 'connection')} |"]
    lines += [f"| Judged by | {plural(outcome.rows_judged, 'labelled connection')} |"]
    lines += [f"| Left out as copies of rows fitted on | {outcome.rows_seen:,} |"]
    lines += [f"| Nights judged by | {nights} |", ""]
    lines += ["| recipe | version | decision |", "| --- | --- | --- |"]
    lines += [
        f"| {escape(one.recipe)} | {escape(one.model_version or '-')} | **{one.decision}** |"
        for one in outcome.decisions
    ]
    for one in outcome.decisions:
        lines += ["", f"## {escape(one.recipe)}", "", f"{one.decision}: {escape(one.reason)}"]
        if one.verdict is not None:
            lines += ["", *_verdict_lines(one.verdict)]
    if outcome.notes:
        lines += ["", "## Not used", ""]
        lines += [f"- {escape(note)}" for note in outcome.notes]
    return "\n".join(lines)


def _verdict_lines(verdict: GateResult) -> list[str]:
    """Render what the gate asked of a challenger, and each comparison."""
    lines = [
        f"- {check.name}: {'passed' if check.is_passed else '**not passed**'}, {escape(check.says)}"
        for check in verdict.checks
    ]
    title = f"| evidence | rows | attacks | found by champion | by challenger | gain | {RATES} |"
    lines += ["", title, "| --- | ---: | ---: | ---: | ---: | --- | --- |"]
    lines += [
        f"| {one.name} | {one.rows:,} | {one.attacks:,} "
        f"| {_figure(one.champion)} | {_figure(one.challenger)} | {_difference(one.gain)} "
        f"| {_difference(one.false_positives)} |"
        for one in verdict.comparisons
    ]
    for one in verdict.comparisons:
        for role, points in one.points.items():
            lines += ["", f"The {role} on {one.name}:", "", *points_table(points)]
    return lines


def _difference(interval: MetricChange | None) -> str:
    """Write a difference with its interval; a dash where it is not defined."""
    if interval is None:
        return "-"
    return f"{interval.value:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def points_table(points: Mapping[str, OperatingPoint]) -> list[str]:
    """Render operating points, one a row: accuracy never without the false alarms."""
    return [
        "| operating point | threshold | accuracy | false-positive rate (95 %) | recall | F1 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {point.threshold:.3f} | {_figure(point.accuracy)} "
            f"| {_figure(point.false_positive_rate)}{_interval(point)} "
            f"| {_figure(point.recall)} | {_figure(point.f1)} |"
            for name, point in points.items()
        ),
    ]


def _interval(point: OperatingPoint) -> str:
    """Write the interval of a false-positive rate in brackets; nothing where there is none."""
    if point.false_positive_rate_interval is None:
        return ""
    low, high = point.false_positive_rate_interval
    return f" ({low:.4f} to {high:.4f})"


def _figure(value: float | None) -> str:
    """Write a ratio; a dash where it is not defined."""
    return "-" if value is None else f"{value:.4f}"


# An artifact made twice is a second version under the same key.
publish_retraining_task = task(publish_retraining, name="publish retraining", retries=1)
publish_training_task = task(publish_training, name="publish training", retries=1)
