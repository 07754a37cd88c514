"""The views: the analyst's interface. One SQL file for each, and one view for each contract.

Belongs here: rendering, replacing and comparing views; ``views`` lists ours with their columns.
Does not belong here: when a contract of the user gets its view (``storage.contract_views``), the
declaration of those columns (``columns.toml``, read by ``columns``) or the queries of the command
line, which read the views (``storage.queries``).

The first comment of a file states the grain of its view. The files use the SQL that SQLite and
PostgreSQL share. Words that differ are in braces; ``WORDS`` has them for each database. A
database keeps a hash of each view's SQL, so any change in a file, even of a comment, makes
``noctule db upgrade`` necessary.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from expectations.contract import Column, Contract
from expectations.errors import UsageError
from expectations.registry import own_contracts
from storage.views.columns import VIEW_COLUMNS, ViewColumn

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "sqlite": {
        "json_array": "json_group_array",
        "json_object": "json_object",
        # Counting flagged connections then reads an index, not their records.
        "flagged_batch_id": "s.batch_id",
    },
    "postgresql": {
        "json_array": "json_agg",
        "json_object": "json_build_object",
        # It uses the order of an index only for a filter on a column of the same table.
        "flagged_batch_id": "f.batch_id",
    },
}

SQL_TYPES: Final[Mapping[str, Mapping["PolarsDataType", str]]] = {
    "sqlite": {
        pl.Int64(): "BIGINT",
        pl.Float64(): "DOUBLE PRECISION",
        pl.String(): "TEXT",
        pl.Datetime("us", "UTC"): "TEXT",  # in ISO 8601, whose order is that of the times
    },
    "postgresql": {
        pl.Int64(): "BIGINT",
        pl.Float64(): "DOUBLE PRECISION",
        pl.String(): "TEXT",
        pl.Datetime("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
    },
}
"""A contract's polars type -> the SQL type in its view; SQLite takes the affinity from it."""

TYPE_NAMES: Final[Mapping["PolarsDataType", str]] = {
    pl.Int64(): "integer",
    pl.Float64(): "number",
    pl.String(): "text",
    pl.Datetime("us", "UTC"): "time",
}
"""A contract's polars type -> the type in the words of ``columns.toml``."""

IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]*")

BASE_COLUMNS: Final = tuple(
    column for column in VIEW_COLUMNS["flagged_connections"] if column.name != "contract"
)
"""The columns of ``flagged_connections`` that ``flagged_<contract>`` repeats."""

CONTRACT_GRAIN: Final = "One row per flagged connection of a live scoring of contract"
"""The beginning of the comment of each view ``flagged_<contract>``."""

PLACE_COLUMNS: Final = 6
"""How many of them say which row of which file it is. The identifiers come next."""

DEPENDENT_OBJECTS: Final = "2BP01"
"""PostgreSQL's error code for "other objects depend on it"."""


@dataclass(frozen=True)
class View:
    """One view, rendered for one database."""

    name: str
    grain: str
    """What one row is: the file's first comment."""
    columns: tuple[ViewColumn, ...]
    query: str

    @property
    def comment(self) -> str:
        """The grain and a hash of the query, by which a view of another version is recognised."""
        digest = hashlib.sha256(self.query.encode()).hexdigest()
        return f"{self.grain} [{digest[:16]}]"


def views(dialect: str) -> tuple[View, ...]:
    """Render our own views for ``sqlite`` or ``postgresql``, in the order of their creation."""
    return (
        *(_static_view(name, columns, dialect) for name, columns in VIEW_COLUMNS.items()),
        *(contract_view(contract, dialect) for contract in own_contracts().values()),
    )


def _static_view(name: str, columns: tuple[ViewColumn, ...], dialect: str) -> View:
    """Render the view of one SQL file."""
    first, query = Path(__file__).with_name(f"{name}.sql").read_text("utf-8").split("\n", 1)
    return View(name, first.removeprefix("-- "), columns, query.format_map(WORDS[dialect]))


