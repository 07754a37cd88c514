"""``noctule db check`` on a sound home, on a damaged home, and without a home."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.flows.conftest import Ended


@pytest.fixture
def model(home: Path) -> Path:
    """Find the folder of the home's one model."""
    (folder,) = (home / "models").iterdir()
    return folder


def test_a_sound_home_ends_with_0_and_one_line(home: Path, noctule: "Callable[..., Ended]") -> None:
    ended = noctule("db", "check")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"{home / 'noctule.db'}: all is consistent: tables, models, lake\n"
    ended = noctule("db", "check", "--json")
    assert (ended.code, json.loads(ended.out)) == (0, {"is_sound": True, "findings": []})


def test_what_is_to_be_seen_to_is_shown_and_is_no_failure(
    home: Path, model: Path, noctule: "Callable[..., Ended]"
) -> None:
    (home / "models" / "notes").mkdir()
    ended = noctule("db", "check")
    assert ended.code == 0
    assert "the database does not know this model" in ended.out
    assert ended.out.splitlines()[-1] == (f"{home / 'noctule.db'}: all is consistent; 1 note")


def test_what_cannot_be_relied_on_ends_with_2_and_comes_first(
    home: Path, model: Path, noctule: "Callable[..., Ended]"
) -> None:
    (home / "models" / "notes").mkdir()
    altered = next(model.glob("*.txt"))
    altered.write_text(altered.read_text().replace("tree", "free", 1))
    ended = noctule("db", "check", "--json")
    assert (ended.code, ended.err) == (2, "")
    printed = json.loads(ended.out)
    assert printed["is_sound"] is False
    error, note = printed["findings"]
    assert error == {
        "severity": "error",
        "subject": f"model {model.name}",
        "problem": f"{altered.name} was altered since it was registered (in {model})",
        "advice": "restore the folder from a backup, or train again on the same files",
    }
    assert note["severity"] == "note"
    shown = noctule("db", "check")
    assert shown.code == 2
    assert shown.out.index(model.name) < shown.out.index("notes")
    assert shown.out.splitlines()[-1] == f"{home / 'noctule.db'}: 1 error, 1 note"


def test_a_file_that_rotted_ends_with_2_and_nothing_else_is_asked(
    home: Path, noctule: "Callable[..., Ended]"
) -> None:
    with sqlite3.connect(home / "noctule.db") as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'model_version'"
        (page,) = connection.execute(query).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with (home / "noctule.db").open("r+b") as content:
        content.seek((page - 1) * size)
        content.write(b"\xa5" * size)
    ended = noctule("db", "check", "--json")
    assert (ended.code, ended.err) == (2, "")
    assert {one["subject"] for one in json.loads(ended.out)["findings"]} == {"database"}


def test_a_database_that_is_away_ends_with_4(
    home: Path, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_DATABASE_URL", "postgresql://u:secret@127.0.0.1:1/x")
    monkeypatch.setenv("NOCTULE_DATABASE_WAIT_S", "0")
    ended = noctule("db", "check", "--json")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith(
        "noctule: Cannot reach the database at postgresql://u:***@127.0.0.1:1/x"
    )


def test_a_home_that_holds_nothing_is_the_wrong_one_and_not_sound(
    tmp_path: Path, home: Path, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_HOME", str(tmp_path / "other"))
    ended = noctule("db", "check")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"noctule: The database at {tmp_path / 'other' / 'noctule.db'} has no Noctule schema yet."
        " Run: noctule db upgrade\n"
    )
    with sqlite3.connect(tmp_path / "other" / "noctule.db") as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()


def test_folders_that_this_user_may_not_read_are_named_and_are_no_bug(
    home: Path,
    model: Path,
    noctule: "Callable[..., Ended]",
    locked: Callable[..., AbstractContextManager[None]],
) -> None:
    lake = home / "lake" / "nsl_kdd"
    lake.mkdir(parents=True)
    with locked(lake, model, mode=0o000):
        ended = noctule("db", "check", "--json")
    assert (ended.code, ended.err) == (2, "")
    found = {one["subject"]: one["problem"] for one in json.loads(ended.out)["findings"]}
    assert found == {
        str(model): "it cannot be read: Permission denied",
        str(lake): "it cannot be read: Permission denied",
    }
