"""Records of Parquet as lines of text, in the form of their contract.

Belongs here: what a record is where other files have a line, as the raw form of a quarantined row
and in a replay, which must read it as it read the record. Does not belong here: parsing records
(``tasks.intake.parquet_records``).
"""

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from expectations.contract import Column
from tasks.intake.layout import Layout
from tasks.intake.lines import LINE_BYTES
from tasks.intake.parquet_files import Field, check_pages, read_encodings, read_footer, refusing
from tasks.intake.quarantine import HELD_BYTES

if TYPE_CHECKING:
    from polars._typing import PolarsDataType

MOST_NUMBER_BYTES: Final = 48
"""Most bytes of a cell that is no text: a decimal of 38 digits, its sign, its point and a
separator, rounded up."""
MOST_DECIMAL_DIGITS: Final = 38
"""Most digits of a decimal that polars (2.1) casts."""
NO_DECIMALS: Final = frozenset({"DELTA_BYTE_ARRAY", "BYTE_STREAM_SPLIT"})
"""The encodings of bytes of a fixed length, as decimals are, that polars (2.1) does not decode."""

_ISO = "%Y-%m-%dT%H:%M:%S%.6f"
_EPOCHS: Final[Mapping[str, int]] = {
    "epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1, "epoch_ns": 1,
}  # fmt: skip
"""Microseconds in the units of times since 1970; nanoseconds are made from microseconds."""


def read_rendered(
    source: Path,
    row_numbers: Collection[int],
    line_bytes: int = LINE_BYTES,
    layout: Layout | None = None,
) -> dict[int, bytes]:
    """Return some records of a Parquet file as lines, by row number from 1, ascending.

    Numbers beyond the file are ignored. A line longer than ``line_bytes`` is cut to one byte more,
    by which it is recognised. Without a layout, the lines are CSV of all columns.

    Raises:
        InputRejectedError: damaged.
    """
    footer = read_footer(source)
    layout = layout or Layout((), (), footer.names, (), 0)
    held_rows = check_pages(source, name_nested(footer.fields, layout.positions))
    count = footer.records
    wanted = sorted(row for row in row_numbers if row <= count)
    rendered: dict[int, bytes] = {}
    for first in range(0, count, held_rows):
        rows = wanted[bisect_right(wanted, first) : bisect_right(wanted, first + held_rows)]
        if rows:
            with refusing(source, is_whole=True):
                held = select_places(source, layout).slice(first, held_rows).collect()
            found = held[[row - first - 1 for row in rows]]
            lines = (line for some in render(found, layout, line_bytes) for line in some)
            rendered |= zip(rows, lines, strict=True)
    return rendered


def name_nested(fields: Sequence[Field], places: Collection[int]) -> list[str]:
    """Return the names of those of some fields, by their places, that are not flat."""
    return [fields[place].name for place in places if not fields[place].is_flat]


def select_field(field: Field) -> pl.Expr:
    """Return the values of a field."""
    first, *others = field.path
    values = pl.nth(first)
    for place in others:
        values = values.struct[place]
    return values


def text_size(name: str, dtype: pl.DataType) -> pl.Expr | None:
    """Return the size of a column's texts, without making them; None if it has no text."""
    if isinstance(dtype, pl.List):
        texts = pl.element().str.len_bytes().cast(pl.Int64)
        return pl.col(name).list.eval(texts).list.sum()
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return pl.col(name).cat.len_bytes().cast(pl.Int64)
    return pl.col(name).str.len_bytes().cast(pl.Int64) if dtype == pl.String else None


def select_places(source: Path, layout: Layout) -> pl.LazyFrame:
    """Return the fields that have a text form, named by their places.

    Of those that are not flat, only the layout's columns are returned. Structs, lists of lists and
    bytes have no such form. Names in a file may be patterns to polars, or names of ours. A decimal
    that polars (2.1) does not decode is left out too.
    """
    records = pl.scan_parquet(source, glob=False)
    fields = {
        str(place): field
        for place, field in enumerate(read_footer(source).fields)
        if field.is_flat or place in layout.positions
    }
    encodings = read_encodings(source, {field.name for field in fields.values()})
    chosen = records.select(select_field(field).alias(name) for name, field in fields.items())
    declared = _declare(layout)
    columns = []
    for name, dtype in chosen.collect_schema().items():
        field = fields[name]
        column = select_field(field)
        held: PolarsDataType = dtype
        if isinstance(dtype, pl.Extension):
            column, held = column.ext.storage(), dtype.ext_storage()
        elif isinstance(dtype, pl.List) and not dtype.inner.is_nested():
            between = declared[name].separator if name in declared else ","
            column, held = column.cast(pl.List(pl.String)).list.join(between), pl.String()
        is_unread = isinstance(held, pl.Decimal) and (
            held.precision > MOST_DECIMAL_DIGITS
            or encodings.get(field.name, frozenset()) & NO_DECIMALS
        )
        if not (held.is_nested() or held == pl.Binary or is_unread):
            columns.append(column.alias(name))
    return records.select(columns)


