"""What the documents say exists: settings, commands with their options, columns, SQL that runs."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from typer.core import TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from expectations.nsl_kdd import NSL_KDD
from flows.cli.commands import app
from flows.settings import PREFIX, Settings

Known = dict[tuple[str, ...], TyperCommand]

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
QUERIES = ROOT / "docs" / "queries.md"
WRITTEN = {page.name: page for page in (README, QUERIES, ROOT / "docs" / "operating.md")}

SQL = re.compile(r"^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
TYPED = re.compile(r"(?:^|[\s/])noctule +([a-z].*)")
VIEW = re.compile(r"^### `(\w+)`\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
FIRST_CELL = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)

STATEMENTS = [
    pytest.param(statement, id=f"{page.stem}-{place}")
    for page in (README, QUERIES)
    for place, statement in enumerate(SQL.findall(page.read_text("utf-8")), start=1)
]


def typed_commands(text: str) -> Iterator[list[str]]:
    """Yield the words after ``noctule`` wherever a page shows it being typed."""
    shown = [line for block in SHELL.findall(text) for line in block.splitlines()]
    for line in [*shown, *CODE.findall(text)]:
        found = TYPED.search(line.partition("  #")[0])
        if found:
            yield shlex.split(found[1])


def commands(group: TyperGroup, path: tuple[str, ...] = ()) -> Known:
    """Return every command by its words."""
    found: Known = {}
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            found |= commands(command, (*path, name))
        elif isinstance(command, TyperCommand):
            found[*path, name] = command
    return found


@pytest.fixture(scope="module")
def known() -> Known:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return commands(group)


def test_the_readme_shows_the_two_commands_a_newcomer_types() -> None:
    text = README.read_text("utf-8")
    assert "make demo" in text
    assert "make test" in text


def test_the_table_of_settings_is_the_settings() -> None:
    rows = re.findall(rf"^\| `{PREFIX}(\w+)` \| (.+?) \|", README.read_text("utf-8"), re.MULTILINE)
    declared = {
        name.upper(): "unset" if field.default is None else f"`{field.default}`"
        for name, field in Settings.model_fields.items()
    }
    assert dict(rows) == declared
    assert len(rows) == len(declared)


def test_the_table_of_commands_is_the_command_line(
    known: Known,
) -> None:
    text = README.read_text("utf-8")
    section = text[text.index("## Commands") : text.index("| exit code")]
    rows = re.findall(r"^\| `noctule ([a-z -]+?)(?: [A-Z\[-].*?)?` \|", section, re.MULTILINE)
    assert sorted(rows) == sorted(" ".join(path) for path in known)


@pytest.mark.parametrize("page", WRITTEN)
def test_every_command_shown_exists_with_its_options(page: str, known: Known) -> None:
    shown = list(typed_commands(WRITTEN[page].read_text("utf-8")))
    assert shown or page == "queries.md"
    for words in shown:
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


def test_there_are_ten_queries_in_the_readme() -> None:
    assert len(SQL.findall(README.read_text("utf-8"))) == 10


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_query_runs_on_an_empty_database(engine: Engine, statement: str) -> None:
    with engine.connect().execution_options(no_parameters=True) as connection:
        assert connection.exec_driver_sql(statement).all() == []


def test_the_columns_of_the_views_are_those_described(engine: Engine) -> None:
    described = {
        name: FIRST_CELL.findall(body) or re.findall(r"`(\w+)`", body.partition("columns")[2])
        for name, body in VIEW.findall(QUERIES.read_text("utf-8"))
    }
    described["flagged_nsl_kdd"] += NSL_KDD.feature_names
    inspector = sa.inspect(engine)
    there = {
        name: [column["name"] for column in inspector.get_columns(name)]
        for name in inspector.get_view_names()
    }
    assert {name: set(columns) for name, columns in described.items()} == {
        name: set(columns) for name, columns in there.items()
    }
