"""Text and values of outside as Markdown that renders as just that.

Belongs here: escaping. Does not belong here: what any artifact says (``night``, ``models``).

Prefect's first UI renders descriptions, and the text cells of table artifacts, as Markdown with
images, links and bare addresses; its second shows those cells as they are. Every text from outside
therefore passes ``escape``, which touches as little of it as it can.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from storage.text import printable
from tasks.wording import reason_text

DIGITS_SHOWN: Final = 5
"""Significant digits of figures in artifacts; SQL has them all."""

# A bare address is a link even where a backslash stands in it (GitHub's extension looks for it
# after escapes are resolved), so it is written as analysts pass one on: http[:]//, www[.], a[@]b.
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


def escape(text: str) -> str:
    """Return outside text as Markdown that renders as just that text, on one line.

    What is not printable is written out, a long text is cut, and addresses are no links.
    """
    line = " ".join(printable(text).split())
    line = _ADDRESS.sub(lambda found: f"[{found[0]}]", line)
    return _NUMBERED.sub(r"\1\\\2", _MARKUP.sub(r"\\\g<0>", line))


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
