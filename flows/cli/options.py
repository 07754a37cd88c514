"""What commands share: their options, and how they read the settings.

Belongs here: what more than one command takes or does first. Does not belong here: any command
(``flows.cli.commands``, ``flows.cli.model_commands``). Nothing heavy is imported at the top, so
that ``noctule --help`` answers at once.
"""

import os
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flows.cli.views import Form
    from flows.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]
AsCsv = Annotated[
    bool, typer.Option("--csv", help="Print CSV for a spreadsheet or a script: every column.")
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="Most rows shown.")]
Batch = Annotated[
    str | None, typer.Option("--batch", "-b", help="Batch id, or as much of it as is unique.")
]
Night = Annotated[
    datetime | None,
    typer.Option("--date", "-d", formats=["%Y-%m-%d"], help="The night (UTC), YYYY-MM-DD."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in model_history.")]


def quiet_settings(console_level: str = "CRITICAL") -> "Settings":
    """Read the settings, and quieten the libraries that a command is about to import.

    Prefect and others read their environment when they are imported: this comes first.
    """
    from flows.prefect_api import quiet_libraries
    from flows.settings import load_settings

    quiet_libraries(console_level)
    settings = load_settings()
    give_home(settings.home)
    return settings


def give_home(home: Path) -> None:
    """Give a user who has no home one, as in a container that runs under any number.

    Prefect asks for it as it is imported, and others make folders there.

    Args:
        home: ``NOCTULE_HOME``.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(home)


def settings_of_flows(console_level: str = "CRITICAL") -> "Settings":
    """Read the settings for a command that imports Prefect, and Prefect's own."""
    settings = quiet_settings(console_level)
    from flows.prefect_api import load_prefect

    load_prefect()
    return settings


def date_of(night: datetime | None, batch: str | None = None) -> date | None:
    """Return the date of an option.

    Raises:
        UsageError: there is a batch too, which is of one night whatever the date says.
    """
    if night is not None and batch is not None:
        from expectations.errors import UsageError

        message = "Cannot look for a batch and a night at once: give --batch or --date."
        raise UsageError(message)
    return night.date() if night is not None else None


def form_of(*, as_json: bool, as_csv: bool) -> "Form":
    """Return the form of two options.

    Raises:
        UsageError: both are given.
    """
    if as_json and as_csv:
        from expectations.errors import UsageError

        message = "Cannot print JSON and CSV at once: give --json or --csv."
        raise UsageError(message)
    return "json" if as_json else "csv" if as_csv else "table"


def require_names(files: "list[Path]") -> None:
    """Refuse a path that Prefect's records cannot hold, by the rule for names in the inbox."""
    from expectations.errors import UsageError

    for file in files:
        if not str(file).isprintable():
            message = (
                f"Cannot work on {file}: its name holds characters that cannot be shown. Rename it"
                " and run it again."
            )
            raise UsageError(message)
