"""The three ways in which a command prints: a line of text, JSON, or CSV.

Belongs here: making safe what is printed, whatever it quotes. Does not belong here: tables
(``flows.cli.tables``). Nothing heavy is imported: every error of a command is printed from here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from flows.cli.csv_export import render_csv
from storage.text import printable, printable_json


def say(text: str, *, is_error: bool = False) -> None:
    """Print one line. Control characters are written as escapes, and a very long text is cut."""
    typer.echo(printable(text), err=is_error)


def print_json(value: object) -> None:
    """Print a whole value as JSON, for a program."""
    typer.echo(printable_json(value))


def print_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print whole rows as CSV, for a spreadsheet or a program."""
    typer.echo(render_csv(rows, columns), nl=False)
