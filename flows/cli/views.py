"""The commands that show what is stored: one function a command, a query and its printing.

Belongs here: which columns a table shows, and what is said where there are no rows. Does not belong
here: options (``flows.cli.commands``) or SQL (``storage.queries``).
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Literal

from sqlalchemy import Engine, TableClause

from flows.cli.printing import print_csv, print_json, say
from flows.cli.tables import show_rows
from flows.places import open_database
from flows.settings import Settings
from storage import queries
from tasks.wording import DRIFT, FLAGGED, HISTORY, plural, reason_text

Rows = list[dict[str, Any]]
Form = Literal["table", "json", "csv"]
"""What rows are printed as: a table shows the columns named below, the others have all."""

FLAGGED_SHOWN = ["connection_id", "batch_date", "file_name", *FLAGGED]
BATCHES_SHOWN = ["batch_id", "batch_date", "file_name", "status", "rows_read", "rows_scored",
                 "rows_quarantined", "rows_rejected", "rows_flagged", "flag_rate",
                 "target_flag_rate", "false_positive_rate", "model_version",
                 "finished_at", "rejection"]  # fmt: skip
QUARANTINE_SHOWN = ["batch_id", "file_name", "line_number", "stage", "reasons", "raw_text"]
DRIFT_SHOWN = ["batch_id", "batch_date", *DRIFT]
SHADOW_SHOWN = ["batch_id", "batch_date", "shadow_version", "rows_compared", "rows_flagged",
                "rows_flagged_by_shadow", "rows_flagged_by_both", "rank_correlation",
                "false_positive_rate", "false_positive_rate_of_shadow"]  # fmt: skip
MODELS_SHOWN = ["model_version", "is_champion", "registered_at", "rows_trained", "roc_auc",
                "false_positive_rate", "recall"]  # fmt: skip
DECISIONS_SHOWN = ["decided_at", "decision", "recipe", "challenger", "champion", "reason"]


def show_flagged(
    settings: Settings, batch: str | None, night: date | None, limit: int, form: Form
) -> None:
    """Print flagged connections, highest score first."""
    with open_database(settings) as engine:
        rows = queries.flagged_rows(engine, batch=batch, night=night, limit=limit + 1)
        empty = "" if rows else f"Nothing is flagged {_of(engine, batch, night)}."
    view = queries.flagged_connections
    _print(rows, view, form, FLAGGED_SHOWN, empty, limit, reason_text)


def show_batches(settings: Settings, night: date | None, limit: int, form: Form) -> None:
    """Print batches, latest night first."""
    with open_database(settings) as engine:
        rows = queries.batch_rows(engine, night=night, limit=limit + 1)
    empty = "No batch has arrived."
    if form == "table":
        for row in rows:
            row["status"] += ", open" if row["is_open"] else ""
            row["status"] += ", dismissed" if row["dismissed_at"] and not row["is_open"] else ""
    _print(rows, queries.batch_summary, form, BATCHES_SHOWN, empty, limit)


def show_quarantine(
    settings: Settings, batch: str | None, night: date | None, limit: int, form: Form
) -> None:
    """Print quarantined rows in the order of their files."""
    with open_database(settings) as engine:
        rows = queries.quarantine_rows(engine, batch=batch, night=night, limit=limit + 1)
        empty = "" if rows else f"No row is quarantined {_of(engine, batch, night)}."
    view = queries.quarantined_rows
    _print(rows, view, form, QUARANTINE_SHOWN, empty, limit, "; ".join)


def show_drift(
    settings: Settings, batch: str | None, night: date | None, limit: int, form: Form
) -> None:
    """Print columns by how far they moved."""
    with open_database(settings) as engine:
        rows = queries.drift_rows(engine, batch=batch, night=night, limit=limit + 1)
        empty = "" if rows else f"No drift was measured {_of(engine, batch, night)}."
    _print(rows, queries.drift_summary, form, DRIFT_SHOWN, empty, limit)


def show_shadow(
    settings: Settings, batch: str | None, night: date | None, limit: int, form: Form
) -> None:
    """Print how a shadow's flags differ from the live ones, a batch each."""
    with open_database(settings) as engine:
        rows = queries.shadow_rows(engine, batch=batch, night=night, limit=limit + 1)
        empty = "" if rows else f"No shadow scored {_of(engine, batch, night)}."
    _print(rows, queries.shadow_comparison, form, SHADOW_SHOWN, empty, limit)
    if form == "table":
        for role in ("model", "shadow"):
            known = sum(bool(row[f"is_{role}_fitted_on_it"]) for row in rows[:limit])
            if known:
                say(
                    f"the {'champion' if role == 'model' else role} was fitted on"
                    f" {plural(known, 'file')} of these: its rates there flatter it"
                )


def show_models(settings: Settings, limit: int, *, as_json: bool) -> None:
    """Print model versions with their held-out figures, and the champions' history."""
    with open_database(settings) as engine:
        versions = queries.model_rows(engine, contract=settings.contract, limit=limit)
        history = queries.history_rows(engine, contract=settings.contract, limit=limit)
        decisions = queries.decision_rows(engine, contract=settings.contract, limit=limit)
    if as_json:
        print_json({"models": versions, "history": history, "decisions": decisions})
        return
    for row in versions:
        known = row["metrics"]["known"] or {}  # nothing, of a model fitted without labels
        default = known.get("operating_points", {}).get("default", {})
        row |= {"roc_auc": known.get("roc_auc")}
        row |= {name: default.get(name) for name in MODELS_SHOWN[-2:]}
    show_rows(versions, MODELS_SHOWN, empty="No model was trained yet: noctule train FILE")
    if history:
        show_rows(history, HISTORY, empty="", title="Champions, latest first")
    if decisions:
        show_rows(decisions, DECISIONS_SHOWN, empty="", title="Challengers weighed, latest first")


def _of(engine: Engine, batch: str | None, night: date | None) -> str:
    """Say which batches a read command looked at."""
    if batch is not None:
        return f"in batch {batch}"
    if night is not None:
        return f"on {night}"
    latest = queries.latest_night(engine)
    return f"on the latest night, {latest}" if latest is not None else "yet"


def _print(
    rows: Rows,
    view: TableClause,
    form: Form,
    columns: Sequence[str],
    empty: str,
    limit: int,
    join: Callable[[list[Any]], str] | None = None,
) -> None:
    """Print up to ``limit`` rows.

    Args:
        rows: one more than are printed, where there are more.
        view: what they were read from.
        form: what they are printed as.
        columns: those a table shows.
        empty: what a table of no rows says.
        limit: most rows that are printed.
        join: makes one text of a row's reasons for a person.
    """
    shown = rows[:limit]
    more = f"the first {plural(limit, 'row')}; --limit shows more" if len(rows) > limit else ""
    if form == "json":
        print_json(shown)
        return
    if form == "csv":
        print_csv(shown, view.c.keys())
        if more:
            say(more, is_error=True)
        return
    if join is not None:
        shown = [{**row, "reasons": join(row["reasons"])} for row in shown]
    show_rows(shown, columns, empty=empty)
    if more:
        say(more)
