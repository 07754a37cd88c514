"""``docs/architecture.md`` names files, functions and rooms that are there."""

import re
from pathlib import Path

import pytest

from tasks import ROOMS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
CALLS = re.findall(
    r"^\s*(?:-> )?(?:\w+\.)?(\w+) +((?:flows|storage|tasks)/\S+\.py)", PAGE, re.MULTILINE
)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", PAGE))))
def test_a_path_is_there(path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / "tasks" / path).exists()


@pytest.mark.parametrize(("function", "path"), CALLS)
def test_a_function_is_in_its_module(function: str, path: str) -> None:
    assert re.search(rf"^ *def {function}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_every_room_has_its_line_in_the_order_of_the_rooms() -> None:
    told = re.findall(r"^\| `.*`(?=.*\|.*\|$)", PAGE.partition("## How")[0], re.MULTILINE)
    names = [name for line in told for name in re.findall(r"(\w+)(?:/|\.py)", line)]
    assert sorted(names) == sorted(ROOMS)
    above = [
        room for room in reversed(ROOMS) if (ROOT / "tasks" / room).is_dir() or room == "store"
    ]
    assert names[: len(above)] == above
