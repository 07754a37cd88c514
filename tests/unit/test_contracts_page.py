"""docs/contracts.md names every key of a page, every kind and function, and its pages are read."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from expectations.contract import BatchBound, Column, Contract, Form, Kind, Labels, RowRule
from expectations.page_checks import BATCH_STATISTICS, COLUMN_STATISTICS
from expectations.pages import parse_page
from expectations.registry import own_contracts
from expectations.rules import FUNCTIONS

TEXT = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text("utf-8")

KEYS_OF_FIELDS = {
    (Column, "name"): None,  # the key of the table itself
    (Column, "sources"): "from",
    (BatchBound, "name"): "statistic",
    (Contract, "row_rules"): "rules",
    (Contract, "profile"): "bounds",
}
"""The key of each field of a class that has another name in a page."""

SECTIONS = {
    "The page": (Contract, {"alike"}),
    "`[form]`: how files are written": (Form, set[str]()),
    "`[columns]`: what is read": (Column, set[str]()),
    "`[labels]`: what a connection was": (Labels, set[str]()),
    "`[[rules]]`: conditions that join columns": (RowRule, set[str]()),
    "`[[bounds]]`: a whole batch": (BatchBound, set[str]()),
}
"""The class whose keys the tables of a section list, and keys of no field."""

BLOCKS = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

SOME_COLUMNS = """
[columns]
src_bytes = { kind = "count", nullable = true, optional = true }
src_packets = { kind = "count", nullable = true, optional = true }
proto = { kind = "protocol", nullable = true, optional = true }
"""


def section(heading: str) -> str:
    return TEXT.partition(f"\n### {heading}\n")[2].partition("\n##")[0]


def first_table(text: str) -> set[str]:
    """Return the words in code of the first column of the first table."""
    lines = text[text.index("\n| key |") :].strip().split("\n\n")[0].splitlines()[2:]
    return {word for line in lines for word in re.findall(r"`([^`]+)`", line.split("|")[1])}


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_keys_of_a_table_are_those_of_its_class(heading: str) -> None:
    declared, others = SECTIONS[heading]
    named = [KEYS_OF_FIELDS.get((declared, one.name), one.name) for one in fields(declared)]
    assert first_table(section(heading)) == {name for name in named if name} | others


def test_every_key_has_an_example() -> None:
    examples = [tomllib.loads(block) for block in BLOCKS]
    shown = set[str]()
    for example in examples:
        shown |= _keys(example)
    for heading, (declared, others) in SECTIONS.items():
        named = [KEYS_OF_FIELDS.get((declared, one.name), one.name) for one in fields(declared)]
        missing = {name for name in named if name} | others
        assert missing - shown == set(), heading


def _keys(value: object) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for one in value.values() for key in _keys(one)}
    if isinstance(value, list):
        return {key for one in value for key in _keys(one)}
    return set()


@pytest.mark.parametrize("block", BLOCKS, ids=range(1, len(BLOCKS) + 1))
def test_every_example_is_read(block: str) -> None:
    whole = block
    if "name" not in tomllib.loads(block):
        has_columns = "[columns]" in block or "[[alike]]" in block
        columns = "[columns]" if "[[alike]]" in block else ""
        whole = f'name = "example"\n{columns if has_columns else SOME_COLUMNS}\n{block}'
    assert parse_page(Path("example.toml"), whole.encode()).features


def test_every_kind_statistic_and_function_is_named() -> None:
    kinds = section("`[columns]`: what is read")
    assert all(f"\n| `{kind}` |" in kinds for kind in get_args(Kind))
    rules = section("`[[rules]]`: conditions that join columns")
    assert all(f"`{name}`" in rules for name in FUNCTIONS)
    bounds = section("`[[bounds]]`: a whole batch")
    assert all(f"`{name}`" in bounds for name in BATCH_STATISTICS)
    assert all(f"`{name}.COLUMN" in bounds for name in COLUMN_STATISTICS)


def test_every_contract_of_ours_is_listed() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", TEXT.partition("## Write one")[0], re.MULTILINE)
    assert sorted(listed) == sorted(own_contracts())
