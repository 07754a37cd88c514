"""How results look on a terminal.

Belongs here: tables and their number formats. Does not belong here: queries, or what is shown
where a machine reads (``--json``).
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from flows.cli.printing import say
from storage.database import name_database
from storage.text import printable
from tasks.wording import ID_DIGITS, plural

if TYPE_CHECKING:
    from flows.settings import Settings
    from tasks.evaluation.evaluate import AttackRecall, Evaluation
    from tasks.evaluation.metrics import FlagMetrics
    from tasks.reporting.outcomes import NightOutcome
    from tasks.retraining.decide import RetrainOutcome
    from tasks.retraining.gate import GateResult
    from tasks.training.families import FamilyMetrics
    from tasks.training.register import TrainingOutcome

PIPE_WIDTH = 10_000
"""Columns where the output is no terminal: each row stays on one line, for ``grep``."""
HEADING_WIDTH = 100
"""Columns of a heading in a pipe."""
HELD_OUT_SHOWN = ["kind", "rows", "roc_auc", "default", "low_alert", "p50"]
NEARLY_ONE, ALMOST_ONE = 0.9995, 0.99999
"""From the one on four digits no longer tell a ratio from 1; the other is shown of all above it."""


def console() -> Console:
    """Return a console on standard output, as wide as it is or as a pipe needs."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def show_heading(title: str) -> None:
    """Print a line across that says what follows."""
    out = console()
    out.print(
        Rule(Text(printable(title))), width=out.width if sys.stdout.isatty() else HEADING_WIDTH
    )


def show_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str, title: str = ""
) -> None:
    """Print rows as a table.

    Args:
        rows: one mapping a row.
        columns: the keys shown, in order.
        empty: what to say when there are no rows.
        title: printed above the table.
    """
    if not rows:
        say(empty)
        return
    if title:
        say(title)
    table = Table(header_style="bold")
    for column in columns:
        is_number = isinstance(rows[0].get(column), int | float)
        # A number is never folded: on a terminal its heading gives way instead.
        is_stacked = is_number and sys.stdout.isatty()
        table.add_column(
            column.replace("_", "\n" if is_stacked else " "),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number,
        )
    for row in rows:
        table.add_row(*(_cell(column, row.get(column)) for column in columns))
    console().print(table)


def show_night(night: "NightOutcome", settings: "Settings") -> None:
    """Print what became of each file of a night, and where the rest is."""
    known = ["rows_known"] if any(outcome.rows_known for outcome in night.files) else []
    columns = ["file_name", "batch_date", "status", "rows_read", "rows_scored", "rows_quarantined",
               "rows_rejected", *known, "rows_flagged", "message"]  # fmt: skip
    rows = [outcome.model_dump() for outcome in night.files]
    show_rows(rows, columns, empty=f"Nothing to do: {night.summary}.")
    for one in night.open_rejections:
        say(f"open: {one.description}")
    if night.open_rejections:
        say(f"{night.advice}.")
    for skipped in night.skipped:
        say(f"left for next time: {skipped.file_name}: {skipped.reason}")
    for outcome in night.files:
        for advisory in outcome.advisories:
            say(f"{outcome.file_name}: {advisory}")
        if outcome.drifted:
            say(f"{outcome.file_name}: drifted: {', '.join(outcome.drifted)}")
        for report in outcome.reports:
            say(f"{outcome.file_name}: report {report}")
    if night.files:
        say(f"database: {name_database(settings.database_address, settings.home)}")


