"""The data dictionary: every contract as a page for people, generated from its declaration.

Belongs here: writing ``docs/data-dictionary.md`` (``python -m expectations.dictionary``). Does not
belong here: the text of the page (``dictionary.md.j2``), or anything that no contract declares.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from expectations.contract import Contract
from expectations.registry import own_contracts
from expectations.suites import batch_bounds, describe_range

DEFAULT_PATH = Path("docs/data-dictionary.md")
"""From the root of the repository."""


def render_dictionary(contracts: Iterable[Contract]) -> str:
    """Return the page of some contracts, in their order, as Markdown that ends with a line end."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - Markdown, and nothing in it is from outside
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template("dictionary.md.j2")
    return template.render(
        contracts=contracts, batch_bounds=batch_bounds, describe_range=describe_range
    )


def write_dictionary(path: Path) -> None:
    """Write the page of all contracts to a file."""
    path.write_text(render_dictionary(own_contracts().values()), encoding="utf-8")


if __name__ == "__main__":
    write_dictionary(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PATH)
