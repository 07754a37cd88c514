"""The schema's revisions: which one a database has, and how it comes to this code's.

Belongs here: upgrade and its check. Does not belong here: the revisions themselves
(``migrations/versions``) or the views' text (``views``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from expectations.errors import UsageError
from storage.database import keep_to_schema, read, serialise, show_address, write
from storage.schema import metadata
from storage.views import replace_views, stale_views, views

if TYPE_CHECKING:
    from alembic.config import Config

UPGRADE_LOCK: Final = "noctule schema"

OTHER_DATABASE: Final = "Name another database in NOCTULE_DATABASE_URL"

NAMES_SHOWN: Final = 5
"""Most tables of somebody else's that a message lists. A guess."""

CATALOGUE: Final[Mapping[str, str]] = {
    "sqlite": (
        "SELECT lower(name), type = 'table' FROM sqlite_master"
        " WHERE type <> 'trigger' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    ),
    "postgresql": (
        "SELECT relname, relkind IN ('r', 'p', 'f') FROM pg_class"
        " JOIN pg_namespace AS n ON n.oid = relnamespace WHERE n.nspname = current_schema()"
        " UNION ALL SELECT typname, false FROM pg_type"
        " JOIN pg_namespace AS n ON n.oid = typnamespace"
        " WHERE n.nspname = current_schema() AND typrelid = 0"
    ),
}
"""Every name that is in use where our tables are or would be, and whether it is a table's. SQLite
tells names apart without regard to case; PostgreSQL's tables and types share theirs."""


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
    tables: tuple[str, ...]
    """Every table there is, in PostgreSQL of the schema where ours are or would be."""
    missing: tuple[str, ...]
    """Tables that its revision has and that are gone; none where it has no schema of this code."""
    names_in_use: tuple[str, ...]
    """Names of this code's tables, indexes and views that something has there, ours or not."""

    @property
    def is_absent(self) -> bool:
        """Whether no schema was ever made here."""
        return self.revision is None

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all is here that our tables would stand beside or in the way of."""
        return self.is_absent and not self.tables and not self.names_in_use

    @property
    def is_current(self) -> bool:
        """Whether tables and views are as this code knows them."""
        return self.revision == self.head and not self.stale_views and not self.missing


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
    with read(engine) as connection:
        return _look(connection)


def _look(connection: Connection) -> SchemaStatus:
    """Compare the schema with this code's, as one transaction sees it."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_alembic_config())
    head = scripts.get_current_head()
    assert head is not None, "the package holds no revision"  # noqa: S101 - our own mistake
    keep_to_schema(connection)
    # The names first: tables that another process makes meanwhile then come with their revision.
    found = dict(connection.execute(sa.text(CATALOGUE[connection.dialect.name])).tuples().all())
    revision = MigrationContext.configure(connection).get_current_revision()
    return SchemaStatus(
        address=show_address(connection.engine.url),
        revision=revision,
        head=head,
        is_newer=revision not in {None, *(script.revision for script in scripts.walk_revisions())},
        stale_views=() if revision is None else stale_views(connection),
        tables=tuple(sorted(name for name, is_table in found.items() if is_table)),
        missing=tuple(sorted(metadata.tables.keys() - found.keys())) if revision == head else (),
        names_in_use=tuple(sorted(_our_names(connection.dialect.name) & found.keys())),
    )


def _our_names(dialect: str) -> set[str]:
    """Name the tables, indexes and views of this code."""
    tables = metadata.sorted_tables
    indexes = {str(index.name) for table in tables for index in table.indexes}
    return {table.name for table in tables} | indexes | {view.name for view in views(dialect)}


def upgrade(engine: Engine) -> SchemaStatus:
    """Bring an empty or older database to this code's schema, in one transaction.

    Tables move by revision; views hold no data and are made anew. A current database is left as
    it is; tables of somebody else's stay beside ours.

    Raises:
        UsageError: the database is newer than this code or another program's, tables of it were
            taken away, or something in it has a name that ours need.
    """
    from alembic import command

    before = status(engine)
    if before.is_current:
        return before
    with write(engine) as connection:
        serialise(connection, UPGRADE_LOCK)
        found = _look(connection)  # another process may have upgraded it since
        if found.is_newer:
            raise UsageError(_newer(found))
        if found.missing:
            raise UsageError(_incomplete(found))
        if found.is_absent and found.names_in_use:
            raise UsageError(_taken(found))
        command.upgrade(_alembic_config(connection), "head")
        replace_views(connection)
    return status(engine)


def require_schema(found: SchemaStatus) -> None:
    """Refuse a database whose schema is not the one this code knows.

    Args:
        found: what ``status`` or ``upgrade`` said of it.

    Raises:
        UsageError: it is absent, older, newer, incomplete or another program's; the message says
            what to do.
    """
    if found.is_current:
        return
    if found.is_newer:
        raise UsageError(_newer(found))
    if found.missing:
        raise UsageError(_incomplete(found))
    if found.is_absent and found.names_in_use:
        raise UsageError(_taken(found))
    if found.is_absent and found.tables:
        raise UsageError(_beside(found))
    if found.is_absent:
        what = "has no Noctule schema yet"
    elif found.revision != found.head:
        what = f"has schema {found.revision}, this Noctule expects {found.head}"
    else:
        what = f"has views of another version ({', '.join(found.stale_views)})"
    message = f"The database at {found.address} {what}. Run: noctule db upgrade"
    raise UsageError(message)


def _newer(found: SchemaStatus) -> str:
    if not found.names_in_use:
        return (
            f"The database at {found.address} is another program's: its tables"
            f" ({_list(found.tables)}) are at revision {found.revision}, which is none of"
            f" Noctule's. {OTHER_DATABASE}. Nothing was changed."
        )
    return (
        f"The database at {found.address} has schema {found.revision}, which is newer than this"
        f" Noctule ({found.head}). Install the Noctule that wrote it; `noctule db upgrade` goes"
        " forward only. Nothing was changed."
    )


def _incomplete(found: SchemaStatus) -> str:
    return (
        f"The database at {found.address} has schema {found.revision}, but tables of it were taken"
        f" away ({_list(found.missing)}). Restore it from a backup. {OTHER_DATABASE} to begin"
        " anew. Nothing was changed."
    )


def _taken(found: SchemaStatus) -> str:
    return (
        f"Cannot add Noctule's tables to the database at {found.address}: something that Noctule"
        f" did not make has a name it needs ({_list(found.names_in_use)}). {OTHER_DATABASE}."
        " Nothing was changed."
    )


def _beside(found: SchemaStatus) -> str:
    return (
        f"The database at {found.address} has no Noctule schema, but tables of something else"
        f" ({_list(found.tables)}). {OTHER_DATABASE}; or, to add Noctule's tables beside these,"
        " run: noctule db upgrade. Nothing was changed."
    )


def _list(names: tuple[str, ...]) -> str:
    """List some names, and say how many more there are."""
    more = len(names) - NAMES_SHOWN
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
