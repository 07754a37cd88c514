"""Markdown in which text from outside shows as text.

Belongs here: escaping, and rendering a template of this room. Does not belong here: what an
artifact says (the templates in this folder).

Prefect's first UI renders descriptions, and the text cells of table artifacts, as Markdown with
images, links and bare addresses; its second UI shows those cells as they are. So ``escape`` changes
as little of a text as it can. ``render`` escapes every value that a template writes: a template
cannot forget it.
"""

import json
import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from markupsafe import Markup

from storage.text import printable
from tasks.pages.templates import MISSING, open_template
from tasks.wording import reason_text

DIGITS_SHOWN: Final = 5
"""Significant digits of figures in table artifacts; SQL has them all."""

# Renderers link a bare address even if it contains a backslash (GitHub's extension looks for it
# after it resolves escapes). So it is written as analysts write one: http[:]//, www[.], a[@]b.
_ADDRESS = re.compile(r"(:)(?=//)|(?<=www)(\.)|(?<=[\w.+-])(@)(?=[\w-])", re.IGNORECASE)

_MARKUP = re.compile(
    r"""
      [\\`*\[<|~]                    # escapes, code, emphasis, links, HTML, cells, deletions
    | (?<![^\W_])_ | _(?![^\W_])     # emphasis; within a word, as in src_bytes, it is none
    | &(?=\#?\w+;)                  # entities
    | ^[>\#+-](?=[>\#+\s-]|$) | ^>   # at the beginning: quotes, headings, lists, rules
    """,
    re.VERBOSE,
)
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")
_BLANK_LINES = re.compile(r"\n{3,}")


def render(template: str, **values: object) -> str:
    """Render a template of this room, named without ``.md.j2``, as Markdown.

    Every value is escaped but ``Markup``; None is written as a dash.
    """
    text = open_template(f"reporting/{template}.md.j2", _as_markdown).render(values)
    return _BLANK_LINES.sub("\n\n", text).strip()


def _as_markdown(value: object) -> Markup:
    """Escape a value that a template is about to write."""
    if isinstance(value, Markup):
        return value
    return MISSING if value is None else Markup(escape(str(value)))  # noqa: S704 - escaped


def escape(text: str) -> str:
    """Return Markdown that renders as exactly this text, on one line.

    Characters that cannot be printed are written out, a long text is cut, addresses are no links.
    """
    line = " ".join(printable(text).split())
    line = _ADDRESS.sub(lambda found: f"[{found[0]}]", line)
    return _NUMBERED.sub(r"\1\\\2", _MARKUP.sub(r"\\\g<0>", line))


def shell_word(value: object) -> Markup:
    """Return one word of a shell command, for a fenced block: there, nothing is markup."""
    word = shlex.quote(str(value))
    return Markup(printable(word, len(word)))  # noqa: S704 - a line of a fenced block


def table_cell(value: object) -> object:
    """Return a stored value as a table artifact shows it: numbers stay numbers."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS_SHOWN}g}")
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list):
        return escape(reason_text(value))
    if isinstance(value, Mapping):
        return escape(json.dumps(value, ensure_ascii=False))
    return escape(value) if isinstance(value, str) else value
