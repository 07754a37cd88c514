"""The columns of the views: their types and meanings, read from ``columns.toml``.

Belongs here: reading that declaration, and what follows from it: a SQLAlchemy table for each view,
and the description that the documentation is tested against. Does not belong here: the SQL that
computes the columns (``<view>.sql``) or rows (``storage.queries``).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from storage.column_types import UtcTime

COLUMN_TYPES: Final[Mapping[str, type[TypeEngine[Any]]]] = {
    "text": sa.Text,
    "integer": sa.Integer,
    "number": sa.Double,
    "boolean": sa.Boolean,
    "date": sa.Date,
    "time": UtcTime,
    "json": sa.JSON,
}
"""How a query reads a column of each declared type."""


@dataclass(frozen=True)
class ViewColumn:
    """One column of a view."""

    name: str
    type_name: str
    """A key of ``COLUMN_TYPES``."""
    meaning: str


def _read_columns() -> Mapping[str, tuple[ViewColumn, ...]]:
    """Read the declared columns of each view, in the order in which the views can be created."""
    declared = tomllib.loads(Path(__file__).with_name("columns.toml").read_text("utf-8"))
    return {
        view: tuple(ViewColumn(name, *declaration) for name, declaration in columns.items())
        for view, columns in declared.items()
    }


VIEW_COLUMNS: Final = MappingProxyType(_read_columns())
"""View -> its columns. A view comes after the views that it reads. The view of each contract,
``flagged_<contract>``, is not among them."""

VIEW_TABLES: Final = MappingProxyType(
    {
        view: sa.table(view, *(sa.column(one.name, COLUMN_TYPES[one.type_name]) for one in columns))
        for view, columns in VIEW_COLUMNS.items()
    }
)
"""View -> the table by which a SQLAlchemy query reads it."""
