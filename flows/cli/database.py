"""``noctule db``: the database's schema, and a check of everything that is stored.

Belongs here: what is checked in which order, and how it is shown. Does not belong here: revisions
(``storage.revisions``) or the checks (``storage.check``).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from flows.cli.printing import print_json, say
from flows.cli.tables import show_rows
from flows.settings import Settings
from storage.check.files import check_lake, check_models
from storage.check.problem import Problem
from storage.check.tables import check_tables, is_damaged
from storage.check.work import check_work
from storage.database import connect, name_database
from storage.revisions import require_schema, status, upgrade
from tasks.wording import plural

COLUMNS = ("severity", "subject", "problem", "advice")


def check_all(settings: Settings) -> list[Problem]:
    """Check the database, the models and the lake; what is wrong comes first.

    Raises:
        ServiceUnavailableError: the database cannot be reached.
        UsageError: its schema is not this version's.
    """
    engine = connect(settings.database_address, settings.home, settings.database_wait_s)
    try:
        require_schema(status(engine))  # one that holds nothing is the wrong one, and not sound
        found = list(check_tables(engine))
        if not is_damaged(found):
            found += check_models(engine, settings.models)
            found += check_lake(engine, settings.lake)
            found += check_work(engine, settings.lake)
    finally:
        engine.dispose()
    return sorted(found, key=lambda finding: finding.severity)


def show_check(settings: Settings, *, as_json: bool) -> bool:
    """Check, print what was found, and return whether all that is stored can be relied on."""
    found = check_all(settings)
    counts: Counter[str] = Counter(finding.severity for finding in found)
    if as_json:
        print_json({"is_sound": not counts["error"], "findings": list(map(asdict, found))})
    else:
        place = name_database(settings.database_address, settings.home)
        verdict = _verdict(found, counts)
        if found:
            show_rows([asdict(finding) for finding in found], COLUMNS, empty="")
        say(f"{place}: {verdict}")
    return not counts["error"]


def _verdict(found: Sequence[Problem], counts: Counter[str]) -> str:
    """Say in a few words what a check came to."""
    if not found:
        return "everything adds up: tables, models, lake"
    if counts["error"]:
        return f"{plural(counts['error'], 'error')}, {plural(counts['note'], 'note')}"
    return f"everything adds up; {plural(counts['note'], 'note')}"


def upgrade_database(settings: Settings) -> str:
    """Bring the database to this version's schema; return what to say."""
    engine = connect(settings.database_address, settings.home)
    try:
        done = upgrade(engine)
    finally:
        engine.dispose()
    return f"{done.address} has schema {done.revision}"


def show_status(settings: Settings, *, as_json: bool) -> None:
    """Print which schema the database has."""
    engine = connect(settings.database_address, settings.home)
    try:
        found = status(engine)
    finally:
        engine.dispose()
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
