"""A signal ends a command with one line and its exit code, and nothing stays open."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect import Task, task_engine
from prefect.client.schemas.objects import TaskRun
from sqlalchemy import select

from flows.signals import stopped_in_words
from storage.database import connect
from storage.schema import run
from tasks.simulation.simulate import simulate_night

if TYPE_CHECKING:
    from tests.flows.conftest import Ended
    from tests.support.prefect_servers import Server

WAIT_S = 240
STOP_S = 10
STOPPED = ("failed", "stopped by a signal; the next run goes on from what is finished")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_command_that_is_stopped_says_so_in_one_line(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, stopped_in_words():
        os.kill(os.getpid(), number)
    assert ended.value.code == 128 + number
    told = f"noctule: stopped by {number.name}. What was finished is kept; run it again to go on\n"
    assert capsys.readouterr() == ("", told)
    assert signal.getsignal(number) is before


def test_a_signal_that_python_drops_is_repeated_without_a_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Freed:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0)  # here the handler raises

    def work() -> None:
        Freed()
        time.sleep(STOP_S)
        pytest.fail("the signal is lost")

    with pytest.raises(SystemExit) as ended, stopped_in_words():
        work()
    assert ended.value.code == 128 + signal.SIGTERM
    told = "noctule: stopped by SIGTERM. What was finished is kept; run it again to go on\n"
    assert capsys.readouterr() == ("", told)


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup has it
    try:
        with stopped_in_words():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("settled")
def test_a_run_that_is_stopped_closes_its_records_within_ten_seconds(
    home: Path, server: "Server", tmp_path: Path, wait_for: Callable[..., Any]
) -> None:
    file = tmp_path / "night-2026-11-20.csv"
    simulate_night(file, rows=20_000, seed=6, night=date(2026, 11, 20))
    engine = connect(None, home)

    def at_work() -> bool:
        assert process.poll() is None
        return any(home.glob("lake/*/*/ingest/receipt.json"))

    with subprocess.Popen(
        [Path(sys.executable).with_name("noctule"), "run", file],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(at_work, WAIT_S)
        process.send_signal(signal.SIGTERM)
        out, told = process.communicate(timeout=STOP_S)
    assert (process.returncode, out) == (143, "")
    assert told == "noctule: stopped by SIGTERM. What was finished is kept; run it again to go on\n"
    with engine.connect() as connection:
        rows = connection.execute(select(run.c.state, run.c.message, run.c.flow_run_id)).all()
    engine.dispose()
    assert [tuple(row[:2]) for row in rows] == [STOPPED, STOPPED]
    states = {server.flow_run(row.flow_run_id)["state_type"] for row in rows}
    assert states == {"CRASHED"}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_prefect_begins_a_task_is_no_failure_of_the_task(
    home: Path,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    begin = task_engine._create_task_run_locally

    def begin_signalled(task: Task[..., Any], **asked: Any) -> TaskRun:  # noqa: ANN401 - Prefect's
        if task.name == "validate":
            os.kill(os.getpid(), number)
        return begin(task=task, **asked)

    monkeypatch.setattr(task_engine, "_create_task_run_locally", begin_signalled)
    ended = noctule("run", home / "labelled.csv")
    assert ended.code == 128 + number
    assert ended.err.startswith(f"noctule: stopped by {number.name}.")
    engine = connect(None, home)
    with engine.connect() as connection:
        rows = connection.execute(select(run.c.state, run.c.message)).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [STOPPED, STOPPED]