def show_training(outcome: "TrainingOutcome") -> None:
    """Print what a training came to, judged on rows and kinds of attack it had not seen."""
    from tasks.training.threshold_choice import NOVEL_SHARE

    fit = outcome.fit
    place = "champion: it scores from now on" if outcome.is_champion else "challenger"
    classes = ", ".join(f"{count:,} {name}" for name, count in fit.classes.items())
    say(f"{outcome.model_version} ({place})")
    say(f"fitted on {plural(fit.rows, 'connection')}: {classes}")
    if outcome.rows_quarantined:
        say(f"{plural(outcome.rows_quarantined, 'row')} could not be used")
    for advisory in outcome.advisories:
        say(f"reported: {advisory}")
    if fit.metrics.known is not None:
        show_evaluation(
            fit.metrics.known, title="Rows held out of fit and choice of thresholds (random split)"
        )
    for made_from, unknown in (
        (fit.metrics.unknown_made_from, fit.metrics.unknown),
        ("name", fit.metrics.unknown_attacks),
    ):
        kinds = [
            {
                "kind": kind,
                "rows": held_out.rows,
                "roc_auc": held_out.roc_auc,
                "default": _beside(held_out.recall_default, held_out.false_positive_rate_default),
                "low_alert": _beside(
                    held_out.recall_low_alert, held_out.false_positive_rate_low_alert
                ),
                "p50": _beside(held_out.recall_p50, held_out.false_positive_rate_p50),
            }
            for kind, held_out in unknown.items()
        ]
        if kinds:
            title = (
                f"Kinds of attack held out of fit and choice (by {made_from}): recall, and the"
                " false-positive rate at the same threshold"
            )
            show_rows(kinds, HELD_OUT_SHOWN, empty="", title=title)
    if fit.metrics.mixed:
        title = f"To expect where {NOVEL_SHARE:.0%} of the attacks are of a kind never met"
        show_points(fit.metrics.mixed, title)
    if fit.metrics.categories is not None:
        show_categories(fit.metrics.categories)
    version = outcome.model_version
    say(f"judge it on other labelled files: noctule evaluate FILE --model {version}")
    if not outcome.is_champion:
        say(f"let it score: noctule promote {version} --reason WHY")


def show_retraining(outcome: "RetrainOutcome") -> None:
    """Print what a retraining decided of each challenger, and by what."""
    say(outcome.message)
    say(
        f"fitted on {plural(outcome.rows_fit, 'connection')};"
        f" {plural(outcome.rows_judged, 'labelled connection')} of"
        f" {plural(len(outcome.judged_nights), 'night')} to judge by"
        f" ({outcome.rows_seen:,} more left out as copies of rows fitted on)"
    )
    decided = [one.model_dump(exclude={"verdict"}) for one in outcome.decisions]
    show_rows(decided, ["recipe", "model_version", "decision", "reason"], empty="")
    for one in outcome.decisions:
        if one.verdict is not None:
            show_verdict(one.recipe, one.verdict)
    for note in outcome.notes:
        say(f"not used: {note}")


def show_verdict(recipe: str, verdict: "GateResult") -> None:
    """Print what each source of evidence says of a challenger, and what its figures are."""
    evidence: list[dict[str, Any]] = [
        {
            "evidence": found.name,
            "rows": found.rows,
            "attacks": found.attacks,
            "champion": found.champion,
            "challenger": found.challenger,
            "gain": found.gain and (found.gain.low, found.gain.high),
            "change of F1": found.f1 and (found.f1.low, found.f1.high),
            "change of FPR": found.false_positives
            and (found.false_positives.low, found.false_positives.high),
        }
        for found in verdict.comparisons
    ]
    if not evidence:
        return
    title = f"{recipe}: attacks found at 1 % false positives, and changes with 95 % intervals"
    show_rows(evidence, list(evidence[0]), empty="", title=title)
    points: list[dict[str, Any]] = [
        {
            "evidence": found.name,
            "model": role,
            "point": name,
            "accuracy": point.accuracy,
            "FPR": point.false_positive_rate,
            "FPR 95 %": point.false_positive_rate_interval,
            "recall": point.recall,
        }
        for found in verdict.comparisons
        for role, of_role in found.points.items()
        for name, point in of_role.items()
    ]
    if points:
        show_rows(points, list(points[0]), empty="", title=f"{recipe}: at each operating point")


