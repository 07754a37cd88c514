"""What a command says in lines of text, in JSON or in CSV, whatever it quotes.

Belongs here: the only three ways to print beside a table (``flows.cli.tables``). Nothing heavy is
imported: the command line has its errors from here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from flows.cli.csv_export import render_csv
from storage.text import printable, printable_json


def say(text: str, *, is_error: bool = False) -> None:
    """Print one line: what a terminal would obey is written out, and a very long text is cut."""
    typer.echo(printable(text), err=is_error)


def print_json(value: object) -> None:
    """Print a value, whole, for a machine to read."""
    typer.echo(printable_json(value))


def print_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows, whole, for a spreadsheet or a script."""
    typer.echo(render_csv(rows, columns), nl=False)
