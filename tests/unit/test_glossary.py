"""``docs/glossary.md`` defines every table, view, command and setting, and no others."""

import re
from collections.abc import Collection
from pathlib import Path

import pytest

from flows.settings import PREFIX, Settings
from storage.schema import metadata
from storage.views import views
from tests.support.command_line import find_commands

PAGE = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text("utf-8")


def words(section: str) -> list[str]:
    """Return the first cells of a section's table, without what a command takes."""
    body = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \|", body, re.MULTILINE)[2:]
    return [re.sub(r" [A-Z\[-].*", "", row.strip("`")) for row in rows]


@pytest.mark.parametrize(
    ("section", "there"),
    [
        ("Tables", set(metadata.tables)),
        ("Views", {view.name for view in views("sqlite")}),
        ("Commands", {" ".join(["noctule", *path]) for path in find_commands()}),
        ("Settings", {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}),
    ],
)
def test_a_section_defines_what_is_there_once(section: str, there: Collection[str]) -> None:
    assert sorted(words(section)) == sorted(there)


def test_concepts_are_in_alphabetical_order_and_defined_once() -> None:
    concepts = words("Concepts")
    assert concepts == sorted(set(concepts), key=str.lower)
