"""Bulk writes: inserts whole frames into a table, inside the caller's transaction.

Belongs here: inserting a frame the fastest way each driver has, and reading Parquet in slices. Does
not belong here: which rows go into which table (``batches``, ``scorings``).

Both databases store the same values: text has no NUL (``storage.text``), and NaN becomes null,
because SQLite has no NaN. A column that may not be null refuses it on both.
"""

from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any, Final, cast

import polars as pl
import psycopg
from sqlalchemy import JSON, Connection, Table

from storage.text import ESCAPED_NUL, NUL, storable_json

SLICE_ROWS: Final = 50_000
"""Rows read at a time, and passed to COPY at a time. Larger values are not faster (measured). A
file whose row groups have this size is decoded once, any other once for each slice."""

TUPLE_ROWS: Final = 10_000
"""Rows converted to Python tuples at a time. Measured: a tenth faster than 50,000, and flagged
records of 900 bytes take 12 MB instead of 60."""

STATEMENT_ROWS: Final = 50
"""Rows of one INSERT on SQLite. Measured on a million predictions: 2.2 CPU s with one row per
statement, 1.15 with 20 to 500."""


def read_slices(path: Path, rows: int = SLICE_ROWS) -> Iterator[pl.DataFrame]:
    """Read a Parquet file in slices, in order, so that it is never in memory as a whole.

    A slice has at most ``rows`` rows.

    Yields:
        Frames with the file's columns; none for a file without rows.
    """
    # Measured on 2.7 M records of 900 bytes: 260 MB with slices of a scan, 1,170 MB and growing
    # with polars' own batches.
    scan = pl.scan_parquet(path, glob=False)
    for offset in count(0, rows):
        frame = scan.slice(offset, rows).collect()
        if frame.is_empty():
            return
        yield frame


def insert_frame(connection: Connection, table: Table, frame: pl.DataFrame) -> int:
    """Insert a frame's rows into a table; return their number.

    It uses the driver's ``executemany`` on SQLite and ``COPY`` through psycopg on PostgreSQL, both
    within the connection's transaction. After an error, part of the frame is in the transaction, so
    the caller must roll it back. ``frame`` has any subset of columns that the table accepts, under
    their names in the table: JSON text for a JSON column, Date for a date column.
    """
    if frame.is_empty():
        return 0
    storable = _storable(frame, table)
    if connection.dialect.name == "sqlite":
        _execute_many(connection, table, storable)
    else:
        _copy(connection, table, storable)
    return frame.height


def _storable(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Convert values that one of the databases would refuse."""
    columns: list[pl.Expr] = []
    for name, dtype in frame.schema.items():
        column = pl.col(name)
        if isinstance(table.c[name].type, JSON):
            if frame.get_column(name).str.contains(r"\u0000", literal=True).any():
                column = column.map_elements(storable_json, return_dtype=pl.String)
        elif dtype == pl.String:
            column = column.str.replace_all(NUL, ESCAPED_NUL, literal=True)
        elif dtype.is_float():
            column = column.fill_nan(None)
        columns.append(column)
    return frame.select(columns)


def _execute_many(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    """Insert through the driver's ``executemany``, with many rows in each statement."""
    names = ", ".join(f'"{name}"' for name in frame.columns)
    places = f"({', '.join('?' * frame.width)})"
    dates = frame.with_columns(pl.selectors.date().dt.to_string("%Y-%m-%d"))
    for part in dates.iter_slices(TUPLE_ROWS):
        rows = part.rows()
        whole = len(rows) - len(rows) % STATEMENT_ROWS
        for many, group in ((STATEMENT_ROWS, rows[:whole]), (1, rows[whole:])):
            values = ", ".join([places] * many)
            # An error ends the transaction, so OR FAIL spares the journal that undoes half a
            # statement (a third of the time, measured). Names are of our schema; values are bound.
            statement = f'INSERT OR FAIL INTO "{table.name}" ({names}) VALUES {values}'  # noqa: S608 - see above
            flat = [
                tuple(chain.from_iterable(group[first : first + many]))
                for first in range(0, len(group), many)
            ]
            if flat:
                connection.exec_driver_sql(statement, cast("Any", flat))


def _copy(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    """Insert through ``COPY`` as CSV, in which quotes tell empty text from null."""
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    names = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, frame.columns))
    statement = psycopg.sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        psycopg.sql.Identifier(table.name), names
    )
    binary = [name for name, dtype in frame.schema.items() if dtype == pl.Binary]
    text = frame.with_columns(
        (pl.lit("\\x") + pl.col(name).bin.encode("hex")).alias(name) for name in binary
    )
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for part in text.iter_slices(SLICE_ROWS):
            copy.write(part.write_csv(include_header=False).encode())
