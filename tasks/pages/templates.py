"""Open a room's Jinja template, with the filters that all templates share.

Belongs here: the environment, and how templates write numbers. Does not belong here: what a page
shows, or how Markdown is escaped (``tasks.reporting.markdown``).
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment, Template

MISSING: Final = Markup("-")
"""The text for a number that is not defined: markup, so that Markdown does not escape it."""


def open_template(name: str, finalize: Callable[[Any], Any] | None = None) -> "Template":
    """Open a template that escapes every value and fails on a value that is missing.

    Args:
        name: the room and the file, such as ``study/page.html``.
        finalize: converts each value before it is written. What it returns as ``Markup`` is
            written as it is, all else is escaped for HTML.
    """
    return _environment(finalize).get_template(name)


@cache
def _environment(finalize: Callable[[Any], Any] | None) -> "Environment":
    """Return the environment of one way to write values; it compiles each template once."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1]),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "decimal": decimal, "percent": percent}
    return environment


def number(count: int) -> str:
    """Write a whole number with a comma between thousands."""
    return f"{count:,}"


def decimal(value: float | None, digits: int = 4) -> str:
    """Write a number with ``digits`` decimals, or a dash for None."""
    return MISSING if value is None else f"{value:,.{digits}f}"


def percent(share: float | None, digits: int = 2) -> str:
    """Write a share in per cent, without the sign, or a dash for None."""
    return MISSING if share is None else decimal(share * 100, digits)
