"""The demo with fewer rows: in an empty home, and again in the same home."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.sources import NSL_KDD

if TYPE_CHECKING:
    from tests.flows.conftest import Ended

Content = Callable[[Path], dict[str, list[str]]]


def test_a_home_with_a_model_of_its_own_is_left_alone(
    home: Path, noctule: "Callable[..., Ended]", content: Content
) -> None:
    before = content(home)
    ended = noctule("demo")
    assert ended.code == 2
    assert f"{home / 'noctule.db'} has a model that the demo did not train" in ended.err
    assert "Set NOCTULE_HOME to a new folder" in ended.err
    assert content(home) == before


@pytest.mark.usefixtures("quick", "prefect_server")
def test_the_demo_tells_the_whole_story_and_again_changes_nothing(
    tmp_path: Path,
    noctule: "Callable[..., Ended]",
    content: Content,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("NOCTULE_HOME", str(home))
    monkeypatch.setattr("flows.cli.demo.TRAINING_ROWS", 3_000)
    monkeypatch.setattr("flows.cli.demo.NIGHT_ROWS", 2_500)
    first = noctule("demo")
    assert (first.code, first.err) == (0, "")
    told = [line for line in first.out.splitlines() if re.match(r"│ night-.*scored", line)]
    assert [line.split("│")[1].strip()[17:] for line in told] == [
        "ordinary.csv",
        "drift.csv",
        "bad_rows.csv",
    ]
    assert "drift.csv: drifted: " in first.out
    assert "bad_rows.csv: the highest scores" in first.out
    assert re.search(rf"({'|'.join(NSL_KDD.feature_names)}) \S+ \(expected [^)]+\); ", first.out)
    for place in (home / "noctule.db", home / "lake", home / "prefect"):
        assert str(place) in first.out
    before = content(home)
    assert len(before["quarantined_row"]) > 0
    second = noctule("demo")
    after = content(home)
    assert (second.code, second.err) == (0, "")
    assert {name for name in before if before[name] != after[name]} == {"run"}
