"""What the documents name exists: settings, commands with their options, links; their SQL runs."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.core import TyperOption

from flows.settings import PREFIX, Settings
from storage.refusals import STATEMENTS
from tests.support.command_line import find_commands

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
QUERIES = ROOT / "docs" / "queries.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]

QUERY = re.compile(r"^```sql\n(.*?)^```$(?:\n\n\| (.*?) \|$)?", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
TYPED = re.compile(r"(?:^|[\s/])noctule +([a-z].*)")
LINK = re.compile(r"\]\((?!https?:)([^)]+)\)")
FILE = re.compile(r"`((?:expectations|storage|tasks|flows|tests|benchmarks|docs)/[\w/]+\.\w+)`")
SETTING = re.compile(r"NOCTULE_[A-Z][A-Z_]*")

QUERIES_SHOWN = [
    pytest.param(statement, header, id=f"{page.stem}-{place}")
    for page in (README, QUERIES)
    for place, (statement, header) in enumerate(QUERY.findall(page.read_text("utf-8")), start=1)
]


def typed_commands(text: str) -> Iterator[list[str]]:
    """Yield the words after ``noctule`` wherever a page shows it being typed."""
    shown = [line for block in SHELL.findall(text) for line in block.splitlines()]
    for line in [*shown, *CODE.findall(text)]:
        found = TYPED.search(line.partition("  #")[0])
        if found:
            yield shlex.split(found[1])


def test_the_readme_shows_the_two_commands_a_newcomer_types() -> None:
    text = README.read_text("utf-8")
    assert "make demo" in text
    assert "make test" in text


def test_the_readme_is_short_and_has_five_queries() -> None:
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 250
    assert len(QUERY.findall(text)) == 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_repository_named_exists(page: Path) -> None:
    named = FILE.findall(page.read_text("utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_heading_that_a_refusal_names_exists() -> None:
    named = re.search(r"(docs/\w+\.md), '(.+)'", STATEMENTS)
    assert named is not None
    assert f"\n## {named[2]}\n" in (ROOT / named[1]).read_text("utf-8")


def test_every_setting_shown_exists() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for page in PAGES:
        assert set(SETTING.findall(page.read_text("utf-8"))) <= known, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_exists_with_its_options(page: Path) -> None:
    known = find_commands()
    for words in typed_commands(page.read_text("utf-8")):
        path = tuple(words[:2]) if tuple(words[:2]) in known else tuple(words[:1])
        assert path in known, f"there is no command noctule {' '.join(words)}"
        options = {
            name
            for parameter in known[path].params
            if isinstance(parameter, TyperOption)
            for name in parameter.opts
        }
        used = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert used <= options | {"--help"}, f"noctule {' '.join(words)}"


def test_an_invented_command_would_be_seen() -> None:
    assert list(typed_commands("```sh\n.venv/bin/noctule replay --all  # no\n```\n")) == [
        ["replay", "--all"]
    ]


@pytest.mark.parametrize(("statement", "header"), QUERIES_SHOWN)
def test_a_query_runs_and_its_result_has_the_columns_shown(
    engine: Engine, statement: str, header: str
) -> None:
    with engine.connect().execution_options(no_parameters=True) as connection:
        result = connection.exec_driver_sql(statement)
        assert result.all() == []
        assert not header or header.split(" | ") == list(result.keys())


def test_queries_of_the_readme_show_a_result() -> None:
    assert all(header for _, header in QUERY.findall(README.read_text("utf-8")))
