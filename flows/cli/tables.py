"""Rows as a table on a terminal.

Belongs here: tables, headings and the form of a cell. Does not belong here: which rows and columns
(``flows.cli.views``, ``flows.cli.outcomes``, ``flows.cli.evaluations``).
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.rule import Rule
from rich.table import Column, Table
from rich.text import Text

from flows.cli.printing import say
from storage.text import printable
from tasks.wording import ID_DIGITS

PIPE_WIDTH: Final = 10_000
"""Characters of a line where the output is not a terminal: each row stays on one line, for
``grep``."""
HEADING_WIDTH: Final = 100
"""Characters of a heading where the output is not a terminal."""
FOLDED_WIDTH: Final = 24
"""Characters to which a longer cell may be folded. A guess: three or four words."""
NEARLY_ONE: Final = 0.9995
"""A ratio from here on would look like 1 with four digits, so it gets five."""
ALMOST_ONE: Final = 0.99999
"""The figure that is shown for every ratio between this one and 1."""


def show_heading(title: str) -> None:
    """Print a title within a line across the terminal."""
    out = _console()
    width = out.width if sys.stdout.isatty() else HEADING_WIDTH
    out.print(Rule(Text(printable(title))), width=width)


def show_rows(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    *,
    empty: str = "",
    title: str = "",
) -> None:
    """Print rows as a table; on a terminal too narrow for it, as a list of their cells.

    Args:
        rows: one mapping a row.
        columns: the keys that are shown, in order; those of the first row if None.
        empty: the line that is printed where there are no rows; no line if empty.
        title: the line above the table.
    """
    if not rows:
        if empty:
            say(empty)
        return
    columns = columns or list(rows[0])
    cells = [[_make_cell(column, row.get(column)) for column in columns] for row in rows]
    if title:
        say(title)
    is_wide = sys.stdout.isatty() and _least_width(columns, cells) > _console().width
    _console().print(_list_cells(columns, cells) if is_wide else _align(rows[0], columns, cells))


def _least_width(columns: Sequence[str], cells: Sequence[Sequence[Text]]) -> int:
    """Return the least characters of a line in which a table of these cells can be read."""
    widths = [
        min(FOLDED_WIDTH, max(len(word) for word in [*column.split("_"), *map(str, values)]))
        for column, *values in zip(columns, *cells, strict=True)
    ]
    return sum(widths) + 3 * len(widths) + 1  # a space on each side of a cell, and a line


def _list_cells(columns: Sequence[str], cells: Sequence[Sequence[Text]]) -> Table:
    """Return a table with a line for each cell, for rows that are wider than the terminal."""
    table = Table("column", Column("value", overflow="fold"), header_style="bold")
    for row in cells:
        for column, cell in zip(columns, row, strict=True):
            table.add_row(column.replace("_", " "), cell)
        table.add_section()
    return table


def _align(
    first: Mapping[str, Any], columns: Sequence[str], cells: Sequence[Sequence[Text]]
) -> Table:
    """Return a table with a line for each row; ``first`` says which columns hold numbers."""
    table = Table(header_style="bold")
    for column in columns:
        is_number = isinstance(first.get(column), int | float)
        # A number is never folded: on a terminal its heading is folded instead.
        is_stacked = is_number and sys.stdout.isatty()
        table.add_column(
            column.replace("_", "\n" if is_stacked else " "),
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number,
        )
    for row in cells:
        table.add_row(*row)
    return table


def ratio_text(value: float | None) -> str:
    """Return a figure with four digits, or with five where four would show 1."""
    if value is None:
        return "-"
    if NEARLY_ONE <= value < 1:
        return f"{min(value, ALMOST_ONE):.5f}"
    return f"{value:.4g}" if abs(value) < 1 else f"{value:,.3f}"


def _console() -> Console:
    """Return a console on standard output, as wide as the terminal, or as a pipe needs."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def _make_cell(column: str, value: object) -> Text:
    """Return the text of a cell; a value from outside brings no markup or control characters."""
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, int):
        text = f"{value:,}" if column.startswith("rows") else str(value)
    elif isinstance(value, float):
        text = ratio_text(value)
    elif isinstance(value, tuple | list):
        text = " to ".join(ratio_text(one) for one in value)
    elif isinstance(value, datetime):
        text = f"{value:%Y-%m-%d %H:%M:%S}"
    else:
        text = str(value)
    if column == "batch_id":
        text = text[:ID_DIGITS]
    return Text(printable(text))
