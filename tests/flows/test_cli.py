"""The command line: exit codes, messages for people, JSON for programs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine

from storage.database import connect
from storage.model_store import champion, register_model
from tasks.simulation.simulate import simulate_night

if TYPE_CHECKING:
    from tests.flows.conftest import Ended
    from tests.support.bad_files_night import NightRun

UNREACHABLE = "postgresql://u:secret@127.0.0.1:1/x"
FLAGGED = (
    "connection_id batch_id batch_date file_name row_number anomaly_score threshold reasons record"
    " model_version"
)
BATCHES = (
    "batch_id batch_date file_name contract status rows_read rows_scored rows_quarantined"
    " rows_rejected rows_known rows_flagged model_version started_at finished_at"
)
READ_COMMANDS = ("flagged", "batches", "quarantine", "drift", "models")


@pytest.fixture
def of_night(night: "NightRun", monkeypatch: pytest.MonkeyPatch, home: Path) -> "NightRun":
    """Look at the night's home, which commands that only read leave as it is."""
    monkeypatch.setenv("NOCTULE_HOME", str(night.home))
    return night


@pytest.fixture
def challenger(home: Path) -> str:
    """Register the champion's files once more, as a version of another content."""
    engine = connect(None, home)
    made = _register(engine, home)
    engine.dispose()
    return made


def _register(engine: Engine, home: Path) -> str:
    known = champion(engine, "nsl_kdd")
    return register_model(
        engine,
        home / "models",
        home / "models" / known.version,
        contract="nsl_kdd",
        content_hash="b" * 64,
        rows_trained=known.rows_trained,
        training=known.training,
        metrics=known.metrics,
        registered_at=datetime(2026, 11, 8, 6, tzinfo=UTC),
        registered_by="noctule train",
    ).version


# Exit codes


