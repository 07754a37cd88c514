"""The revision of a database's schema, and its upgrade to the revision of this code.

Belongs here: comparing and upgrading. Does not belong here: the revisions themselves
(``migrations/versions``) or the SQL of views (``views``).
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
"""How many names of tables a message lists at most. A guess."""

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
"""Selects every name in use in the schema of our tables, and whether it is the name of a table.
SQLite ignores the case of names. On PostgreSQL, tables and types share one set of names."""


@dataclass(frozen=True, kw_only=True)
class SchemaStatus:
    """The schema of a database, compared with that of this code."""

    address: str
    """Without the password."""
    revision: str | None
    """The database's revision; None if it has no Noctule schema."""
    head: str
    """This code's revision."""
    is_newer: bool
    """Whether this code does not know the database's revision."""
    stale_views: tuple[str, ...]
    """Views that are missing or differ from those of this code."""
    tables: tuple[str, ...]
    """All tables; on PostgreSQL those of the schema where ours are or would be."""
    missing: tuple[str, ...]
    """Tables of this code that are missing; empty if the database has another revision."""
    names_in_use: tuple[str, ...]
    """Names of this code's tables, indexes and views that are in use, by ours or by others."""

    @property
    def is_absent(self) -> bool:
        """Whether the database has no Noctule schema."""
        return self.revision is None

    @property
    def is_empty(self) -> bool:
        """Whether the database has no tables, and no names that ours need."""
        return self.is_absent and not self.tables and not self.names_in_use

    @property
    def is_current(self) -> bool:
        """Whether tables and views are those of this code."""
        return self.revision == self.head and not self.stale_views and not self.missing


def _alembic_config(connection: Connection | None = None) -> "Config":
    """Return Alembic's configuration, which needs no file: the revisions are beside this module."""
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
    # Names before the revision: another process may create tables and a revision in between.
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
    """Return the names of all tables, indexes and views of this code."""
    tables = metadata.sorted_tables
    indexes = {str(index.name) for table in tables for index in table.indexes}
    return {table.name for table in tables} | indexes | {view.name for view in views(dialect)}


def upgrade(engine: Engine) -> SchemaStatus:
    """Bring an empty or older database to this code's schema, in one transaction.

    Tables are changed by revisions; views hold no data and are created again. A current database
    is not changed, nor are tables that are not Noctule's.

    Raises:
        UsageError: the database is newer than this code or belongs to another program, some of
            its tables are missing, or it uses a name that one of ours needs.
    """
    from alembic import command

    before = status(engine)
    if before.is_current:
        return before
    with write(engine) as connection:
        serialise(connection, UPGRADE_LOCK)
        found = _look(connection)  # another process may have upgraded it since
        _require_upgradable(found)
        command.upgrade(_alembic_config(connection), "head")
        replace_views(connection)
    return status(engine)


def require_schema(found: SchemaStatus) -> None:
    """Refuse a database whose schema is not that of this code.

    ``found`` is what ``status`` or ``upgrade`` returned.

    Raises:
        UsageError: the schema is absent, older, newer, incomplete or another program's; the message
            says what to do.
    """
    if found.is_current:
        return
    _require_upgradable(found)
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


def _require_upgradable(found: SchemaStatus) -> None:
    """Refuse a database that ``upgrade`` cannot bring to this code's schema."""
    if found.is_newer:
        raise UsageError(_newer(found))
    if found.missing:
        raise UsageError(_incomplete(found))
    if found.is_absent and found.names_in_use:
        raise UsageError(_taken(found))


def _newer(found: SchemaStatus) -> str:
    if not found.names_in_use:
        return (
            f"The database at {found.address} belongs to another program: its tables"
            f" ({_list(found.tables)}) are at revision {found.revision}, which Noctule does not"
            f" have. {OTHER_DATABASE}. Nothing was changed."
        )
    return (
        f"The database at {found.address} has schema {found.revision}, which is newer than this"
        f" Noctule ({found.head}). Install the Noctule that wrote it: `noctule db upgrade`"
        " cannot go back. Nothing was changed."
    )


def _incomplete(found: SchemaStatus) -> str:
    return (
        f"The database at {found.address} has schema {found.revision}, but some of its tables are"
        f" missing ({_list(found.missing)}). Restore it from a backup."
        f" {OTHER_DATABASE} to start with an empty one. Nothing was changed."
    )


def _taken(found: SchemaStatus) -> str:
    return (
        f"Cannot add Noctule's tables to the database at {found.address}: it already has something"
        f" with a name that Noctule needs ({_list(found.names_in_use)}). {OTHER_DATABASE}."
        " Nothing was changed."
    )


def _beside(found: SchemaStatus) -> str:
    return (
        f"The database at {found.address} has no Noctule schema, but other tables"
        f" ({_list(found.tables)}). {OTHER_DATABASE}; or, to add Noctule's tables beside these,"
        " run: noctule db upgrade. Nothing was changed."
    )


def _list(names: tuple[str, ...]) -> str:
    """Join up to ``NAMES_SHOWN`` names, and say how many more there are."""
    more = len(names) - NAMES_SHOWN
    shown = ", ".join(names[:NAMES_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
