"""The ``noctule`` commands about nights and stored results, and how an error ends a command.

Belongs here: arguments, and one call of the function that does the work. Does not belong here: the
commands about models (``flows.cli.model_commands``), or the work itself. Nothing heavy is imported
at the top, so that ``noctule --help`` answers at once.
"""

import signal
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.core import TyperGroup

from flows.cli.contract_commands import contract_commands
from flows.cli.model_commands import model_commands
from flows.cli.options import (
    AsCsv,
    AsJson,
    Batch,
    BatchId,
    ContractName,
    Limit,
    Night,
    OfContract,
    date_of,
    form_of,
    quiet_settings,
    refuse_contract_of_batch,
    settings_of_flows,
)
from flows.cli.printing import print_json, say
from flows.cli.streams import prepare_streams
from flows.signals import stopped_in_words

if TYPE_CHECKING:
    from flows.settings import Settings
    from tasks.reporting.outcomes import NightOutcome


class Commands(TyperGroup):
    """The group of all commands. A signal ends a command with Noctule's message, not Typer's."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # a private base
        """Run a command."""
        with stopped_in_words():
            return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they print local variables, which may hold secrets
    help="Find anomalous network connections in nightly batches, and say why.",
)
database_commands = typer.Typer(
    no_args_is_help=True, help="The database: its schema, and a check of all that is stored."
)
app.add_typer(database_commands, name="db")
app.add_typer(contract_commands, name="contracts")
app.add_typer(model_commands)


def main() -> None:
    """Run the command line. An error ends it with one sentence and an exit code."""
    prepare_streams()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # raises here if the buffered output cannot be written
    except KeyboardInterrupt:  # Ctrl-C while the command still imports what it needs
        sys.exit(128 + signal.SIGINT)
    except Exception as error:  # noqa: BLE001 - nothing above handles it
        sys.exit(end_with(error))


def end_with(error: Exception) -> int:
    """Print the error, and return the exit code. A bug is printed with its traceback."""
    from expectations.errors import NoctuleError

    if not isinstance(error, NoctuleError):
        from storage.refusals import refused_by_system

        refused = refused_by_system(error)
        if refused is None:
            traceback.print_exception(error)
            bug, *_ = f"{type(error).__name__}: {error}".splitlines()
            message = f"noctule: This is a bug in Noctule; report it with the lines above: {bug}"
            say(message, is_error=True)
            return 1
        error = refused
    say(f"noctule: {error}", is_error=True)
    return error.exit_code


@app.command()
def demo() -> None:
    """Train a model on simulated traffic, score three nights, and show what is flagged."""
    settings = settings_of_flows()
    from flows.cli.demo import run_demo

    run_demo(settings)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="File to write: .csv, .csv.gz, .csv.zst, .parquet.")],
    *,
    rows: Annotated[int, typer.Option(help="Number of connections.")] = 100_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    night: Night = None,
    scenario: Annotated[
        Literal["ordinary", "drift", "bad_rows"],
        typer.Option(help="bad_rows damages some lines; drift changes the normal traffic."),
    ] = "ordinary",
    labelled: Annotated[
        bool,
        typer.Option(
            "--labelled", help="Add columns class and attack, for training or evaluation."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a file with one night of simulated traffic."""
    from tasks.simulation.simulate import simulate_night

    day = date_of(night) or datetime.now(UTC).date()
    summary = simulate_night(
        out, rows=rows, seed=seed, night=day, scenario=scenario, labelled=labelled
    )
    if as_json:
        print_json(summary.model_dump(mode="json"))
        return
    attacks = ", ".join(f"{name} {count:,}" for name, count in summary.attack_rows.items())
    say(f"{out}: {summary.rows:,} connections of {day}; attacks: {attacks or 'none'}")
    if summary.bad_rows:
        say(f"{summary.bad_rows:,} of the lines are malformed")


@app.command()
def run(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders. Default: the inbox.")
    ] = None,
    *,
    night: Night = None,
    contract: ContractName = None,
    as_json: AsJson = False,
) -> None:
    """Run the nightly flow: validate, score, explain, measure drift, store."""
    settings = settings_of_flows(contract=contract)
    from flows.cli.flow_runs import run_night

    _end_with_night(run_night(settings, files, date_of(night)), settings, as_json=as_json)


