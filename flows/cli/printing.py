"""The three ways in which a command prints: a line of text, JSON, or CSV.

Belongs here: making all printed text safe, also text of files. Does not belong here: tables
(``flows.cli.tables``). Nothing heavy is imported: every error of a command is printed from here.

CSV is that of RFC 4180. A spreadsheet reads a cell that begins with ``=`` as a formula, and a
formula can run programs. Values come from files that other people wrote. So a text that looks like
a formula gets a single quote in front, which a spreadsheet reads as "this is text". Every text is
in double quotes, so that it stays one cell where a spreadsheet expects another separator than the
comma. Numbers are written as numbers.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import typer

from storage.text import printable, printable_json

_FORMULA = re.compile(r"""[\t\r\n]|[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20]""")
"""The beginning of a text that may be read as a formula: from OWASP's "CSV Injection", and the four
signs in full width, which some spreadsheets turn into the usual ones."""


def say(text: str, *, is_error: bool = False) -> None:
    """Print one line. Control characters are written as escapes, and a very long text is cut."""
    typer.echo(printable(text), err=is_error)


def print_json(value: object) -> None:
    """Print a whole value as JSON, for a program."""
    typer.echo(printable_json(value))


def print_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print whole rows as CSV, for a spreadsheet or a program."""
    typer.echo(render_csv(rows, columns), nl=False)


def render_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV: a line of column names, then a line for each row.

    Args:
        rows: values by column: texts, numbers, dates, None, lists and objects.
        columns: the columns that are written, in order.

    Returns:
        Lines that end with CR and LF. They hold no formula and no control character.
    """
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> str | int | float | None:
    """Return a value as it is written."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    if isinstance(value, str):
        return _plain_text(value)
    return _json_text(value)


def _plain_text(text: str) -> str:
    """Return a text on one printable line that no spreadsheet reads as a formula."""
    shown = printable(text, limit=len(text))
    return f"'{shown}" if _FORMULA.match(text) else shown


def _json_text(value: object) -> str:
    """Return a list or an object as JSON on one line, with unprintable characters escaped."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
