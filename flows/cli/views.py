"""The commands that show what is stored: a query, and its rows as a table, JSON or CSV.

Belongs here: which columns a table shows, and what is printed where there are no rows. Does not
belong here: options (``flows.cli.commands``) or SQL (``storage.queries``).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal

from sqlalchemy import Engine, TableClause

from flows.cli.printing import print_csv, print_json, say
from flows.cli.tables import show_rows
from flows.places import open_database
from flows.settings import Settings
from storage import queries
from tasks.wording import DRIFT, FLAGGED, HISTORY, add_identifiers, plural, reason_text

Rows = list[dict[str, Any]]
Form = Literal["table", "json", "csv"]
"""How rows are printed. A table shows some of a view's columns; JSON and CSV have all of them."""


@dataclass(frozen=True)
class PrintedView:
    """A view of the database, and how it is printed."""

    read: Callable[..., Rows]
    """Takes the engine, a limit and, where they are given, a batch, or a night and a contract."""
    source: TableClause
    """The view that is read: CSV has its columns."""
    shown: Sequence[str]
    """The columns of a table; those that identify a connection come before these."""
    if_empty: str
    """The text for a table without rows; the batches that were looked at are added."""
    join: Callable[[Sequence[Any]], str] | None = None
    """Makes one text of a row's ``reasons``, for a table."""


PRINTED_VIEWS: Final = {
    "flagged": PrintedView(
        queries.flagged_rows,
        queries.flagged_connections,
        ("connection_id", "batch_date", "file_name", *FLAGGED),
        "Nothing is flagged",
        reason_text,
    ),
    "quarantine": PrintedView(
        queries.quarantine_rows,
        queries.quarantined_rows,
        ("batch_id", "file_name", "line_number", "stage", "reasons", "raw_text"),
        "No row is quarantined",
        "; ".join,
    ),
    "drift": PrintedView(
        queries.drift_rows,
        queries.drift_summary,
        ("batch_id", "batch_date", *DRIFT),
        "No drift was measured",
    ),
    "shadow": PrintedView(
        queries.shadow_rows,
        queries.shadow_comparison,
        ("batch_id", "batch_date", "shadow_version", "rows_compared", "rows_flagged",
         "rows_flagged_by_shadow", "rows_flagged_by_both", "rank_correlation",
         "false_positive_rate", "false_positive_rate_of_shadow"),
        "No shadow scored",
    ),
    "batches": PrintedView(
        queries.batch_rows,
        queries.batch_summary,
        ("batch_id", "batch_date", "file_name", "status", "rows_read", "rows_scored",
         "rows_quarantined", "rows_rejected", "rows_flagged", "flag_rate", "target_flag_rate",
         "false_positive_rate", "model_version", "finished_at", "rejection"),
        "No batch has arrived",
    ),
}  # fmt: skip
"""The printed views, by the name of the command that shows each."""

MODELS_SHOWN = ["model_version", "is_champion", "registered_at", "rows_trained", "roc_auc",
                "false_positive_rate", "recall"]  # fmt: skip
DECISIONS_SHOWN = ["decided_at", "decision", "recipe", "challenger", "champion", "reason"]


def show_view(
    settings: Settings,
    name: str,
    batch: str | None,
    night: date | None,
    contract: str | None,
    limit: int,
    form: Form,
) -> None:
    """Print at most ``limit`` rows of a view in ``PRINTED_VIEWS``.

    ``batch`` is an id or a unique beginning of it; None for the batches of a night. Without a
    night, the latest is shown; of ``batches``, every night. ``contract`` is the only contract
    that is shown; None for all. Where it is None, a table of a night with several contracts says
    which contract each row has.
    """
    view = PRINTED_VIEWS[name]
    asked = {"night": night, "contract": contract} if batch is None else {"batch": batch}
    with open_database(settings) as engine:
        rows = view.read(engine, **asked, limit=limit + 1)
        looked_at = "" if rows else _describe_asked(engine, batch, night, contract)
        columns = _choose_columns(engine, view, rows, asked)
    empty = f"{view.if_empty} {looked_at}."
    shown = rows[:limit]
    more = f"the first {plural(limit, 'row')}; --limit shows more" if len(rows) > limit else ""
    if form == "json":
        print_json(shown)
        return
    if form == "csv":
        print_csv(shown, view.source.c.keys())
        if more:
            say(more, is_error=True)
        return
    identifiers: tuple[str, ...] = ()
    if name == "flagged":
        shown, identifiers = add_identifiers(shown)
    if view.join is not None:
        shown = [{**row, "reasons": view.join(row["reasons"])} for row in shown]
    if name == "batches":
        shown = [{**row, "status": _describe_status(row)} for row in shown]
    show_rows(shown, (*identifiers, *columns), empty=empty)
    if more:
        say(more)
    if name == "shadow":
        for note in _warn_of_fitted(shown):
            say(note)


def _choose_columns(
    engine: Engine, view: PrintedView, rows: Rows, asked: dict[str, Any]
) -> list[str]:
    """Return the columns of a table; the contract too if the rows or their night have several."""
    columns = [*view.shown]
    contracts = {row["contract"] for row in rows}
    if "night" in asked and asked["contract"] is None:
        contracts.update(queries.contracts_of_night(engine, asked["night"]))
    if len(contracts) > 1:
        columns.insert(2, "contract")
    return columns


def _describe_asked(
    engine: Engine, batch: str | None, night: date | None, contract: str | None
) -> str:
    """Say which batches a command looked at."""
    if batch is not None:
        return f"in batch {batch}"
    of = "" if contract is None else f"of contract {contract} "
    if night is not None:
        return f"{of}on {night}"
    latest = queries.latest_night(engine, contract)
    return f"{of}on the latest night, {latest}" if latest is not None else f"{of}yet"


def _describe_status(row: dict[str, Any]) -> str:
    """Return a batch's status, and whether its rejection is open or was dismissed."""
    if row["is_open"]:
        return f"{row['status']}, open"
    return f"{row['status']}, dismissed" if row["dismissed_at"] else str(row["status"])


def _warn_of_fitted(rows: Rows) -> Iterator[str]:
    """Name the files on which a comparison's rates are too good: a model was fitted on them."""
    for model, name in (("model", "champion"), ("shadow", "shadow")):
        fitted = sum(bool(row[f"is_{model}_fitted_on_it"]) for row in rows)
        if fitted:
            yield (
                f"the {name} was fitted on {plural(fitted, 'file')} of these: its rates there are"
                " too good"
            )


def show_models(settings: Settings, contract: str | None, limit: int, *, as_json: bool) -> None:
    """Print model versions with their held-out figures, past champions, and decisions.

    ``contract`` is the only one shown; None for all.
    """
    with open_database(settings) as engine:
        versions = queries.model_rows(engine, contract=contract, limit=limit)
        history = queries.history_rows(engine, contract=contract, limit=limit)
        decisions = queries.decision_rows(engine, contract=contract, limit=limit)
    if as_json:
        print_json({"models": versions, "history": history, "decisions": decisions})
        return
    for row in versions:
        known = row["metrics"]["known"] or {}  # empty: the model was fitted without labels
        default = known.get("operating_points", {}).get("default", {})
        row |= {"roc_auc": known.get("roc_auc")}
        row |= {name: default.get(name) for name in MODELS_SHOWN[-2:]}
    show_rows(versions, MODELS_SHOWN, empty="No model was trained yet: noctule train FILE")
    show_rows(history, HISTORY, title="Champions, latest first")
    show_rows(decisions, DECISIONS_SHOWN, title="Decisions, latest first")
