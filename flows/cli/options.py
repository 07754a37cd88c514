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

BATCH_HELP = "Batch id, or a unique beginning of it."

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program.")]
AsCsv = Annotated[
    bool, typer.Option("--csv", help="Print CSV with every column, for a spreadsheet or a program.")
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="Most rows that are shown.")]
BatchId = Annotated[str, typer.Argument(help=BATCH_HELP)]
Batch = Annotated[str | None, typer.Option("--batch", "-b", help=BATCH_HELP)]
Night = Annotated[
    datetime | None,
    typer.Option("--date", "-d", formats=["%Y-%m-%d"], help="The night (UTC), YYYY-MM-DD."),
]
ContractName = Annotated[
    str | None,
    typer.Option(
        "--contract", "-c", metavar="NAME", help="Contract of the files.", show_default="by file"
    ),
]
ChosenContract = Annotated[
    str | None,
    typer.Option("--contract", "-c", metavar="NAME", help="Contract. Default: the only one."),
]
OfContract = Annotated[
    str | None,
    typer.Option("--contract", "-c", metavar="NAME", help="Only this contract. Default: all."),
]
Reason = Annotated[str, typer.Option("--reason", help="The reason; kept in model_history.")]


def quiet_settings(console_level: str = "CRITICAL", contract: str | None = None) -> "Settings":
    """Read the settings, and silence the libraries that a command is about to import.

    Prefect and others read environment variables when they are imported: call this first.
    ``contract`` is that of the option, which counts before the variable.

    The terminal shows records of Prefect's log from ``console_level`` up.
    """
    from flows.prefect_api import quiet_libraries
    from flows.settings import load_settings

    quiet_libraries(console_level)
    settings = load_settings(contract)
    give_home(settings.home)
    return settings


def give_home(home: Path) -> None:
    """Set ``HOME`` to ``NOCTULE_HOME`` for a user who has no home folder, as in a container.

    Prefect reads it when it is imported, and other libraries make folders there.
    """
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(home)


def settings_of_flows(console_level: str = "CRITICAL", contract: str | None = None) -> "Settings":
    """Read the settings for a command that imports Prefect, and import Prefect with its own."""
    settings = quiet_settings(console_level, contract)
    from flows.prefect_api import load_prefect

    load_prefect()
    return settings


def date_of(night: datetime | None, batch: str | None = None) -> date | None:
    """Return the date of the option ``--date``.

    Raises:
        UsageError: ``--batch`` is given too; a batch already belongs to one night.
    """
    if night is not None and batch is not None:
        from expectations.errors import UsageError

        message = "Cannot use --batch and --date together. Give one of them."
        raise UsageError(message)
    return night.date() if night is not None else None


def refuse_contract_of_batch(contract: str | None, batch: str | None) -> None:
    """Refuse ``--contract`` beside ``--batch``: a batch already has one contract.

    Raises:
        UsageError: both are given.
    """
    if contract is not None and batch is not None:
        from expectations.errors import UsageError

        message = "Cannot use --batch and --contract together. Give one of them."
        raise UsageError(message)


def form_of(*, as_json: bool, as_csv: bool) -> "Form":
    """Return the form that the options ``--json`` and ``--csv`` ask for; a table by default.

    Raises:
        UsageError: both are given.
    """
    if as_json and as_csv:
        from expectations.errors import UsageError

        message = "Cannot use --json and --csv together. Give one of them."
        raise UsageError(message)
    return "json" if as_json else "csv" if as_csv else "table"


def require_names(files: "list[Path]") -> None:
    """Refuse a path that Prefect's records cannot hold; the inbox follows the same rule.

    Raises:
        UsageError: a path has a character that cannot be printed.
    """
    from expectations.errors import UsageError

    for file in files:
        if not str(file).isprintable():
            message = (
                f"Cannot work on {file}: its path has characters that cannot be printed. Rename it"
                " and run the command again."
            )
            raise UsageError(message)