def render(records: pl.DataFrame, layout: Layout, line_bytes: int) -> Iterator[list[bytes]]:
    """Yield records of ``select_places`` as lines in the form of the contract.

    A field without values is empty. As many lines as can be held together are yielded at once.
    """
    most = line_bytes + 1
    declared = _declare(layout)
    texts: dict[int, pl.Expr] = {}
    longest = 0
    for name, dtype in records.schema.items():
        size = text_size(name, dtype)
        cell = pl.col(name)
        if size is not None:
            longest += min(records.select(size.max()).item() or 0, most)
            cell = cell.str.head(most) if dtype == pl.String else cell.cat.slice(0, most)
        elif dtype.is_temporal():
            cell = _write_temporal(cell, dtype, declared.get(name))
        texts[int(name)] = cell.cast(pl.String)
    longest += MOST_NUMBER_BYTES * max(1, layout.width)
    write = _write_json if layout.form.kind == "json" else _write_fields
    line = write(texts, layout).cast(pl.Binary).bin.head(most)
    for some in records.iter_slices(max(1, HELD_BYTES // longest)):
        yield some.select(line).to_series().to_list()


def _declare(layout: Layout) -> Mapping[str, Column]:
    """Return the columns of a layout by their places, as ``select_places`` writes them."""
    return dict(zip(map(str, layout.positions), layout.columns, strict=True))


def _write_fields(texts: Mapping[int, pl.Expr], layout: Layout) -> pl.Expr:
    """Return a line of fields, which are quoted where RFC 4180 requires it."""
    form, separator = layout.form, layout.form.separators[0]
    between = "\t" if separator == "blanks" else separator
    special = rf'["\r\n{_escape(between)}]' + (r"|^$| " if separator == "blanks" else "")
    fields = []
    for place in range(layout.width):
        text = texts.get(place, pl.lit(None, pl.String)).fill_null("")
        if form.has_quotes:
            quoted = pl.format('"{}"', text.str.replace_all('"', '""', literal=True))
            text = pl.when(text.str.contains(special)).then(quoted).otherwise(text)
        fields.append(text)
    return pl.concat_str(fields, separator=between)


def _escape(separator: str) -> str:
    """Return a separator as part of a class of characters in a pattern."""
    return f"\\x{ord(separator):02x}"


def _write_json(texts: Mapping[int, pl.Expr], layout: Layout) -> pl.Expr:
    """Return a JSON object of texts, with nulls left as they are."""
    by_name = {layout.names[place]: text for place, text in texts.items()}
    return pl.struct(text.alias(name) for name, text in by_name.items()).struct.json_encode()


def _write_temporal(cell: pl.Expr, held: pl.DataType, column: Column | None) -> pl.Expr:
    """Return a date, a time or a length of time as the contract's files write it."""
    if isinstance(held, pl.Duration):
        # polars (2.1) casts it to no text.
        seconds = cell.dt.total_microseconds() / 1e6
        return cell.dt.to_string("iso") if column is None else seconds / column.scale
    if isinstance(held, pl.Time) or column is None:
        return cell
    form = next(iter(column.formats), "iso")
    moment = cell.cast(pl.Datetime("us", getattr(held, "time_zone", None)))
    is_local = getattr(held, "time_zone", None) is None
    if form in _EPOCHS:
        micros = moment.dt.epoch("us")
        if form == "epoch_ns":
            return micros * 1_000
        return micros if _EPOCHS[form] == 1 else micros / _EPOCHS[form]
    if form == "iso":
        return moment.dt.to_string(_ISO if is_local else f"{_ISO}%:z")
    local = moment if is_local else moment.dt.convert_time_zone(column.zone)
    return local.dt.to_string(form)
