"""The ``noctule`` command: what each subcommand is called and takes, and how errors end it.

Belongs here: arguments, and one call into the flows or the stored results. Does not belong here:
the work itself, or how tables look (``flows.cli.tables``). Nothing heavy is imported at the top, so
that ``noctule --help`` answers at once.
"""

import sys
import traceback
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.core import TyperGroup

from flows.cli.model_commands import model_commands
from flows.cli.options import (
    AsCsv,
    AsJson,
    Batch,
    Limit,
    Night,
    date_of,
    form_of,
    quiet_settings,
    settings_of_flows,
)
from flows.cli.printing import print_json, say
from flows.cli.streams import prepare_streams
from flows.signals import stopped_in_words


class Commands(TyperGroup):
    """The commands, which a signal stops with a line of ours in place of Typer's."""

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
database_commands = typer.Typer(no_args_is_help=True, help="The database's schema.")
app.add_typer(database_commands, name="db")
app.add_typer(model_commands)


def main() -> None:
    """Run the command line: what cannot be done ends in one sentence and an exit code."""
    prepare_streams()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # what is held back shows now whether it can be written
    except Exception as error:  # noqa: BLE001 - the last to see it
        sys.exit(end_with(error))


def end_with(error: Exception) -> int:
    """Say what went wrong, and return the exit code: a bug is shown with its traceback."""
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
    """Show the whole story on simulated traffic, from nothing."""
    settings = settings_of_flows()
    from flows.cli.demo import run_demo

    run_demo(settings)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(help="File to write: .csv, .csv.gz, .csv.zst, .parquet.")],
    *,
    rows: Annotated[int, typer.Option(help="Connections.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    night: Night = None,
    scenario: Annotated[
        Literal["ordinary", "drift", "bad_rows"],
        typer.Option(help="bad_rows spoils some lines; drift changes the site's own traffic."),
    ] = "ordinary",
    labelled: Annotated[
        bool, typer.Option("--labelled", help="With class and attack, to train or evaluate on.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a night of simulated traffic."""
    from datetime import UTC, datetime

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
        list[Path] | None, typer.Argument(help="Files or folders; the inbox if none is given.")
    ] = None,
    *,
    night: Night = None,
    as_json: AsJson = False,
) -> None:
    """Run the nightly flow: validate, score, explain, measure drift, store."""
    settings = settings_of_flows()
    from flows.cli.flow_runs import run_night
    from flows.cli.outcomes import show_night

    outcome = run_night(settings, files, date_of(night))
    if as_json:
        print_json({**outcome.model_dump(mode="json"), "message": outcome.message})
    else:
        show_night(outcome, settings)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


@app.command()
def replay(
    batch: Annotated[str, typer.Argument(help="Batch id, or as much of it as is unique.")],
    corrected: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="The rows as they should have been: those that are open, or the whole file.",
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Put the quarantined rows of a batch, or a rejected batch, through again."""
    settings = settings_of_flows()
    from flows.cli.flow_runs import run_replay
    from flows.cli.outcomes import show_night

    outcome = run_replay(settings, batch, corrected)
    if as_json:
        print_json({**outcome.model_dump(mode="json"), "message": outcome.message})
    else:
        show_night(outcome, settings)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


@app.command()
def dismiss(
    batch: Annotated[str, typer.Argument(help="Batch id, or as much of it as is unique.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in batch_summary.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Settle a rejected batch that nobody is going to deliver anew or replay."""
    from flows.cli.decisions import dismiss_batch

    dismiss_batch(quiet_settings(), batch, reason, as_json=as_json)


@app.command("replay-check")
def replay_check(
    batch: Annotated[str, typer.Argument(help="Batch id, or as much of it as is unique.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Score a stored batch again by the model that scored it, and compare every score."""
    settings = settings_of_flows()
    from flows.cli.replay_check import show_replay_check

    if not show_replay_check(settings, batch, as_json=as_json):
        raise typer.Exit(2)


@app.command()
def serve() -> None:
    """Register the deployments with the Prefect server and run what it schedules."""
    settings = settings_of_flows(console_level="INFO")  # its terminal is the service's log
    from flows.cli.serve import serve_deployments

    raise typer.Exit(serve_deployments(settings))


@app.command()
def flagged(
    *,
    batch: Batch = None,
    night: Night = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show flagged connections, highest score first, with their reasons."""
    from flows.cli.views import show_flagged

    form = form_of(as_json=as_json, as_csv=as_csv)
    show_flagged(quiet_settings(), batch, date_of(night, batch), limit, form)


@app.command()
def batches(
    *, night: Night = None, limit: Limit = 20, as_json: AsJson = False, as_csv: AsCsv = False
) -> None:
    """Show batches, latest night first, with their accounting."""
    from flows.cli.views import show_batches

    show_batches(quiet_settings(), date_of(night), limit, form_of(as_json=as_json, as_csv=as_csv))


@app.command()
def quarantine(
    *,
    batch: Batch = None,
    night: Night = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show rows that could not be scored, and why."""
    from flows.cli.views import show_quarantine

    form = form_of(as_json=as_json, as_csv=as_csv)
    show_quarantine(quiet_settings(), batch, date_of(night, batch), limit, form)


@app.command()
def drift(
    *,
    batch: Batch = None,
    night: Night = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show how far each column has moved from what the champion was trained on."""
    from flows.cli.views import show_drift

    form = form_of(as_json=as_json, as_csv=as_csv)
    show_drift(quiet_settings(), batch, date_of(night, batch), limit, form)


@app.command()
def shadow(
    *,
    batch: Batch = None,
    night: Night = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show how a challenger that scored beside the champion differs from it."""
    from flows.cli.views import show_shadow

    form = form_of(as_json=as_json, as_csv=as_csv)
    show_shadow(quiet_settings(), batch, date_of(night, batch), limit, form)


@database_commands.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to this version's schema."""
    from flows.cli.database import upgrade_database

    say(upgrade_database(quiet_settings()))


@database_commands.command("status")
def db_status(*, as_json: AsJson = False) -> None:
    """Say which schema the database has, and whether it is this version's."""
    from flows.cli.database import show_status

    show_status(quiet_settings(), as_json=as_json)


@database_commands.command("check")
def db_check(*, as_json: AsJson = False) -> None:
    """Check that all that is stored adds up, and that models and lake are as they were left."""
    from flows.cli.database import show_check

    if not show_check(quiet_settings(), as_json=as_json):
        raise typer.Exit(2)
