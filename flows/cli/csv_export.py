"""Rows as CSV by RFC 4180, for spreadsheets and scripts.

Belongs here: the form of a cell. Does not belong here: which rows and columns
(``flows.cli.views``).

A spreadsheet takes a cell that begins with ``=`` for a formula, and formulas run programs. Values
come from files that others wrote; so a text that could be taken for one begins with a single quote
instead, which a spreadsheet reads as "this is text". Every text is quoted, so that none of it
becomes a cell of its own where another separator than the comma is expected. Numbers are written
as numbers.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from storage.text import printable

_FORMULA = re.compile(r"""[\t\r\n]|[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20]""")
"""How a text begins that may be taken for a formula: OWASP's "CSV Injection", with the four signs
in full width, of which some spreadsheets make the usual ones."""


def render_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Render rows as CSV, each on one line of text, below a line of the column names.

    Args:
        rows: values by column: texts, numbers, dates, None, and what JSON columns hold.
        columns: the columns written, in order.

    Returns:
        Lines that end with CR and LF. Nothing in them is a formula, or obeyed by a terminal.
    """
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> str | int | float | None:
    """Return what is written of a value."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, date):  # or a time
        return value.isoformat()
    if isinstance(value, str):
        return _plain_text(value)
    return _json_text(value)


def _plain_text(text: str) -> str:
    """Return a text as a cell that is no formula, on one line and printable."""
    shown = printable(text, limit=len(text))
    return f"'{shown}" if _FORMULA.match(text) else shown


def _json_text(value: object) -> str:
    """Serialise a list or an object on one line; what is not printable as JSON escapes it."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
