"""``noctule db``: the database's schema, and a check of everything that is stored.

Belongs here: the order of the checks, and how their results are printed. Does not belong here: the
checks (``storage.check``), or revisions of the schema (``storage.revisions``).
"""

from collections import Counter
from dataclasses import asdict

from expectations.registry import load_contracts
from flows.cli.printing import print_json, say
from flows.cli.tables import show_rows
from flows.places import connect_database
from flows.settings import Settings
from storage.check.files import check_lake, check_models
from storage.check.invariants import Problem
from storage.check.tables import check_tables, is_damaged
from storage.check.work import check_work
from storage.contract_views import make_contract_view
from storage.database import name_database
from storage.revisions import require_schema, status, upgrade
from tasks.wording import plural

COLUMNS = ("severity", "subject", "problem", "advice")


def check_all(settings: Settings) -> list[Problem]:
    """Check the database, the models and the lake, and return the problems, errors first.

    Raises:
        ServiceUnavailableError: the database cannot be reached.
        UsageError: its schema is not the schema of this version.
    """
    with connect_database(settings) as engine:
        require_schema(status(engine))  # an empty database is probably the wrong one
        found = list(check_tables(engine))
        if not is_damaged(found):
            found += check_models(engine, settings.models)
            found += check_lake(engine, settings.lake)
            found += check_work(engine, settings.lake)
    return sorted(found, key=lambda problem: problem.severity)


def show_check(settings: Settings, *, as_json: bool) -> bool:
    """Check everything that is stored, print the problems; return whether there is no error."""
    found = check_all(settings)
    counts: Counter[str] = Counter(problem.severity for problem in found)
    if as_json:
        print_json({"is_sound": not counts["error"], "findings": list(map(asdict, found))})
    else:
        place = name_database(settings.database_address, settings.home)
        show_rows(list(map(asdict, found)), COLUMNS)
        say(f"{place}: {_summarise(counts)}")
    return not counts["error"]


def _summarise(counts: Counter[str]) -> str:
    """Return the result of a check in a few words, from the number of problems by severity."""
    notes = plural(counts["note"], "note")
    if counts["error"]:
        return f"{plural(counts['error'], 'error')}, {notes}"
    return f"all is consistent{f'; {notes}' if counts['note'] else ': tables, models, lake'}"


def upgrade_database(settings: Settings) -> str:
    """Upgrade the database to the schema of this version, and make the views of all contracts.

    Returns the command's message.
    """
    with connect_database(settings, wait_s=0) as engine:
        done = upgrade(engine)
        missing = [make_contract_view(engine, contract) for contract in load_contracts().values()]
    return "; ".join([f"{done.address} has schema {done.revision}", *filter(None, missing)])


def show_status(settings: Settings, *, as_json: bool) -> None:
    """Print which schema the database has, and what to do where it is another version's."""
    with connect_database(settings, wait_s=0) as engine:
        found = status(engine)
    facts = {
        "address": found.address,
        "revision": found.revision,
        "expected": found.head,
        "is_current": found.is_current,
    }
    if as_json:
        print_json(facts)
        return
    if found.is_current:
        advice = "current"
    elif found.is_newer:
        advice = "made by a newer Noctule: use that"
    elif found.missing:
        advice = f"without {', '.join(found.missing)}: restore it from a backup"
    else:
        advice = "run: noctule db upgrade"
    say(f"{found.address}: schema {found.revision or 'none'}, expected {found.head} ({advice})")
