"""``noctule demo``: training and three nights on simulated traffic.

Belongs here: which nights are simulated, and what is printed of them. Does not belong here:
simulating, training or scoring: the demo calls the functions that the other commands call.
"""

import re
import shutil
from datetime import date, timedelta
from pathlib import Path

from expectations.errors import UsageError
from flows.cli.flow_runs import run_night, run_training
from flows.cli.outcomes import show_night, show_training
from flows.cli.printing import say
from flows.cli.tables import show_heading, show_rows
from flows.clock import utc_now
from flows.places import open_database
from flows.prefect_api import prefect_api
from flows.settings import Settings
from storage import queries
from storage.database import name_database
from tasks.simulation.simulate import Scenario, simulate_night
from tasks.wording import FLAGGED, add_identifiers, reason_text

TRAINING_ROWS = 40_000
NIGHT_ROWS = 25_000
"""Few enough that the demo takes minutes; enough for several attacks of each kind."""
NIGHTS: tuple[Scenario, ...] = ("ordinary", "drift", "bad_rows")
LABELLED = re.compile(r"labelled-\d{4}-\d\d-\d\d-ordinary\.csv")
"""The name of the file that the demo trains on: it shows that a model is the demo's."""
CONTRACT = "nsl_kdd"
"""What the simulator writes."""
SHOWN = 5
"""Flagged connections that are shown for each night."""


def run_demo(settings: Settings) -> None:
    """Train on one simulated night, score three others, and print flagged connections and reasons.

    Everything is kept in ``NOCTULE_HOME``. A second demo on the same day uses the same files, and
    its results are the same.

    Raises:
        UsageError: the home has a model that the demo did not train.
    """
    settings = settings.model_copy(update={"contract": CONTRACT})
    today = utc_now().date()
    folder = settings.home / "demo"
    _refuse_real_home(settings)
    labelled = _simulate(folder, "labelled", "ordinary", today - timedelta(len(NIGHTS)))
    nights = [
        _simulate(folder, "night", scenario, today - timedelta(len(NIGHTS) - 1 - index))
        for index, scenario in enumerate(NIGHTS)
    ]
    with prefect_api(settings.home) as address:
        say(f"Prefect UI while this runs: {address.removesuffix('/api')}")
        show_heading("Training on a labelled night")
        show_training(run_training(settings, [labelled]))
        show_heading(f"Three nights: {', '.join(NIGHTS)}")
        outcome = run_night(settings, nights, None)
        show_night(outcome, settings)
    for one in outcome.files:
        _show_flagged(settings, one.batch_id, f"{one.file_name}: the highest scores")
    _say_where(settings)


def _refuse_real_home(settings: Settings) -> None:
    """Refuse a home with real models: simulated nights must not be mixed with real ones."""
    with open_database(settings) as engine:
        models = queries.model_rows(engine)
    sources = {name for model in models for name in model["training"]["sources"].values()}
    if not all(LABELLED.fullmatch(name) for name in sources):
        database = name_database(settings.database_address, settings.home)
        message = (
            f"Cannot run the demo: {database} has a model that the demo did not train, and its"
            " nights would be mixed with the simulated ones. Set NOCTULE_HOME to a new folder,"
            " unset NOCTULE_DATABASE_URL, and run it again."
        )
        raise UsageError(message)


def _simulate(folder: Path, name: str, scenario: Scenario, night: date) -> Path:
    """Write one simulated night, unless its file exists, and return the file."""
    target = folder / f"{name}-{night}-{scenario}.csv"
    if not target.exists():
        is_labelled = name == "labelled"
        rows = TRAINING_ROWS if is_labelled else NIGHT_ROWS
        simulate_night(
            target, rows=rows, seed=1, night=night, scenario=scenario, labelled=is_labelled
        )
    return target


def _show_flagged(settings: Settings, batch_id: str | None, title: str) -> None:
    """Print the flagged connections of a batch with the highest scores, and their reasons."""
    with open_database(settings) as engine:
        rows = queries.flagged_rows(engine, batch=batch_id, limit=SHOWN)
    found, identifiers = add_identifiers(rows)
    shown = [{**row, "reasons": reason_text(row["reasons"])} for row in found]
    show_rows(shown, (*identifiers, *FLAGGED), empty=f"{title}: nothing is flagged", title=title)


def _say_where(settings: Settings) -> None:
    """Print where the results are, and what to type next."""
    noctule = shutil.which("noctule") or ".venv/bin/noctule"
    prefect = Path(noctule).with_name("prefect")
    lines = [
        "All results are in the database. Try:",
        f"  NOCTULE_HOME={settings.home} {noctule} flagged",
        f"  database  {name_database(settings.database_address, settings.home)}",
        f"  reports   {settings.lake}/{settings.contract}/*/*/*.html",
        "Runs, states and artifacts are in the Prefect UI. Start it with",
        f"  PREFECT_HOME={settings.home / 'prefect'} {prefect} server start",
        "and open http://127.0.0.1:4200",
    ]
    for line in lines:
        say(line)
