"""Templates of the pages that people read: rendered whole, everything from a file escaped.

Belongs here: how a template is opened. Does not belong here: what any page shows.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


def open_template(name: str) -> "Template":
    """Open a template of a room; a value that it lacks is an error, not a blank.

    Args:
        name: the room's, and the file's: ``study/page.html``.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
