"""What a command says in lines of text or in JSON, whatever it quotes.

Belongs here: the only two ways to print beside a table (``flows.tables``). Nothing heavy is
imported: the command line has its errors from here.
"""

import typer

from storage.text import printable, printable_json


def say(text: str, *, is_error: bool = False) -> None:
    """Print one line: what a terminal would obey is written out, and a very long text is cut."""
    typer.echo(printable(text), err=is_error)


def print_json(value: object) -> None:
    """Print a value, whole, for a machine to read."""
    typer.echo(printable_json(value))
