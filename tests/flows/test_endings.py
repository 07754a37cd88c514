"""How a command ends if it cannot print, has no home, is interrupted, or meets a bug."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.flows.conftest import Ended

NOCTULE = Path(sys.executable).with_name("noctule")
FULL = Path("/dev/full")
"""A file of Linux's on which every write finds the disk full."""

NO_ROOM = "noctule: Cannot write to standard output: No space left on device."
PRINTING = [["--help"], ["db", "status", "--json"], ["drift", "--csv"]]


def start(
    arguments: list[str], redirected: str, environment: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command in a shell that redirects what it prints."""
    return subprocess.run(
        ["/bin/sh", "-c", f'"$0" "$@" {redirected}', NOCTULE, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_an_output_that_is_full_ends_with_4_and_one_line(home: Path, arguments: list[str]) -> None:
    ended = start(arguments, ">/dev/full")
    assert ended.returncode == 4
    assert ended.stderr.startswith(NO_ROOM)
    assert ended.stderr.count("\n") == 1


def test_what_was_done_is_done_where_its_output_is_full(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "night.csv"
    ended = start(["simulate", str(out), "--rows", "1000"], ">/dev/full")
    assert (ended.returncode, ended.stderr[: len(NO_ROOM)]) == (4, NO_ROOM)
    assert out.read_text().count("\n") == 1_001


@pytest.mark.parametrize(
    ("redirected", "code"),
    [(">/dev/full 2>/dev/full", 4), (">&-", 0), ("<&- >&- 2>&-", 0)],
)
def test_streams_that_take_nothing_change_no_exit_code_to_a_bugs(
    home: Path, redirected: str, code: int
) -> None:
    ended = start(["models"], redirected)
    assert (ended.returncode, ended.stderr) == (code, "")


def test_an_error_that_cannot_be_said_keeps_its_exit_code(home: Path) -> None:
    ended = start(["rollback", "--reason", "x"], ">/dev/full 2>/dev/full")
    assert ended.returncode == 2


def test_a_closed_output_is_no_file_that_is_written_into(home: Path) -> None:
    assert start(["models", "--json"], ">&- 2>&-").returncode == 0
    whole = start(["models", "--json"], "")
    assert json.loads(whole.stdout)["models"], "the database is as it was"


def abandon(arguments: list[str]) -> tuple[int, bytes]:
    """Run the command with nobody to read what it prints; return its exit code and its errors."""
    with subprocess.Popen(
        [NOCTULE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    return process.returncode, said


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_reader_that_wants_no_more_is_no_failure(home: Path, arguments: list[str]) -> None:
    assert abandon(arguments) == (0, b"")


def test_a_reader_that_wants_no_more_hides_no_failure(home: Path) -> None:
    model = next(home.glob("models/*/manifest.json"))
    model.write_bytes(model.read_bytes() + b" ")
    assert abandon(["db", "check", "--json"]) == (2, b"")


# No home

WITHOUT_HOME = """
import os, pwd, sys

def find(number):
    raise KeyError(f"getpwuid(): uid not found: {number}")

pwd.getpwuid = find  # as in a container that runs under any number
sys.argv = ["noctule", *sys.argv[1:]]
from flows.cli import main
try:
    main()
finally:
    print(os.environ.get("HOME"), file=sys.stderr)
"""


def test_a_user_without_a_home_works_in_that_of_noctule(home: Path, tmp_path: Path) -> None:
    known = {name: value for name, value in os.environ.items() if name not in NAMES_OF_A_USER}
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_HOME, "evaluate", home / "labelled.csv", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=known,
        cwd=tmp_path,
    )
    assert (ended.returncode, ended.stderr) == (0, f"{home}\n")
    assert json.loads(ended.stdout)["rows"] > 0
    assert list(tmp_path.glob("~*")) == []


NAMES_OF_A_USER = {"HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "PREFECT_HOME"}


@pytest.mark.parametrize("name", ["profiles.toml", ".env"])
def test_a_file_of_prefects_that_is_no_text_is_named(home: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe P")
    ended = subprocess.run(
        [NOCTULE, "thresholds"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PREFECT_HOME": str(tmp_path)},
        cwd=tmp_path,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    *of_prefect, last = ended.stderr.splitlines()  # which may say a line of its own
    assert last.startswith("noctule: Cannot use Prefect's settings: 'utf-8' codec can't decode")
    assert name in last
    assert "Traceback" not in "".join(of_prefect)


# What a library raises


def broken_by(error: BaseException) -> Callable[..., None]:
    def break_down(*_: object, **__: object) -> None:
        raise error

    return break_down


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PermissionError(13, "Permission denied", "/data/x"), 2, "Cannot use /data/x: Permission"),
        (OSError(28, "No space left on device"), 4, "Cannot go on: No space left on device."),
        (MemoryError(), 4, "Cannot go on: no memory is left."),
    ],
)
def test_what_the_system_refuses_is_one_line(
    home: Path,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: int,
    said: str,
) -> None:
    monkeypatch.setattr("flows.cli.views.show_models", broken_by(error))
    ended = noctule("models")
    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
    assert ended.err.startswith(f"noctule: {said}")


def test_a_bug_of_ours_is_called_one_with_its_traceback(
    home: Path, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.cli.views.show_models", broken_by(KeyError("scored")))
    ended = noctule("models")
    assert (ended.code, ended.out) == (1, "")
    first, *_, last = ended.err.splitlines()
    assert first == "Traceback (most recent call last):"
    assert last == (
        "noctule: This is a bug in Noctule; report it with the lines above: KeyError: 'scored'"
    )


def test_an_interrupted_command_says_so_in_one_line_and_ends_as_shells_have_it(home: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "import flows.cli.views\n"
        "flows.cli.views.show_models = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.argv = ['noctule', 'models']\n"
        "from flows.cli import main\n"
        "main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (130, "")
    said = "noctule: stopped by SIGINT. What was finished is kept; run it again to go on\n"
    assert ended.stderr == said
