"""The schema's revisions: which one a database has, and how it comes to this code's.

Belongs here: upgrade and its check. Does not belong here: the revisions themselves
(``migrations/versions``) or the views' text (``views``).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine

from expectations.errors import UsageError
from storage.database import read, serialise, show_address, write
from storage.views import replace_views, stale_views

if TYPE_CHECKING:
    from alembic.config import Config

UPGRADE_LOCK: Final = "noctule schema"


@dataclass(frozen=True, kw_only=True)
class SchemaStatus:
    """What a database holds, against what this code knows."""

    address: str
    """Without the password."""
    revision: str | None
    """The database's revision; None where it has no schema."""
    head: str
    """This code's revision."""
    is_newer: bool
    """Whether the database's revision is one that this code does not know."""
    stale_views: tuple[str, ...]
    """Views that are missing or differ from this code's."""

    @property
    def is_absent(self) -> bool:
        """Whether no schema was ever made here."""
        return self.revision is None

    @property
    def is_current(self) -> bool:
        """Whether tables and views are as this code knows them."""
        return self.revision == self.head and not self.stale_views


def _alembic_config(connection: Connection | None = None) -> "Config":
    """Configure Alembic without a file: the revisions lie beside this module."""
    from alembic.config import Config

    config = Config()
    folder = Path(__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def status(engine: Engine) -> SchemaStatus:
    """Compare the database's schema with this code's."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_alembic_config())
    head = scripts.get_current_head()
    assert head is not None, "the package holds no revision"  # noqa: S101 - our own mistake
    with read(engine) as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
        stale = () if revision is None else stale_views(connection)
    known = {script.revision for script in scripts.walk_revisions()}
    return SchemaStatus(
        address=show_address(engine.url),
        revision=revision,
        head=head,
        is_newer=revision is not None and revision not in known,
        stale_views=stale,
    )


def upgrade(engine: Engine) -> SchemaStatus:
    """Bring an empty or older database to this code's schema, in one transaction.

    Tables move by revision; views hold no data and are made anew. A current database is left as
    it is.

    Raises:
        UsageError: the database is newer than this code.
    """
    from alembic import command

    before = status(engine)
    if before.is_current:
        return before
    if before.is_newer:
        raise UsageError(_newer(before))
    with write(engine) as connection:
        serialise(connection, UPGRADE_LOCK)
        command.upgrade(_alembic_config(connection), "head")
        replace_views(connection)
    return status(engine)


def require_schema(found: SchemaStatus) -> None:
    """Refuse a database whose schema is not the one this code knows.

    Args:
        found: what ``status`` or ``upgrade`` said of it.

    Raises:
        UsageError: it is absent, older or newer; the message says what to do.
    """
    if found.is_current:
        return
    if found.is_newer:
        raise UsageError(_newer(found))
    if found.is_absent:
        what = "has no Noctule schema yet"
    elif found.revision != found.head:
        what = f"has schema {found.revision}, this Noctule expects {found.head}"
    else:
        what = f"has views of another version ({', '.join(found.stale_views)})"
    message = f"The database at {found.address} {what}. Run: noctule db upgrade"
    raise UsageError(message)


def _newer(found: SchemaStatus) -> str:
    return (
        f"The database at {found.address} has schema {found.revision}, which is newer than this"
        f" Noctule ({found.head}). Install the Noctule that wrote it; `noctule db upgrade` goes"
        " forward only. Nothing was changed."
    )
