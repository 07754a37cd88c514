"""The commands that record a person's decision: promote, roll back, dismiss.

Belongs here: who decides, and what is printed. Does not belong here: what a decision changes
(``storage.model_store``, ``storage.dismissals``).
"""

import getpass
import os

from flows.cli.printing import print_json, say
from flows.clock import utc_now
from flows.contracts import choose_champion
from flows.places import open_database
from flows.settings import Settings
from storage import queries
from storage.dismissals import dismiss
from storage.model_store import promote, rollback
from tasks.wording import ID_DIGITS, plural


def promote_version(settings: Settings, version: str, reason: str) -> str:
    """Make a version the champion, and return the command's message."""
    with open_database(settings) as engine:
        promote(engine, settings.models, version, who=_user(), reason=reason, now=utc_now())
    return f"{version} scores from now on"


def roll_back(settings: Settings, reason: str) -> str:
    """Make the previous champion champion again, and return the command's message."""
    with open_database(settings) as engine:
        version = rollback(
            engine,
            settings.models,
            choose_champion(settings, engine).contract,
            who=_user(),
            reason=reason,
            now=utc_now(),
        )
    return f"{version} scores again from now on"


def dismiss_batch(settings: Settings, batch: str, reason: str, *, as_json: bool) -> None:
    """Dismiss the rejection of a batch, and print the names of its files."""
    now = utc_now()
    with open_database(settings) as engine:
        batch_id = queries.resolve_batch(engine, batch)
        files = dismiss(engine, batch_id, who=_user(), reason=reason, now=now)
        left = len(queries.open_rejection_rows(engine, contract=settings.contract))
    if as_json:
        print_json({"batch_id": batch_id, "files": files, "reason": reason, "open": left})
        return
    say(f"batch {batch_id[:ID_DIGITS]} is dismissed: {', '.join(files)}")
    say(f"{plural(left, 'rejection')} left open")


def _user() -> str:
    """Return the system user's name, or its number where it has no name, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return f"uid {os.getuid()}"
