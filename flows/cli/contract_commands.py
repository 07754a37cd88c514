"""The ``noctule contracts`` commands: list them, show one, see how a file fits, draft a new one.

Belongs here: arguments, and one call of the function that does the work. Does not belong here: the
other commands (``flows.cli.commands``), or the work itself. Nothing heavy is imported at the top,
so that ``noctule --help`` answers at once.
"""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import AsJson, quiet_settings

contract_commands = typer.Typer(
    no_args_is_help=True,
    help="Contracts: the descriptions of data sources. Your own are in the folder"
    " NOCTULE_CONTRACTS.",
)

SampleFile = Annotated[
    Path,
    typer.Argument(help="Delimited text, JSON lines or Parquet; plain, gzip or zstandard."),
]


@contract_commands.command("list")
def list_all(*, as_json: AsJson = False) -> None:
    """List all contracts, with the champion of each; broken pages are named."""
    settings = quiet_settings()
    from flows.cli.contract_list import show_contracts

    show_contracts(settings, as_json=as_json)


@contract_commands.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the contract.")], *, as_json: AsJson = False
) -> None:
    """Show the page of a contract, to copy from; with --json all columns with their defaults."""
    quiet_settings()
    from flows.cli.contract_list import show_contract

    show_contract(name, as_json=as_json)


@contract_commands.command()
def check(
    file: SampleFile,
    *,
    contract: Annotated[
        str | None,
        typer.Option(
            "--contract", "-c", help="Name of the contract.", show_default="the one it fits"
        ),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Check only so many first rows.", show_default="all")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a file fits a contract; nothing is stored, and no server or database is used."""
    settings = quiet_settings()
    from flows.cli.contract_check import run_check

    if not run_check(settings, file, contract, rows, as_json=as_json):
        raise typer.Exit(3)


@contract_commands.command()
def draft(
    file: SampleFile,
    *,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the contract.", show_default="made from the file's name"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write; - for the terminal.",
            show_default="NAME.toml in NOCTULE_CONTRACTS; the terminal if that is not set",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file to write, if there is one.")
    ] = False,
) -> None:
    """Write a contract for a file of a new source, for you to finish.

    Each line has its evidence as a comment. Lines that begin with # LOOK need your decision.
    """
    settings = quiet_settings()
    from flows.cli.contract_draft import write_draft

    write_draft(settings.contracts, file, name, output, is_forced=force)