def contract_view(contract: Contract, dialect: str) -> View:
    """Render ``flagged_<contract>``: flagged connections of a contract, each value in its type.

    First which row of which file it is, then its identifiers, then what Noctule says of it, then
    its features.

    Raises:
        ValueError: a name of the contract is not a plain SQL identifier, or is already a column.
    """
    base = {column.name for column in BASE_COLUMNS}
    for name in (contract.name, *(one.name for one in contract.columns)):
        if not IDENTIFIER.fullmatch(name) or name in base:
            message = f"Contract {contract.name}: {name!r} cannot be a name in its view."
            raise ValueError(message)
    declared: Sequence[Column | ViewColumn] = (
        *BASE_COLUMNS[:PLACE_COLUMNS],
        *contract.identifiers,
        *BASE_COLUMNS[PLACE_COLUMNS:],
        *contract.features,
    )
    types = SQL_TYPES[dialect]
    # Quoted: a name of the contract may be a word of SQL. The text of a view takes no bound values.
    select = ",\n    ".join(
        f"CAST(record ->> '{one.name}' AS {types[one.dtype]}) AS \"{one.name}\""
        if isinstance(one, Column)
        else one.name
        for one in declared
    )
    return View(
        f"flagged_{contract.name}",
        f"{CONTRACT_GRAIN} {contract.name}.",
        tuple(
            ViewColumn(one.name, TYPE_NAMES[one.dtype], one.meaning)
            if isinstance(one, Column)
            else one
            for one in declared
        ),
        f"SELECT\n    {select}\nFROM flagged_connections\nWHERE contract = '{contract.name}'\n",
    )


def replace_views(connection: Connection) -> None:
    """Drop and create every view of ours, inside the caller's transaction.

    The views of a user's contracts stay as they are.

    Raises:
        UsageError: an object that the user made in PostgreSQL depends on one of them.
    """
    made = views(connection.dialect.name)
    others = _contract_views_beside(connection, {view.name for view in made})
    try:
        for name, _, _ in others:
            connection.exec_driver_sql(f'DROP VIEW "{name}"')
        for view in reversed(made):
            connection.exec_driver_sql(f"DROP VIEW IF EXISTS {view.name}")
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != DEPENDENT_OBJECTS:
            raise
        said = " (".join(str(error.orig).removesuffix("\n").split("\n")[:2])
        message = (
            f"Cannot replace the views: {said}). Drop the objects that depend on them, run"
            " `noctule db upgrade`, and create them again. Nothing was changed."
        )
        raise UsageError(message) from None
    for view in made:
        create_view(connection, view)
    for name, definition, comment in others:
        connection.exec_driver_sql(f'CREATE VIEW "{name}" AS {definition}')
        _comment_on(connection, name, comment)


def _contract_views_beside(
    connection: Connection, ours: AbstractSet[str]
) -> list[tuple[str, str, str]]:
    """Return name, definition and comment of the views of a user's contracts.

    Only PostgreSQL knows which views depend on which, and keeps one from being dropped for that.
    """
    if connection.dialect.name != "postgresql":
        return []
    query = sa.text(
        "SELECT c.relname, pg_get_viewdef(c.oid), obj_description(c.oid, 'pg_class')"
        " FROM pg_class AS c WHERE c.relkind = 'v' AND pg_table_is_visible(c.oid)"
        " AND starts_with(obj_description(c.oid, 'pg_class'), :grain) ORDER BY c.relname"
    )
    found = connection.execute(query, {"grain": CONTRACT_GRAIN}).tuples()
    return [(name, text, comment) for name, text, comment in found if name not in ours]


def create_view(connection: Connection, view: View) -> None:
    """Create a view, inside the caller's transaction."""
    connection.exec_driver_sql(f"CREATE VIEW {view.name} AS\n-- {view.comment}\n{view.query}")
    if connection.dialect.name == "postgresql":
        _comment_on(connection, view.name, view.comment)


def _comment_on(connection: Connection, name: str, comment: str) -> None:
    """Set the comment of a view in PostgreSQL."""
    quoted = comment.replace("'", "''")
    connection.exec_driver_sql(f"COMMENT ON VIEW \"{name}\" IS '{quoted}'")


def stale_views(connection: Connection) -> tuple[str, ...]:
    """Return the names of our views that are missing or differ from what this code would create.

    The views of a user's contracts are not among them: another process may have other contracts.
    """
    return find_stale(connection, views(connection.dialect.name))


def find_stale(connection: Connection, wanted: Iterable[View]) -> tuple[str, ...]:
    """Return the names of those views that are missing or differ."""
    if connection.dialect.name == "postgresql":
        query = (
            "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class AS c"
            " WHERE c.relkind = 'v' AND pg_table_is_visible(c.oid)"
        )
    else:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'view'"
    found = {name: text or "" for name, text in connection.execute(sa.text(query))}
    return tuple(view.name for view in wanted if view.comment not in found.get(view.name, ""))
