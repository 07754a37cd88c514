"""Damage to tables, before they are written as Parquet.

Belongs here: one function for each kind of damage to a table, and the strategy that combines
several. Does not belong here: how Parquet is written, or damage to its bytes (see ``cases``).
"""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, Final

import polars as pl
from hypothesis import strategies as st

from tests.support.damaged_files.hostile_values import HOSTILE_CELLS, HOSTILE_NAMES
from tests.support.damaged_files.originals import Original, Slice, slices
from tests.support.damaged_files.text_damage import draw_kinds
from tests.support.sources import NSL_KDD

Damage = Callable[[st.DrawFn, pl.DataFrame], pl.DataFrame]

COLUMN_TYPES: Final = (
    pl.String(), pl.Int64(), pl.Float64(), pl.Int8(), pl.UInt64(), pl.Float32(), pl.Boolean(),
    pl.Categorical(), pl.Decimal(30, 2), pl.Date(), pl.Datetime("us", "UTC"),
    pl.Duration("us"), pl.Time(), pl.Binary(), pl.List(pl.Int64()), pl.Array(pl.Int64(), 2),
    pl.Struct({"a": pl.Int64()}), pl.Null(),
)  # fmt: skip
"""The types that other writers have too. Arrow, and so our reader, has no Int128."""

_SAMPLES: Final[Mapping[type[pl.DataType], Any]] = {
    pl.Boolean: True,
    pl.Null: None,
    pl.Date: date(2026, 11, 1),
    pl.Datetime: date(2026, 11, 1),
    pl.Duration: timedelta(seconds=1),
    pl.Time: pl.time(4, 30),
    pl.Binary: b"\xff\x00",
    pl.List: [1, 2],
    pl.Array: [1, 2],
    pl.Struct: pl.struct(a=pl.lit(1)),
}
"""A value of each type to which text cannot be cast."""

MOST_DAMAGES: Final = 3
"""Most damages of one table. A guess, as for a text."""


@st.composite
def damaged_tables(
    draw: st.DrawFn, originals: tuple[Original, ...], kind: str | None = None
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Draw a table, and the kinds of its damage."""
    frame = _read_slice(draw(slices(originals)))
    if draw(st.booleans()):
        frame = _infer_types(frame)
    names = draw(draw_kinds(DAMAGES, MOST_DAMAGES, kind))
    for name in names:
        frame = DAMAGES[name](draw, frame)
    return frame, names


def _read_slice(original: Slice) -> pl.DataFrame:
    """Return a slice as a table of text columns."""
    rows = [line.decode().split(",") for line in original.rows]
    if original.header is not None:
        names = original.header.decode().split(",")
    else:
        names = next(list(known) for known in NSL_KDD.form.orders if len(known) == len(rows[0]))
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def _infer_types(frame: pl.DataFrame) -> pl.DataFrame:
    """Cast each column to the narrowest type that fits all its texts."""
    columns = []
    for column in frame:
        casts = [column.cast(dtype, strict=False) for dtype in (pl.Int64, pl.Float64, pl.String)]
        columns.append(next(cast for cast in casts if not cast.null_count()))
    return pl.DataFrame(columns)


def replace_cell(draw: st.DrawFn, frame: pl.DataFrame) -> pl.DataFrame:
    """Put a hostile value into a cell; its column becomes text."""
    column = _as_text(_draw_column(draw, frame))
    return _with_cell(draw, frame, column, draw(_texts(HOSTILE_CELLS)))


def empty_cell(draw: st.DrawFn, frame: pl.DataFrame) -> pl.DataFrame:
    """Make a cell null."""
    return _with_cell(draw, frame, _draw_column(draw, frame), None)


def add_table_column(draw: st.DrawFn, frame: pl.DataFrame) -> pl.DataFrame:
    """Add a column of any type under a hostile name."""
    name, dtype = draw(_texts(HOSTILE_NAMES)), draw(st.sampled_from(COLUMN_TYPES))
    if name in frame.columns:
        return frame
    made = _of_type(pl.Series(name, ["1"] * frame.height), dtype)
    return frame.insert_column(draw(st.integers(0, frame.width)), made)


def drop_table_column(draw: st.DrawFn, frame: pl.DataFrame) -> pl.DataFrame:
    """Drop a column."""
    at = draw(st.integers(0, frame.width - 1))  # a name may be a pattern to polars
    kept = [column for index, column in enumerate(frame) if index != at]
    return pl.DataFrame(kept) if kept else frame


def rename_table_column(draw: st.DrawFn, frame: pl.DataFrame) -> pl.DataFrame:
    """Rename a column."""
    name, at = draw(_texts(HOSTILE_NAMES)), draw(st.integers(0, frame.width - 1))
    if name in frame.columns:
        return frame
    return pl.DataFrame([c.alias(name) if i == at else c for i, c in enumerate(frame)])


def reorder_table_columns(draw: st.DrawFn, frame: pl.DataFrame) -> pl.DataFrame:
    """Reorder the columns."""
    turn = draw(st.integers(1, frame.width))
    columns = frame.get_columns()
    return pl.DataFrame(columns[turn:] + columns[:turn])


def change_type(draw: st.DrawFn, frame: pl.DataFrame) -> pl.DataFrame:
    """Cast a column to another type."""
    column = _draw_column(draw, frame)
    changed = _of_type(column, draw(st.sampled_from(COLUMN_TYPES)))
    return frame.replace_column(frame.get_column_index(column.name), changed)


DAMAGES: Final[Mapping[str, Damage]] = {
    "table cells replaced": replace_cell,
    "table cells emptied": empty_cell,
    "table columns added": add_table_column,
    "table columns dropped": drop_table_column,
    "table columns renamed": rename_table_column,
    "table columns reordered": reorder_table_columns,
    "table columns of another type": change_type,
}
"""Each kind of damage, by the name under which it is counted."""


def _texts(values: tuple[bytes, ...]) -> st.SearchStrategy[str]:
    """Draw one of the values, as text."""
    return st.sampled_from(values).map(lambda value: value.decode(errors="replace"))


def _draw_column(draw: st.DrawFn, frame: pl.DataFrame) -> pl.Series:
    return frame.to_series(draw(st.integers(0, frame.width - 1)))


def _with_cell(
    draw: st.DrawFn, frame: pl.DataFrame, column: pl.Series, value: str | None
) -> pl.DataFrame:
    """Replace one cell of a column."""
    at = draw(st.integers(0, frame.height - 1))
    cells = column.to_list()
    cells[at] = value
    made = pl.Series(column.name, cells, column.dtype)
    index = frame.get_column_index(column.name)
    return frame.replace_column(index, made)


def _of_type(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return a column in another type, with nulls where the values do not fit."""
    if type(dtype) in _SAMPLES:
        sample = _SAMPLES[type(dtype)]
        value = sample if isinstance(sample, pl.Expr) else pl.lit(sample)
        repeated = pl.select(pl.repeat(value.cast(dtype), len(column)))
        return repeated.to_series().alias(column.name)
    return _as_text(column).cast(dtype, strict=False)


def _as_text(column: pl.Series) -> pl.Series:
    """Return a column as text; if its type has no text form, every value is 1."""
    if column.dtype.is_numeric() or column.dtype == pl.String:
        return column.cast(pl.String)
    return pl.Series(column.name, ["1"] * len(column))
