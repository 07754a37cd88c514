"""The page ``docs/views.md``: every view and its columns, generated from their declaration.

Belongs here: rendering the views as Markdown, and writing the page (``python -m
storage.views.page``). Does not belong here: the columns (``columns.toml``) or their SQL.
"""

import sys
from pathlib import Path

from storage.views import views

DEFAULT_PATH = Path("docs/views.md")
"""From the root of the repository."""

_PREAMBLE = """\
# Views

Generated from `storage/views/` by `python -m storage.views.page`. A test fails if this page is out
of date. The views keep their names and columns from version to version. [Queries](queries.md) has
examples.

Times are UTC. `batch_date` is the night, a date. The id of a batch has 64 hexadecimal digits; the
command line accepts any unique beginning of it.
"""


def render_views() -> str:
    """Return the page as Markdown, ending with a line end."""
    sections = [
        f"## `{view.name}`\n\n{view.grain}\n\n| column | type | meaning |\n| --- | --- | --- |\n"
        + "".join(f"| `{one.name}` | {one.type_name} | {one.meaning} |\n" for one in view.columns)
        for view in views("sqlite")
    ]
    return "\n".join([_PREAMBLE, *sections])


def write_views(path: Path) -> None:
    """Write the page."""
    path.write_text(render_views(), encoding="utf-8")


if __name__ == "__main__":
    write_views(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PATH)
