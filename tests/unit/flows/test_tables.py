"""What is printed of results: one line a row in a pipe, and nothing that a terminal would obey."""

from datetime import UTC, datetime

import pytest

from flows.tables import show_rows


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
    name = "\x1b[31mred\x1b[0m\r[bold]\u202egnp.exe"
    assert printed(capsys, {"file_name": name}) == ["�[31mred�[0m�[bold]�gnp.exe"]


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


def test_no_rows_are_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([], ["file_name"], empty="Nothing is flagged.")
    assert capsys.readouterr().out == "Nothing is flagged.\n"
