"""Invariants of the tables: conditions that must hold in everything that is stored.

Belongs here: what an invariant and a problem are, and the invariants that follow from the schema:
every foreign key refers to a row, every JSON column holds JSON. Does not belong here: invariants of
batches and scorings (``batch_invariants``, ``scoring_invariants``), or running their queries
(``tables``).

Constraints of the schema, or the way a batch is committed, already enforce most invariants. They
are checked nevertheless: a disk may fail, a backup may mix two moments or be restored without its
constraints, and somebody may have changed the database by hand.

Every query is the same on SQLite and PostgreSQL, and none reads the predictions more than once, so
checking a year of nights takes no longer than reading it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import JSON, ForeignKeyConstraint, Table

from storage.schema import metadata

Severity = Literal["error", "note"]

RESTORE: Final = "restore the database from a backup, or score the batch's file into an empty one"
BY_HAND: Final = "somebody changed the database by hand, or this is a bug: " + RESTORE


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A broken invariant, or something that needs attention."""

    severity: Severity
    """``error``: the stored data cannot be relied on. ``note``: somebody should look at it."""
    subject: str
    """The batch, model version or file concerned."""
    problem: str
    advice: str


@dataclass(frozen=True)
class Invariant:
    """A condition on the tables, and the query that finds what breaks it."""

    name: str
    problem: str
    """The message; ``{0}``, ``{1}`` ... stand for the columns of the query after the first."""
    query: str
    """Returns one row for each violation. The first column is the subject of the problem. The query
    may read ``counted``, see ``tables.WITH_COUNTED``."""
    advice: str = BY_HAND
    dialect: str | None = None
    """The only database that it applies to; None for both."""


def reference_invariants() -> Iterator[Invariant]:
    """Yield an invariant for each foreign key: PostgreSQL may restore a dump without checks."""
    for table in metadata.sorted_tables:
        for reference in sorted(table.foreign_key_constraints, key=lambda one: str(one.name)):
            yield _reference(table, reference)


def _reference(table: Table, reference: ForeignKeyConstraint) -> Invariant:
    names = [column.name for column in reference.columns]
    targets = [element.column.name for element in reference.elements]
    parent = reference.referred_table.name
    key = " || '/' || ".join(f"c.{column.name}" for column in table.primary_key)
    value = " || '/' || ".join(f"c.{name}" for name in names)
    match = " AND ".join(f"p.{ours} = c.{one}" for one, ours in zip(names, targets, strict=True))
    return Invariant(
        str(reference.name),
        f"its {', '.join(names)} {{0}} is not in {parent}",
        # Only names of our own schema.
        f"SELECT '{table.name} ' || {key}, {value} FROM {table.name} AS c"  # noqa: S608 - see above
        f" WHERE c.{names[0]} IS NOT NULL"
        f" AND NOT EXISTS (SELECT 1 FROM {parent} AS p WHERE {match})",
    )


def json_invariants() -> Iterator[Invariant]:
    """Yield an invariant for each JSON column: one malformed value makes a whole view fail."""
    for table in metadata.sorted_tables:
        key = " || '/' || ".join(f"c.{column.name}" for column in table.primary_key)
        for column in table.columns:
            if isinstance(column.type, JSON):
                yield Invariant(
                    f"JSON of {table.name}.{column.name}",
                    f"its {column.name} ({{0}} characters) is not JSON",
                    f"SELECT '{table.name} ' || {key}, length(c.{column.name})"  # noqa: S608 - as above
                    f" FROM {table.name} AS c WHERE c.{column.name} IS NOT NULL"
                    f" AND NOT json_valid(c.{column.name})",
                    dialect="sqlite",  # PostgreSQL accepts only JSON
                )
