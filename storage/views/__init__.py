"""The views: the analyst's interface, one SQL file each, and one view for each contract.

Belongs here: rendering, replacing and comparing views. Does not belong here: the queries of the
command line (see ``storage.queries``), which read these views.

The files are written in the SQL that SQLite and PostgreSQL share; the few words that differ stand
in braces, and ``WORDS`` says what each database calls them.
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

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

STATIC_VIEWS: Final = (
    "flagged_connections",
    "open_rejections",
    "batch_summary",
    "drift_summary",
    "model_history",
    "promotion_decisions",
    "quarantined_rows",
    "shadow_comparison",
)
"""In an order in which each finds those it reads."""

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
        # A filter on a column of the same table is what lets it use the order of an index.
        "flagged_batch_id": "f.batch_id",
    },
}

SQL_TYPES: Final[Mapping["PolarsDataType", str]] = {
    pl.Int64(): "BIGINT",
    pl.Float64(): "DOUBLE PRECISION",
    pl.String(): "TEXT",
}
"""What a contract's polars type is in a view; SQLite reads its affinity from the same words."""

IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]*")

BASE_COLUMNS: Final = (
    "connection_id",
    "batch_id",
    "batch_date",
    "file_name",
    "row_number",
    "line_number",
    "anomaly_score",
    "threshold",
    "operating_point",
    "reasons",
    "is_explained",
    "attack_category",
    "category_probability",
    "attack_technique",
    "record",
    "model_version",
)
"""The columns of ``flagged_connections`` that ``flagged_<contract>`` repeats."""

DEPENDENT_OBJECTS: Final = "2BP01"
"""PostgreSQL's code for "other objects depend on it"."""


@dataclass(frozen=True)
class View:
    """One view, as one database is told it."""

    name: str
    grain: str
    """One row per what: the file's first comment."""
    query: str

    @property
    def comment(self) -> str:
        """The grain, and a hash by which a view of another version is told."""
        digest = hashlib.sha256(self.query.encode()).hexdigest()
        return f"{self.grain} [{digest[:16]}]"


def views(dialect: str) -> tuple[View, ...]:
    """Render every view for ``sqlite`` or ``postgresql``, in the order they are made."""
    return (
        *(_static_view(name, dialect) for name in STATIC_VIEWS),
        *(contract_view(contract) for contract in CONTRACTS.values()),
    )


def _static_view(name: str, dialect: str) -> View:
    """Read one view's file."""
    first, query = Path(__file__).with_name(f"{name}.sql").read_text("utf-8").split("\n", 1)
    return View(name, first.removeprefix("-- "), query.format_map(WORDS[dialect]))


def contract_view(contract: Contract) -> View:
    """Render ``flagged_<contract>``: flagged connections with the contract's features, typed.

    Raises:
        ValueError: a name of the contract is no plain SQL identifier, or is a column already.
    """
    for name in (contract.name, *contract.feature_names):
        if not IDENTIFIER.fullmatch(name) or name in BASE_COLUMNS:
            message = f"Contract {contract.name}: {name!r} cannot be a name in its view."
            raise ValueError(message)
    columns = [
        *BASE_COLUMNS,
        *(
            f"CAST(record ->> '{column.name}' AS {SQL_TYPES[column.dtype]}) AS {column.name}"
            for column in contract.features
        ),
    ]
    select = ",\n    ".join(columns)
    return View(
        f"flagged_{contract.name}",
        f"One row per flagged connection of a live scoring of contract {contract.name}.",
        # Names only, checked above: a view's text takes no bound values.
        f"SELECT\n    {select}\nFROM flagged_connections\nWHERE contract = '{contract.name}'\n",
    )


def replace_views(connection: Connection) -> None:
    """Make every view anew, inside the caller's transaction.

    Raises:
        UsageError: something of the user's own in PostgreSQL depends on one of them.
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
            f"Cannot replace the views: {said}). Drop what depends on them, run"
            " `noctule db upgrade`, and create it again; nothing was changed."
        )
        raise UsageError(message) from None
    for view in made:
        connection.exec_driver_sql(f"CREATE VIEW {view.name} AS\n-- {view.comment}\n{view.query}")
        if connection.dialect.name == "postgresql":
            comment = view.comment.replace("'", "''")
            connection.exec_driver_sql(f"COMMENT ON VIEW {view.name} IS '{comment}'")


def stale_views(connection: Connection) -> tuple[str, ...]:
    """Name the views that are missing, or are not as this code would make them."""
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
