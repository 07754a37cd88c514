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

from flows.printing import say
from storage.database import name_database
from storage.text import printable
from tasks.shown import ID_DIGITS, plural

if TYPE_CHECKING:
    from flows.settings import Settings
    from tasks.evaluate import Evaluation
    from tasks.outcomes import NightOutcome
    from tasks.train import TrainingOutcome

PIPE_WIDTH = 10_000
"""Columns where the output is no terminal: each row stays on one line, for ``grep``."""
HEADING_WIDTH = 100
"""Columns of a heading in a pipe."""
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
    show_rows(rows, columns, empty=f"Nothing to do: {night.message}.")
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
    fit = outcome.fit
    place = "champion: it scores from now on" if outcome.is_champion else "challenger"
    classes = ", ".join(f"{count:,} {name}" for name, count in fit.classes.items())
    say(f"{outcome.model_version} ({place})")
    say(f"fitted on {plural(fit.rows, 'connection')}: {classes}")
    if outcome.rows_quarantined:
        say(f"{plural(outcome.rows_quarantined, 'row')} could not be used")
    for advisory in outcome.advisories:
        say(f"reported: {advisory}")
    show_evaluation(fit.metrics.known, title="Rows held out of fit and choice of thresholds")
    kinds = [
        {"kind": kind, **held_out.model_dump()} for kind, held_out in fit.metrics.unknown.items()
    ]
    title = f"Kinds of attack held out of fit and choice (by {fit.metrics.unknown_made_from})"
    columns = ["kind", "rows", "recall_default", "recall_low_alert"]
    show_rows(kinds, columns, empty="No kind of attack could be held out.", title=title)
    version = outcome.model_version
    say(f"judge it on other labelled files: noctule evaluate FILE --model {version}")
    if not outcome.is_champion:
        say(f"let it score: noctule promote {version} --reason WHY")


def show_evaluation(evaluation: "Evaluation", title: str = "") -> None:
    """Print the figures of an evaluation: each threshold, then recall by attack."""
    points = {name: point.model_dump() for name, point in evaluation.operating_points.items()}
    figures = [
        {"figure": figure.replace("_", " "), **{name: points[name][figure] for name in points}}
        for figure in next(iter(points.values()))
    ]
    show_rows(figures, ["figure", *points], empty="", title=title)
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
    recalls = [
        {"attack": name, "recall": recall} for name, recall in evaluation.recall_by_attack.items()
    ]
    families = [
        {"family": name, "recall": recall} for name, recall in evaluation.recall_by_family.items()
    ]
    if families:
        show_rows(families, ["family", "recall"], empty="")
        show_rows(recalls, ["attack", "recall"], empty="")


def _cell(column: str, value: object) -> Text:
    """Render one value; text from outside cannot carry markup or control characters."""
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, int):
        text = f"{value:,}" if column.startswith("rows") else str(value)
    elif isinstance(value, float):
        if NEARLY_ONE <= value < 1:
            text = f"{min(value, ALMOST_ONE):.5f}"
        else:
            text = f"{value:.4g}" if abs(value) < 1 else f"{value:,.3f}"
    elif isinstance(value, datetime):
        text = f"{value:%Y-%m-%d %H:%M:%S}"
    else:
        text = str(value)
    if column == "batch_id":
        text = text[:ID_DIGITS]
    return Text(printable(text))
