"""Tables have one line per row in a pipe, and no control characters."""

import io
import re
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from flows.cli.evaluations import show_evaluation
from flows.cli.outcomes import show_night
from flows.cli.tables import show_rows
from flows.settings import Settings
from tasks.evaluation.evaluate import Evaluation
from tasks.evaluation.metrics import FlagMetrics
from tasks.reporting.outcomes import FileOutcome, NightOutcome, SkippedFile


def printed(capsys: pytest.CaptureFixture[str], row: dict[str, object]) -> list[str]:
    show_rows([row], list(row), empty="")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_a_row_stays_on_one_line_however_long_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    reason = "expected a header " * 60
    assert printed(capsys, {"file_name": "a.csv", "message": reason}) == ["a.csv", reason.strip()]


def test_text_from_outside_carries_neither_control_characters_nor_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "\x1b[31mred\x1b[0m\r[bold]\u202egnp\udcff.exe"
    assert printed(capsys, {"file_name": name}) == [r"\x1b[31mred\x1b[0m\r[bold]\u202egnp\xff.exe"]


def test_numbers_times_and_ids_are_written_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "batch_id": "0123456789abcdef",
        "rows_read": 1_234_567,
        "line_number": 12_345,
        "statistic": 0.000123456,
        "score": 1_234.5678,
        "is_drifted": True,
        "roc_auc": None,
        "finished_at": datetime(2026, 11, 21, 4, 30, 59, 999, tzinfo=UTC),
    }
    assert printed(capsys, row) == [
        "0123456789ab", "1,234,567", "12345", "0.0001235", "1,234.568", "yes", "-",
        "2026-11-21 04:30:59",
    ]  # fmt: skip


def test_a_title_and_words_for_nothing_obey_nothing_either(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "[bold]\x1b[2J"
    show_rows([{"a": 1}], ["a"], empty="", title=name)
    show_rows([], ["a"], empty=f"{name}: nothing")
    first, *_, last = capsys.readouterr().out.splitlines()
    assert (first.strip(), last) == (r"[bold]\x1b[2J", r"[bold]\x1b[2J: nothing")


def test_a_cell_is_no_longer_than_a_screenful(capsys: pytest.CaptureFixture[str]) -> None:
    (cell,) = printed(capsys, {"raw_text": "x" * 1_000_000})
    assert cell == "x" * 2_000 + "..."


def test_a_night_tells_of_names_and_notes_without_obeying_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scored = FileOutcome(
        file_name="a\x1b.csv",
        batch_date=date(2026, 11, 20),
        status="scored",
        message="scored 1 connection",
        advisories=("service: \u202e and \x9b2J",),
    )
    skipped = SkippedFile(file_name="n\udcff\n.csv", reason="hidden")
    show_night(NightOutcome(files=(scored,), skipped=(skipped,)), Settings(home=tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert r"left for next time: n\xff\n.csv: hidden" in lines
    assert r"a\x1b.csv: service: \u202e and \x9b2J" in lines


def test_on_a_narrow_terminal_headings_give_way_to_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    rates = {f"false_positive_rate_{letter}": 0.123456 for letter in "abcdef"}
    show_rows([{"operating_point": "low_alert", **rates}], ["operating_point", *rates], empty="")
    (row,) = [line for line in terminal.getvalue().splitlines() if "low_alert" in line]
    assert row.count("0.1235") == 6


def test_no_rows_are_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([], ["file_name"], empty="Nothing is flagged.")
    assert capsys.readouterr().out == "Nothing is flagged.\n"


def test_an_evaluation_has_a_column_for_each_operating_point(
    capsys: pytest.CaptureFixture[str],
) -> None:
    point = FlagMetrics(
        threshold=3.5,
        accuracy=0.99,
        precision=None,
        recall=0.75,
        f1=None,
        false_positive_rate=0.002,
        flag_rate=0.5,
    )
    show_evaluation(
        Evaluation(
            rows=1,
            roc_auc=0.999,
            average_precision=None,
            operating_points={"default": point, "p50": point.model_copy(update={"recall": 1.0})},
            recall_by_attack={},
            recall_by_family={},
        )
    )
    printed_lines = capsys.readouterr().out.splitlines()
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in printed_lines]
    assert ["recall", "0.75", "1.000"] in lines
    assert ["precision", "-", "-"] in lines
    assert lines[-1] == ["1 labelled row; ROC AUC 0.99900"]


@pytest.mark.parametrize(("columns", "is_listed"), [("60", True), ("200", False)])
def test_on_a_terminal_too_narrow_for_a_table_each_cell_has_a_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: str,
    *,
    is_listed: bool,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", columns)
    row = {"batch_id": "0123456789abcdef", "file_name": "night-2026-11-30.csv", "status": "scored",
           "rows_read": 25_000, "message": "scored 24,925 connections"}  # fmt: skip
    show_rows([row, row])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    listed = [line for line in lines if re.match(r"│ file name +│ night-2026-11-30.csv", line)]
    assert len(listed) == (2 if is_listed else 0)
    assert all(len(line) <= int(columns) for line in lines)
    assert sum("25,000" in line for line in lines) == 2, "no value is cut"
