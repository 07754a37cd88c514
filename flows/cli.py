"""The ``noctule`` command: what each subcommand is called and takes, and how errors end it.

Belongs here: arguments, and one call into the flows or the stored results. Does not belong here:
the work itself, or how tables look (``flows.tables``). Nothing heavy is imported at the top, so
that ``noctule --help`` answers at once.
"""

import json
import os
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from flows.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they print local variables, which may hold secrets
    help="Find anomalous network connections in nightly batches, and say why.",
)
database_commands = typer.Typer(no_args_is_help=True, help="The database's schema.")
app.add_typer(database_commands, name="db")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a machine to read.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="Most rows shown.")]
Batch = Annotated[
    str | None, typer.Option("--batch", "-b", help="Batch id, or as much of it as is unique.")
]
Night = Annotated[
    datetime | None,
    typer.Option("--date", "-d", formats=["%Y-%m-%d"], help="The night (UTC), YYYY-MM-DD."),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in model_history.")]


def main() -> None:
    """Run the command line; a user's mistake ends in one sentence and an exit code."""
    from expectations.errors import NoctuleError

    try:
        app()
    except NoctuleError as error:
        typer.echo(f"noctule: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone, as in `noctule flagged | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _settings() -> "Settings":
    """Read the settings, and quieten the libraries that a command is about to import."""
    from flows.prefect_api import quiet_libraries
    from flows.settings import load_settings

    quiet_libraries()
    return load_settings()


def _date(night: datetime | None) -> date | None:
    """Return the date of an option."""
    return night.date() if night is not None else None


@app.command()
def demo() -> None:
    """Show the whole story on simulated traffic, from nothing."""
    from flows.demo import run_demo

    run_demo(_settings())


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="File to write: .csv, .csv.gz or .csv.zst.")],
    rows: Annotated[int, typer.Option(min=1, help="Connections.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    night: Night = None,
    scenario: Annotated[str, typer.Option(help="ordinary, drift or bad_rows.")] = "ordinary",
    labelled: Annotated[
        bool, typer.Option("--labelled/--unlabelled", help="With class and attack columns.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Write a night of simulated traffic."""
    from flows.simulate import simulate_file

    summary = simulate_file(
        out, rows=rows, seed=seed, night=_date(night), scenario=scenario, labelled=labelled
    )
    _show(summary, as_json=as_json)


@app.command()
def train(
    files: Annotated[list[Path], typer.Argument(help="Labelled files or folders of them.")],
    selection: Annotated[
        str, typer.Option("--select", help="Feature selection: none or forest.")
    ] = "none",
    top_k: Annotated[
        int, typer.Option(min=1, help="Encoded columns that forest selection keeps.")
    ] = 50,
    as_json: AsJson = False,
) -> None:
    """Fit, evaluate and register a model; the first one becomes champion."""
    from flows.run import run_training

    settings = _settings()
    outcome = run_training(settings, files, selection=selection, top_k=top_k)
    _show(outcome.model_dump(mode="json"), as_json=as_json)


@app.command()
def run(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders; the inbox if none is given.")
    ] = None,
    night: Night = None,
    as_json: AsJson = False,
) -> None:
    """Run the nightly flow: validate, score, explain, measure drift, store."""
    from flows.run import run_night
    from flows.tables import show_night

    settings = _settings()
    outcome = run_night(settings, files, _date(night))
    if as_json:
        typer.echo(outcome.model_dump_json(indent=2))
    else:
        show_night(outcome, settings)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)
