"""The views: the analyst's interface. One SQL file for each, and one view for each contract.

Belongs here: rendering, replacing and comparing views; ``views`` lists them all with their columns.
Does not belong here: the declaration of those columns (``columns.toml``, read by ``columns``) or
the queries of the command line, which read the views (``storage.queries``).

The first comment of a file states the grain of its view. The files use the SQL that SQLite and
PostgreSQL share. Words that differ are in braces; ``WORDS`` has them for each database. A
database keeps a hash of each view's SQL, so any change in a file, even of a comment, makes
``noctule db upgrade`` necessary.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from expectations.contract import Contract
from expectations.errors import UsageError
from expectations.registry import CONTRACTS
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

SQL_TYPES: Final[Mapping["PolarsDataType", tuple[str, str]]] = {
    pl.Int64(): ("BIGINT", "integer"),
    pl.Float64(): ("DOUBLE PRECISION", "number"),
    pl.String(): ("TEXT", "text"),
}
"""A contract's polars type -> the SQL type in its view, from which SQLite takes the affinity; and
the type in the words of ``columns.toml``."""

IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]*")

BASE_COLUMNS: Final = tuple(
    column for column in VIEW_COLUMNS["flagged_connections"] if column.name != "contract"
)
"""The columns of ``flagged_connections`` that ``flagged_<contract>`` repeats."""

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
    """Render every view for ``sqlite`` or ``postgresql``, in the order in which to create them."""
    return (
        *(_static_view(name, columns, dialect) for name, columns in VIEW_COLUMNS.items()),
        *(contract_view(contract) for contract in CONTRACTS.values()),
    )


def _static_view(name: str, columns: tuple[ViewColumn, ...], dialect: str) -> View:
    """Render the view of one SQL file."""
    first, query = Path(__file__).with_name(f"{name}.sql").read_text("utf-8").split("\n", 1)
    return View(name, first.removeprefix("-- "), columns, query.format_map(WORDS[dialect]))


def contract_view(contract: Contract) -> View:
    """Render ``flagged_<contract>``: flagged connections with the contract's features, typed.

    Raises:
        ValueError: a name of the contract is not a plain SQL identifier, or is already a column.
    """
    base = [column.name for column in BASE_COLUMNS]
    for name in (contract.name, *contract.feature_names):
        if not IDENTIFIER.fullmatch(name) or name in base:
            message = f"Contract {contract.name}: {name!r} cannot be a name in its view."
            raise ValueError(message)
    features = [(column, *SQL_TYPES[column.dtype]) for column in contract.features]
    select = ",\n    ".join(
        [
            *base,
            *(
                f"CAST(record ->> '{one.name}' AS {kind}) AS {one.name}"
                for one, kind, _ in features
            ),
        ]
    )
    return View(
        f"flagged_{contract.name}",
        f"One row per flagged connection of a live scoring of contract {contract.name}.",
        (*BASE_COLUMNS, *(ViewColumn(one.name, kind, one.meaning) for one, _, kind in features)),
        # Only names, which are checked above: the text of a view takes no bound values.
        f"SELECT\n    {select}\nFROM flagged_connections\nWHERE contract = '{contract.name}'\n",
    )


def replace_views(connection: Connection) -> None:
    """Drop and create every view, inside the caller's transaction.

    Raises:
        UsageError: an object that the user made in PostgreSQL depends on one of them.
    """
    made = views(connection.dialect.name)
    try:
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
        connection.exec_driver_sql(f"CREATE VIEW {view.name} AS\n-- {view.comment}\n{view.query}")
        if connection.dialect.name == "postgresql":
            comment = view.comment.replace("'", "''")
            connection.exec_driver_sql(f"COMMENT ON VIEW {view.name} IS '{comment}'")


def stale_views(connection: Connection) -> tuple[str, ...]:
    """Return the names of views that are missing or differ from what this code would create."""
    if connection.dialect.name == "postgresql":
        query = (
            "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class AS c"
            " WHERE c.relkind = 'v' AND pg_table_is_visible(c.oid)"
        )
    else:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'view'"
    found = {name: text or "" for name, text in connection.execute(sa.text(query))}
    return tuple(
        view.name
        for view in views(connection.dialect.name)
        if view.comment not in found.get(view.name, "")
    )
