"""Parquet files as records: streamed in slices, cast to the contract's types.

Belongs here: what is particular to Parquet. Does not belong here: what makes a cell bad
(``tasks.cells``). A Parquet file has no lines: a record's line number is its row number, and its
raw form is the record rendered as a line of CSV.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

import polars as pl

from expectations.contract import Contract
from expectations.errors import InputRejectedError
from tasks.cells import cast_cells, find_bad_cells
from tasks.csv_blocks import ParsedRows
from tasks.layout import Layout, arrange_columns
from tasks.quarantine import QUARANTINE_SCHEMA

FEWEST_CELL_BYTES = 2
"""What a cell takes as text at the least: a digit and a separator."""


def read_layout(source: Path, contract: Contract, limit_bytes: int) -> Layout:
    """Match a Parquet file's columns with the declared ones.

    Args:
        source: the file.
        contract: the declared columns.
        limit_bytes: largest content; equal values take next to no room in Parquet, so its records
            are counted as text of the fewest bytes that can hold them.

    Raises:
        InputRejectedError: damaged, too large, or a feature absent.
    """
    names = read_names(source)
    if count_records(source) * len(names) * FEWEST_CELL_BYTES > limit_bytes:
        message = (
            f"Cannot read {source}: its records hold more than {limit_bytes:,} bytes, the limit"
            " that NOCTULE_MAX_FILE_BYTES sets. None of it is stored. Deliver it in parts; or, if"
            " it is what it should be, raise the limit and replay the batch."
        )
        raise InputRejectedError(message)
    return arrange_columns(names, contract, source, header_line=0)


def read_names(source: Path) -> tuple[str, ...]:
    """Return the names of a Parquet file's columns, in order.

    Raises:
        InputRejectedError: damaged.
    """
    try:
        return tuple(pl.scan_parquet(source, glob=False).collect_schema().names())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _refuse(source, error) from error


def count_records(source: Path) -> int:
    """Return the number of records of a Parquet file.

    Raises:
        InputRejectedError: damaged.
    """
    try:
        count: int = pl.scan_parquet(source, glob=False).select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _refuse(source, error) from error
    return count


def parse_records(source: Path, layout: Layout, slice_rows: int) -> Iterator[ParsedRows]:
    """Yield a Parquet file's records, ``slice_rows`` at a time, parsed or not.

    Raises:
        InputRejectedError: damaged, or a column of a type that cannot hold the declared one.
    """
    names = [column.name for column in layout.columns]
    records = pl.scan_parquet(source, glob=False)
    first = 0
    while True:
        try:
            cells = records.select(names).slice(first, slice_rows).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _refuse(source, error) from error
        if cells.is_empty():
            return
        values = cast_cells(cells, layout.columns, str(source))
        reasons = find_bad_cells(cells, values, layout.columns)
        numbers = pl.int_range(first + 1, first + 1 + cells.height, dtype=pl.Int64, eager=True)
        numbered = pl.DataFrame({"row_number": numbers, "line_number": numbers}).hstack(values)
        unparsed = pl.DataFrame(schema=QUARANTINE_SCHEMA)
        if reasons:
            bad = list(reasons)
            raw = records.slice(first, slice_rows).collect()[bad]
            unparsed = pl.DataFrame(
                {
                    "row_number": numbers[bad],
                    "line_number": numbers[bad],
                    "stage": ["ingest"] * len(bad),
                    "reasons": list(reasons.values()),
                    "raw": render_lines(raw),
                },
                schema=QUARANTINE_SCHEMA,
            )
            numbered = numbered.filter(~numbers.is_in(numbers[bad].implode()))
        yield ParsedRows(numbered, unparsed)
        first += slice_rows


def read_rendered(source: Path, row_numbers: Collection[int]) -> dict[int, bytes]:
    """Render some records of a Parquet file as lines of CSV.

    Args:
        source: a Parquet file.
        row_numbers: from 1; those beyond the file are ignored.
    """
    wanted = pl.Series(sorted(row_numbers), dtype=pl.Int64)
    records = (
        pl.scan_parquet(source, glob=False)
        .with_row_index("row_index")
        .filter((pl.col("row_index").cast(pl.Int64) + 1).is_in(wanted.implode()))
    )
    try:
        found = records.collect(engine="streaming").sort("row_index")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _refuse(source, error) from error
    lines = render_lines(found.drop("row_index"))
    return dict(zip((found["row_index"].cast(pl.Int64) + 1).to_list(), lines, strict=True))


def render_lines(records: pl.DataFrame) -> list[bytes]:
    """Render records as lines of CSV, quoted where RFC 4180 asks for it.

    Columns that have no text form (lists, structs, bytes) are rendered as empty fields.
    """
    fields = []
    for name, dtype in records.schema.items():
        if dtype.is_nested() or dtype == pl.Binary:
            fields.append(pl.lit(""))
            continue
        text = pl.col(name).cast(pl.String).fill_null("")
        quoted = pl.format('"{}"', text.str.replace_all('"', '""', literal=True))
        fields.append(pl.when(text.str.contains('[",\r\n]')).then(quoted).otherwise(text))
    lines = records.select(pl.concat_str(fields, separator=",").cast(pl.Binary)).to_series()
    rendered: list[bytes] = lines.to_list()
    return rendered


def _refuse(source: Path, error: Exception) -> InputRejectedError:
    """Say that a Parquet file cannot be read."""
    first_line = str(error).partition("\n")[0]
    return InputRejectedError(
        f"Cannot read {source}: it begins as Parquet but cannot be read as such ({first_line})."
        " None of it is stored. Deliver the whole file again."
    )
