"""The commands of ``noctule`` as a test sees them."""

from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from flows.cli.commands import app


def find_commands() -> dict[tuple[str, ...], TyperCommand]:
    """Return every command by the words that follow ``noctule``."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return _find_in(group)


def _find_in(group: TyperGroup, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], TyperCommand]:
    """Return every command of a group and of the groups in it."""
    found: dict[tuple[str, ...], TyperCommand] = {}
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            found |= _find_in(command, (*path, name))
        elif isinstance(command, TyperCommand):
            found[*path, name] = command
    return found
