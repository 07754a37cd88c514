"""Texts for users name no module: descriptions, help, messages, templates."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.flows import Flow
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from flows.batch import score_file
from flows.cli.commands import app
from flows.nightly import nightly
from flows.replay import replay_batch
from flows.retrain import retrain
from flows.settings import Settings
from flows.train import train

ROOT = Path(__file__).parents[3]
PACKAGES = ("flows", "tasks", "storage", "expectations")
NAMES = "|".join(
    sorted(
        {
            path.stem if path.stem != "__init__" else path.parent.name
            for package in PACKAGES
            for path in (ROOT / package).rglob("*.py")
        }
    )
)
MODULE = re.compile(rf"\b(?:{'|'.join(PACKAGES)})\.(?:{NAMES})\b")


WRITERS = {"expectations/dictionary.py", "flows/settings_page.py", "storage/views/page.py"}
"""Modules that write pages for developers: these say by which module they are generated."""


def test_a_name_of_a_module_would_be_seen() -> None:
    assert MODULE.search("what it reads; see ``tasks.features.selection``.")
    assert MODULE.search("from storage.views")
    assert not MODULE.search("the tasks. Select one; flows.csv")


@pytest.mark.parametrize(
    "flow", [nightly, score_file, replay_batch, train, retrain], ids=lambda flow: flow.name
)
def test_the_prefect_ui_describes_a_flow_without_them(flow: Flow[..., object]) -> None:
    shown = f"{flow.description} {flow.parameters.model_dump_json()}"
    assert flow.description
    assert not MODULE.findall(shown)


def test_the_help_of_every_command_is_without_them() -> None:
    found = dict(help_of(get_command(app), "noctule"))
    assert len(found) > 20
    assert {name: MODULE.findall(text) for name, text in found.items() if MODULE.search(text)} == {}


def help_of(command: object, name: str) -> Iterator[tuple[str, str]]:
    assert isinstance(command, TyperCommand | TyperGroup)
    yield name, " ".join([command.help or "", *(str(vars(one)) for one in command.params)])
    for child, its in getattr(command, "commands", {}).items():
        yield from help_of(its, f"{name} {child}")


def test_no_setting_is_described_by_them() -> None:
    assert not MODULE.findall(str(Settings.model_json_schema()))


def texts(source: Path) -> Iterator[str]:
    """Yield the texts in a module that may be shown: all but docstrings."""
    tree = ast.parse(source.read_text("utf-8"))
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and id(node) not in silent
            and isinstance(node.value, str)
        ):
            yield node.value


def test_no_text_and_no_template_holds_one() -> None:
    sources = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.relative_to(ROOT).as_posix() not in WRITERS
    ]
    templates = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.*")
        if path.suffix == ".html" or (path.suffix == ".j2" and path.name != "dictionary.md.j2")
    ]
    assert len(sources) > 100
    assert templates
    found = {
        path.name: text
        for path in sources
        for text in texts(path)
        if MODULE.search(text) and not MODULE.fullmatch(text)  # the name itself is for an import
    }
    found |= {path.name: "" for path in templates if MODULE.search(path.read_text("utf-8"))}
    assert found == {}