def show_evaluation(evaluation: "Evaluation", title: str = "") -> None:
    """Print the figures of an evaluation: each threshold, then recall by attack."""
    show_points(evaluation.operating_points, title)
    ranking = [
        f"{name} {value:.5f}"
        for name, value in (
            ("ROC AUC", evaluation.roc_auc),
            ("average precision", evaluation.average_precision),
        )
        if value is not None
    ]
    say("; ".join([plural(evaluation.rows, "labelled row"), *ranking]))
    for rows, why in (
        (evaluation.rows_unlabelled, "without a label"),
        (evaluation.rows_quarantined, "quarantined"),
    ):
        if rows:
            say(f"{plural(rows, 'more row')} not judged: {why}")
    for advisory in evaluation.advisories:
        say(f"reported: {advisory}")
    copies = plural(evaluation.rows_seen_in_training, "row")
    best = evaluation.cleanest
    if evaluation.without_seen is not None:
        auc = _ratio_text(best.roc_auc)
        say(f"all that follows is without {copies} with features that the model was fitted on")
        show_points(best.operating_points, f"Without those {copies}; ROC AUC {auc}")
    elif evaluation.rows_seen_in_training:
        say(
            f"nothing can be concluded: the model was fitted on the features of all {copies}."
            " Evaluate it on other traffic."
        )
    if best.calibration is not None:
        say(
            f"probabilities of the classifier: Brier score {best.calibration.brier:.5f},"
            f" expected calibration error {best.calibration.expected_error:.5f}"
        )
    if best.families:
        show_recalls(best.families, ["family", "taught", "rows"])
        show_recalls(best.attacks, ["attack", "family", "taught", "rows"])


def show_points(points: "Mapping[str, FlagMetrics]", title: str = "") -> None:
    """Print what each threshold does, one beside the other."""
    shown = {name: point.model_dump() for name, point in points.items()}
    figures = [
        {"figure": figure.replace("_", " "), **{name: shown[name][figure] for name in shown}}
        for figure in next(iter(shown.values()))
    ]
    show_rows(figures, ["figure", *shown], empty="", title=title)


def show_recalls(recalls: "Sequence[AttackRecall]", columns: Sequence[str]) -> None:
    """Print how many of some attacks each threshold finds."""
    points = list(recalls[0].recall)
    rows = [
        {
            "attack": one.name,
            "family": one.family,
            "taught": one.is_seen,
            "rows": one.rows,
            **{f"recall {point}": value for point, value in one.recall.items()},
        }
        for one in recalls
    ]
    show_rows(rows, [*columns, *(f"recall {point}" for point in points)], empty="")


def show_categories(found: "FamilyMetrics") -> None:
    """Print how well families of attack are told apart."""
    rows: list[dict[str, Any]] = [
        {"attacks": "of a name that was taught", "named": found.known_named,
         "of those right": found.known_right},
        {"attacks": "of a name held out", "named": found.novel_named,
         "of those right": found.novel_right},
    ]  # fmt: skip
    title = f"Families told apart: {', '.join(found.families)}; the rest is unknown"
    show_rows(rows, list(rows[0]), empty="", title=title)


def _beside(recall: float, rate: float) -> str:
    """Write a recall and the false-positive rate at which it is had."""
    return f"{_ratio_text(recall)} at {_ratio_text(rate)}"


def _ratio_text(value: float | None) -> str:
    """Write a figure with four digits, and more where those no longer tell it from 1."""
    if value is None:
        return "-"
    if NEARLY_ONE <= value < 1:
        return f"{min(value, ALMOST_ONE):.5f}"
    return f"{value:.4g}" if abs(value) < 1 else f"{value:,.3f}"


def _cell(column: str, value: object) -> Text:
    """Render one value; text from outside cannot carry markup or control characters."""
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, int):
        text = f"{value:,}" if column.startswith("rows") else str(value)
    elif isinstance(value, float):
        text = _ratio_text(value)
    elif isinstance(value, tuple | list):
        text = " to ".join(_ratio_text(one) for one in value)
    elif isinstance(value, datetime):
        text = f"{value:%Y-%m-%d %H:%M:%S}"
    else:
        text = str(value)
    if column == "batch_id":
        text = text[:ID_DIGITS]
    return Text(printable(text))