def test_an_unknown_variable_ends_with_2_and_a_suggestion(
    home: Path, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_INBX", "/data")
    ended = noctule("run")
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err == (
        "noctule: Cannot use the environment variable NOCTULE_INBX: it is not a setting; "
        "did you mean NOCTULE_INBOX?\n"
    )


def test_without_a_model_a_night_ends_with_2_and_says_how_to_train(
    home: Path, tmp_path: Path, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_HOME", str(tmp_path / "fresh"))
    ended = noctule("run", tmp_path)
    assert ended.code == 2
    assert "noctule train" in ended.err


def test_an_unknown_contract_ends_with_2(
    home: Path, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_CONTRACT", "netflow")
    ended = noctule("run")
    assert ended.code == 2
    assert "netflow" in ended.err


@pytest.mark.parametrize("command", [("batches",), ("run",), ("db", "status")])
def test_a_database_that_does_not_answer_ends_with_4_and_no_password(
    home: Path,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    monkeypatch.setenv("NOCTULE_DATABASE_URL", UNREACHABLE)
    ended = noctule(*command)
    assert ended.code == 4
    assert "noctule: Cannot reach the database at postgresql://u:***@127.0.0.1:1/x" in ended.err
    assert "secret" not in ended.err + ended.out


def test_a_prefect_server_that_does_not_answer_ends_with_4_and_no_password(
    home: Path,
    prefect_server: str,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://u:secret@127.0.0.1:1/api"}):
        ended = noctule("run", home)
    assert ended.code == 4
    assert "Cannot reach the Prefect server at http://127.0.0.1:1/api" in ended.err
    assert "prefect server start" in ended.err
    assert "secret" not in ended.err + ended.out


def test_a_file_that_is_not_there_ends_with_3(
    home: Path, prefect_server: str, noctule: "Callable[..., Ended]"
) -> None:
    ended = noctule("run", home / "absent.csv", "--json")
    assert ended.code == 3
    (file,) = json.loads(ended.out)["files"]
    assert file["status"] == "failed"
    assert file["message"].startswith(f"Cannot read {home / 'absent.csv'}: ")


def test_the_installed_command_ends_alike_and_shows_no_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_DATABASE_URL", UNREACHABLE)
    ended = subprocess.run(
        [Path(sys.executable).with_name("noctule"), "batches"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 4
    assert ended.stderr.startswith("noctule: Cannot reach the database at postgresql://u:***@")
    assert "Traceback" not in ended.stderr


def test_a_reader_that_goes_away_is_no_error(of_night: "NightRun") -> None:
    command = Path(sys.executable).with_name("noctule")
    with subprocess.Popen(
        [command, "drift", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")


# What is read


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("flagged", FLAGGED),
        ("batches", BATCHES),
        ("quarantine", "batch_id line_number stage reasons raw_text"),
        ("drift", "batch_id column_name statistic method threshold is_drifted"),
    ],
)
def test_json_has_the_columns_that_the_views_promise(
    of_night: "NightRun", noctule: "Callable[..., Ended]", command: str, keys: str
) -> None:
    ended = noctule(command, "--date", "2026-11-05", "--json")
    rows = json.loads(ended.out)
    assert ended.code == 0
    assert rows
    assert set(keys.split()) <= set(rows[0])
    assert {row["batch_date"] for row in rows} == {"2026-11-05"}


def test_flagged_connections_are_shown_highest_first_with_their_reasons(
    of_night: "NightRun", noctule: "Callable[..., Ended]"
) -> None:
    batch_id = of_night.batch("cells-2026-11-05.csv")["batch_id"]
    rows = json.loads(noctule("flagged", "-b", batch_id[:9], "--json").out)
    lines = [line for line in noctule("flagged", "-b", batch_id[:9], "-n", "3").out.splitlines()
             if line.startswith("│")]  # fmt: skip
    assert len(lines) == 3
    assert "the first 3 rows; --limit shows more" in (
        noctule("flagged", "-b", batch_id[:9], "-n", "3").out
    )
    for line, row in zip(lines, rows[:3], strict=True):
        assert row["connection_id"] in line
        assert f"{row['reasons'][0]['feature']} {row['reasons'][0]['observed']} (expected" in line


@pytest.mark.parametrize("command", READ_COMMANDS)
def test_on_an_empty_home_there_is_nothing_and_that_is_said(
    home: Path,
    tmp_path: Path,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.setenv("NOCTULE_HOME", str(tmp_path / "fresh"))
    ended = noctule(command)
    assert ended.code == 0
    assert ended.out.startswith("No")
    assert ended.err == ""


def test_a_night_without_quarantine_is_named(
    of_night: "NightRun", noctule: "Callable[..., Ended]"
) -> None:
    assert noctule("quarantine", "--date", "2026-11-30").out == (
        "No row is quarantined on 2026-11-30.\n"
    )


def test_a_batch_and_a_night_at_once_end_with_2(noctule: "Callable[..., Ended]") -> None:
    for command in ("flagged", "quarantine", "drift"):
        ended = noctule(command, "--batch", "abc", "--date", "2026-11-05")
        assert ended.code == 2
        assert "Cannot use --batch and --date together" in ended.err


def test_an_unknown_batch_ends_with_2(
    of_night: "NightRun", noctule: "Callable[..., Ended]"
) -> None:
    ended = noctule("flagged", "--batch", "fffffff")
    assert ended.code == 2
    assert "No batch has an id that begins with 'fffffff'" in ended.err


# Models


def test_a_promotion_and_its_rollback_are_history_with_their_reasons(
    home: Path, challenger: str, noctule: "Callable[..., Ended]"
) -> None:
    def history() -> list[tuple[str, str, str]]:
        rows = json.loads(noctule("models", "--json").out)["history"]
        assert [row["live_until"] is None for row in rows] == [True, *[False] * (len(rows) - 1)]
        return [(row["model_version"], row["kind"], row["reason"]) for row in rows]

    (first,) = history()
    promoted = noctule("promote", challenger, "--reason", "fewer false alarms")
    assert (promoted.code, promoted.out) == (0, f"{challenger} scores from now on\n")
    rolled_back = noctule("rollback", "--reason", "missed a scan")
    assert (rolled_back.code, rolled_back.out) == (0, f"{first[0]} scores again from now on\n")
    assert history() == [
        (first[0], "rollback", "missed a scan"),
        (challenger, "promote", "fewer false alarms"),
        first,
    ]
    table = noctule("models").out
    assert "missed a scan" in table
    assert challenger in table


def test_a_user_without_a_name_promotes_by_number(
    home: Path,
    challenger: str,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)  # which no /etc/passwd has
    assert noctule("promote", challenger, "--reason", "in a container").code == 0
    latest, *_ = json.loads(noctule("models", "--json").out)["history"]
    assert latest["promoted_by"] == "uid 54321"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("promote", "nsl_kdd-bbbbbbbbbbbb"), "--reason"),
        (("rollback",), "--reason"),
        (("promote", "nsl_kdd-bbbbbbbbbbbb", "--reason", ""), "--reason is empty"),
        (("rollback", "--reason", "  "), "--reason is empty"),
        (("rollback", "--reason", "x"), "no earlier champion"),
    ],
)
def test_a_champion_does_not_change_without_a_reason_or_another_version(
    home: Path, noctule: "Callable[..., Ended]", arguments: tuple[str, ...], said: str
) -> None:
    ended = noctule(*arguments)
    assert ended.code == 2
    assert said in ended.err


def test_a_version_that_is_not_known_cannot_be_promoted(
    home: Path, noctule: "Callable[..., Ended]"
) -> None:
    ended = noctule("promote", "nsl_kdd-ffffffffffff", "--reason", "x")
    assert ended.code in {2, 3}
    assert "nsl_kdd-ffffffffffff" in ended.err


# The database's schema


def test_the_schema_is_made_by_upgrade_and_told_by_status(
    home: Path, tmp_path: Path, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_HOME", str(tmp_path / "fresh"))

    def status() -> dict[str, Any]:
        told: dict[str, Any] = json.loads(noctule("db", "status", "--json").out)
        return told

    before = status()
    assert (before["revision"], before["is_current"]) == (None, False)
    assert noctule("db", "status").out.endswith("(run: noctule db upgrade)\n")
    upgraded = noctule("db", "upgrade")
    after = status()
    assert after == {**before, "revision": before["expected"], "is_current": True}
    assert upgraded.out == f"{tmp_path / 'fresh' / 'noctule.db'} has schema {after['revision']}\n"


# Evaluation and simulation


def test_an_evaluation_is_the_object_that_the_design_promises_and_stores_nothing(
    home: Path, tmp_path: Path, noctule: "Callable[..., Ended]"
) -> None:
    file = tmp_path / "labelled.csv"
    simulated = simulate_night(
        file, rows=1_000, seed=3, night=date(2026, 11, 2), scenario="bad_rows", labelled=True
    )
    before = shutil.copy(home / "noctule.db", tmp_path / "before.db").read_bytes()
    ended = noctule("evaluate", file, "--json")
    assert ended.code == 0
    told = json.loads(ended.out)
    assert told["rows_quarantined"] == simulated.bad_rows > 0
    assert told["rows"] + told["rows_unlabelled"] + told["rows_quarantined"] == 1_000
    assert set(told) == {
        "rows", "roc_auc", "average_precision", "operating_points", "recall_by_attack",
        "recall_by_family", "attacks", "families", "calibration", "best_feature", "rows_duplicated",
        "duplicate_share", "rows_seen_in_training",
        "without_seen", "rows_unlabelled", "rows_quarantined", "advisories",
    }  # fmt: skip
    assert 0.9 < told["roc_auc"] <= 1
    assert set(told["operating_points"]) == {"default", "low_alert", "p50"}
    for point in told["operating_points"].values():
        assert set(point) >= {
            "threshold", "accuracy", "precision", "recall", "f1", "false_positive_rate",
            "flag_rate",
        }  # fmt: skip
    assert "neptune" in told["recall_by_attack"]
    assert set(told["recall_by_family"]) <= {"DoS", "Probe", "R2L", "U2R", "unknown"}
    assert (home / "noctule.db").read_bytes() == before
    assert not (home / "lake").exists()


def test_a_file_without_labels_cannot_be_evaluated(
    night: "NightRun", home: Path, noctule: "Callable[..., Ended]"
) -> None:
    ended = noctule("evaluate", night.inbox / "extra-2026-11-04.csv")
    assert ended.code == 3
    assert "label" in ended.err


def test_a_simulated_night_says_what_is_in_it(
    home: Path, tmp_path: Path, noctule: "Callable[..., Ended]"
) -> None:
    out = tmp_path / "night.csv"
    ended = noctule(
        "simulate", out, "--rows", 1_000, "--seed", 5, "--date", "2026-11-20", "--scenario",
        "bad_rows", "--json",
    )  # fmt: skip
    told = json.loads(ended.out)
    assert (ended.code, told["rows"], told["night"]) == (0, 1_000, "2026-11-20")
    assert 0 < told["bad_rows"] < 100
    assert out.read_bytes().count(b"\n") == 1_001
