"""``noctule study``: one command, a report in words, as data and as a page."""

import json
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.simulate import simulate_night
from tasks.study.study import StudyReport, study

if TYPE_CHECKING:
    from tests.flows.conftest import Ended


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("study") / "night.csv"
    simulate_night(path, rows=1_500, seed=3, night=date(2026, 11, 9), labelled=True)
    return path


@pytest.fixture
def small(quick_study: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare two classifiers on two selections."""
    monkeypatch.setattr(
        "flows.study.study",
        partial(study, selections=("none", "forest"), classifiers=("lightgbm", "random_forest")),
    )


@pytest.mark.usefixtures("small")
def test_a_study_is_printed_and_kept_as_data_and_as_a_page(
    noctule: "Callable[..., Ended]", labelled: Path, tmp_path: Path
) -> None:
    beside = tmp_path / "other.csv"
    simulate_night(beside, rows=1_000, seed=3, night=date(2026, 11, 9), labelled=False)
    out = tmp_path / "reports" / "new"
    ended = noctule("study", labelled, "--out", out, "--beside", beside, "--jobs", 1)
    assert ended.code == 0, ended.err
    for words in ("Accuracy on one split, seed 42", "Five further splits", "isolation forest"):
        assert words in ended.out
    assert f"page: {out / 'night-study.html'}" in ended.out
    report = StudyReport.model_validate_json((out / "night-study.json").read_bytes())
    assert report.glance.rows == 1_500
    assert report.glance.other_file == "other.csv"
    assert "class" in report.glance.only_here
    assert (out / "night-study.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in out.iterdir()) == ["night-study.html", "night-study.json"]


@pytest.mark.usefixtures("small")
def test_a_study_is_one_object_for_machines(
    noctule: "Callable[..., Ended]", labelled: Path, tmp_path: Path
) -> None:
    ended = noctule("study", labelled, "--out", tmp_path, "--jobs", 2, "--json")
    assert ended.code == 0, ended.err
    report = StudyReport.model_validate(json.loads(ended.out))
    again = StudyReport.model_validate_json((tmp_path / "night-study.json").read_bytes())
    assert report == again
    assert {cell.classifier for cell in report.comparison.cells} == {"lightgbm", "random_forest"}


def test_what_cannot_be_studied_is_refused_in_words(
    noctule: "Callable[..., Ended]", labelled: Path, tmp_path: Path
) -> None:
    unlabelled = tmp_path / "plain.csv"
    simulate_night(unlabelled, rows=1_000, seed=3, night=date(2026, 11, 9), labelled=False)
    without = noctule("study", unlabelled, "--out", tmp_path)
    assert without.code == 3
    assert "it says of no connection whether it is an attack" in without.err
    rows = labelled.read_text().splitlines()
    normal = tmp_path / "normal.csv"
    normal.write_text("\n".join([rows[0], *(row for row in rows[1:] if row.endswith("normal"))]))
    one_class = noctule("study", normal, "--out", tmp_path)
    assert one_class.code == 3
    assert "different attack connections" in one_class.err
    in_the_way = tmp_path / "report"
    in_the_way.write_text("")
    no_folder = noctule("study", labelled, "--out", in_the_way)
    assert no_folder.code == 2
    assert "it is a file. Name a folder with --out" in no_folder.err
    gone = noctule("study", tmp_path / "gone.csv", "--out", tmp_path)
    assert gone.code == 3
    assert "Traceback" not in gone.err