@app.command()
def replay(
    batch: BatchId,
    corrected: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="Corrected rows: the open ones, or the whole file. Default: as they came.",
        ),
    ] = None,
    *,
    contract: ContractName = None,
    as_json: AsJson = False,
) -> None:
    """Process the quarantined rows of a batch, or a rejected batch, again."""
    settings = settings_of_flows(contract=contract)
    from flows.cli.flow_runs import run_replay

    _end_with_night(run_replay(settings, batch, corrected), settings, as_json=as_json)


def _end_with_night(outcome: "NightOutcome", settings: "Settings", *, as_json: bool) -> None:
    """Print the outcome of a night, and end the command with its exit code."""
    from flows.cli.outcomes import show_night

    if as_json:
        print_json({**outcome.model_dump(mode="json"), "message": outcome.message})
    else:
        show_night(outcome, settings)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


@app.command()
def dismiss(
    batch: BatchId,
    reason: Annotated[str, typer.Option("--reason", help="The reason; kept in batch_summary.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Settle a rejected batch that will not be delivered again or replayed."""
    from flows.cli.decisions import dismiss_batch

    dismiss_batch(quiet_settings(), batch, reason, as_json=as_json)


@app.command("replay-check")
def replay_check(
    batch: BatchId,
    *,
    as_json: AsJson = False,
) -> None:
    """Score a stored batch again with the model that scored it, and compare every score."""
    settings = settings_of_flows()
    from flows.cli.replay_check import show_replay_check

    if not show_replay_check(settings, batch, as_json=as_json):
        raise typer.Exit(2)


@app.command()
def serve() -> None:
    """Register the deployments with the Prefect server, and run what is scheduled."""
    settings = settings_of_flows(console_level="INFO")  # the terminal is the log of the service
    from flows.cli.serve import serve_deployments

    raise typer.Exit(serve_deployments(settings))


def _add_view_command(name: str, summary: str, most: int = 20) -> None:
    """Add a command that shows rows of a view: ``most`` of them if the user gives no limit."""

    @app.command(name, help=summary)
    def show(
        *,
        batch: Batch = None,
        night: Night = None,
        contract: OfContract = None,
        limit: Limit = most,
        as_json: AsJson = False,
        as_csv: AsCsv = False,
    ) -> None:
        _show_view(name, batch, night, contract, limit, as_json=as_json, as_csv=as_csv)


def _show_view(
    name: str,
    batch: str | None,
    night: datetime | None,
    contract: str | None,
    limit: int,
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Print the rows of a view, in the form that the options ask for."""
    form, day = form_of(as_json=as_json, as_csv=as_csv), date_of(night, batch)
    refuse_contract_of_batch(contract, batch)
    from flows.cli.views import show_view

    show_view(quiet_settings(), name, batch, day, contract, limit, form)


_add_view_command("flagged", "Show flagged connections, highest score first, with their reasons.")


@app.command()
def batches(
    *,
    night: Night = None,
    contract: OfContract = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show batches, latest night first, with their row counts."""
    _show_view("batches", None, night, contract, limit, as_json=as_json, as_csv=as_csv)


_add_view_command("quarantine", "Show rows that could not be scored, with the reasons.")
_add_view_command(
    "drift", "Show how much each column differs from the champion's training rows.", most=50
)
_add_view_command("shadow", "Show how the flags of a shadow differ from the champion's.")


@database_commands.command("upgrade")
def db_upgrade() -> None:
    """Upgrade the database to the schema of this version."""
    from flows.cli.database import upgrade_database

    say(upgrade_database(quiet_settings()))


@database_commands.command("status")
def db_status(*, as_json: AsJson = False) -> None:
    """Show the database's schema, and whether this version can use it."""
    from flows.cli.database import show_status

    show_status(quiet_settings(), as_json=as_json)


@database_commands.command("check")
def db_check(*, as_json: AsJson = False) -> None:
    """Check that the tables are consistent, and that models and lake are unchanged."""
    from flows.cli.database import show_check

    if not show_check(quiet_settings(), as_json=as_json):
        raise typer.Exit(2)
