"""The page ``docs/settings.md``: every setting, generated from the settings class.

Belongs here: rendering the class as Markdown, and writing the page (``python -m
flows.settings_page``). Does not belong here: the settings and their meanings (``flows.settings``).
"""

import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from flows.settings import PREFIX, Settings

DEFAULT_PATH = Path("docs/settings.md")
"""From the root of the repository."""

_PREAMBLE = """\
# Settings

Generated from the class `Settings` in `flows/settings.py` by `python -m flows.settings_page`. A
test fails if this page is out of date.

Settings are environment variables. Every command reads them when it starts. An unknown `NOCTULE_*`
variable is refused, with the name that was probably meant. "The home" is the folder `NOCTULE_HOME`.
Variables of other programs, such as `PREFECT_API_URL`: see [operating](operating.md#environment).

| variable | default | allowed | meaning |
| --- | --- | --- | --- |
"""


def render_settings() -> str:
    """Return the page as Markdown, ending with a line end."""
    rows = [_render_row(name, field) for name, field in Settings.model_fields.items()]
    return _PREAMBLE + "".join(rows)


def write_settings(path: Path) -> None:
    """Write the page."""
    path.write_text(render_settings(), encoding="utf-8")


def _render_row(name: str, field: FieldInfo) -> str:
    """Return the table row of one setting."""
    meaning = " ".join((field.description or "").split()).replace("``", "`")
    for other in Settings.model_fields:
        meaning = meaning.replace(f"`{other}`", f"`{PREFIX}{other.upper()}`")
    default = {None: "unset", (): "empty"}.get(field.default, f"`{field.default}`")
    return f"| `{PREFIX}{name.upper()}` | {default} | {_render_bounds(field)} | {meaning} |\n"


def _render_bounds(field: FieldInfo) -> str:
    """Return which values a setting takes; empty where the type already says so."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return ", ".join(
        f"{word} {getattr(bound, name):,}"
        for bound in field.metadata
        for name, word in words.items()
        if hasattr(bound, name)
    )


if __name__ == "__main__":
    write_settings(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PATH)
