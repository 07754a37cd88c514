"""The ``noctule`` command.

Belongs here: commands and options, what they print, how errors end them, and the work that only a
command does. Does not belong here: flows, and what flows share; these never import this package.
"""

from flows.cli.commands import main

__all__ = ["main"]
