"""``noctule study``: one command prints a report, and writes it as data and as a page."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.simulation.simulate import simulate_night
from tasks.study.study import StudyReport

if TYPE_CHECKING:
    from tests.flows.conftest import Ended
    from tests.support.small_study import StudyRun


def test_a_study_is_one_object_for_machines_and_kept_as_data_and_as_a_page(
    studied: "StudyRun",
) -> None:
    report = StudyReport.model_validate(json.loads(studied.printed))
    assert report == StudyReport.model_validate_json(studied.data.read_bytes())
    assert report.glance.rows == 1_500
    assert report.glance.other_file == "other.csv"
    assert "class" in report.glance.only_here
    assert {cell.classifier for cell in report.comparison.cells} == {"lightgbm", "random_forest"}
    assert studied.page.read_text().startswith("<!doctype html>")
    assert set(studied.page.parent.iterdir()) == {studied.data, studied.page}


def test_a_study_is_printed_for_people(
    studied: "StudyRun",
    noctule: "Callable[..., Ended]",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = StudyReport.model_validate_json(studied.data.read_bytes())
    monkeypatch.setattr("flows.cli.study.study_rows", lambda *_, **__: made)
    ended = noctule("study", studied.file, "--out", tmp_path)
    assert ended.code == 0, ended.err
    for words in ("Accuracy on one split, seed 42", "Five further splits", "isolation forest"):
        assert words in ended.out
    assert f"page: {tmp_path / 'night-study.html'}" in ended.out
    assert (tmp_path / "night-study.html").read_bytes() == studied.page.read_bytes()


def test_what_cannot_be_studied_is_refused_in_words(
    noctule: "Callable[..., Ended]", studied: "StudyRun", tmp_path: Path
) -> None:
    labelled = studied.file
    unlabelled = tmp_path / "plain.csv"
    simulate_night(unlabelled, rows=1_000, seed=3, night=date(2026, 11, 9), labelled=False)
    without = noctule("study", unlabelled, "--out", tmp_path)
    assert without.code == 3
    assert "Cannot study plain.csv: it has no column 'class' or 'attack'" in without.err
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
