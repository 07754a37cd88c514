"""The deployments: a real ``serve`` runs one on a schedule; ``prefect.yaml`` declares the same."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from expectations.errors import UsageError
from flows.deployments import plan_schedule
from flows.settings import Settings
from storage.database import connect
from storage.queries import batch_rows

if TYPE_CHECKING:
    from tests.support.bad_files_night import NightRun
    from tests.support.prefect_servers import Server

RUN_LIMIT_S = 300
"""For a scheduled run to begin and end: it takes about 15 s, half of them imports, and over 120 on
two cores with five other loads."""
STOP_LIMIT_S = 60


@pytest.fixture
def serving(
    home: Path, night: "NightRun", server: "Server", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator["subprocess.Popen[str]"]:
    """Serve the deployments, the nightly one every ten seconds, with one file in the inbox."""
    header, *rows = (night.inbox / "night-2026-11-02.csv").read_text().splitlines()
    (home / "inbox").mkdir()
    (home / "inbox" / "tonight.csv").write_text("\n".join([header, *rows[300:330]]))
    monkeypatch.setenv("NOCTULE_NIGHTLY_CRON", "* * * * * */10")
    monkeypatch.setenv("NOCTULE_SETTLE_S", "0")
    monkeypatch.setenv("PREFECT_RUNNER_POLL_FREQUENCY", "1")
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "INFO")
    log = tmp_path / "serve.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("noctule"), "serve"],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=tmp_path,
            text=True,
            start_new_session=True,
        )
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    print(log.read_text())  # noqa: T201 - shown where the test failed


@pytest.fixture
def declared(pytestconfig: pytest.Config) -> list[dict[str, Any]]:
    """The deployments of prefect.yaml."""
    document = yaml.safe_load((pytestconfig.rootpath / "prefect.yaml").read_text())
    deployments: list[dict[str, Any]] = document["deployments"]
    return deployments


def test_a_served_deployment_runs_on_its_schedule(
    serving: "subprocess.Popen[str]",
    home: Path,
    server: "Server",
    wait_for: Callable[..., Any],
) -> None:
    def ended() -> list[dict[str, Any]]:
        assert serving.poll() is None, "noctule serve ended by itself"
        return server.read(
            "flow_runs",
            deployments={"name": {"any_": ["nightly"]}},
            flow_runs={"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}},
            sort="END_TIME_DESC",
        )

    def scored() -> list[dict[str, Any]]:
        return [one for one in ended() if "1 scored" in one["state"]["message"]]

    (finished,) = wait_for(scored, limit_s=RUN_LIMIT_S)
    serving.send_signal(signal.SIGINT)
    assert serving.wait(STOP_LIMIT_S) == 128 + signal.SIGINT

    assert finished["state_type"] == "COMPLETED", finished["state"]["message"]
    assert finished["auto_scheduled"] is True
    assert {"noctule", "auto-scheduled"} <= set(finished["tags"])
    engine = connect(None, home)
    (batch,) = batch_rows(engine)
    engine.dispose()
    assert (batch["file_name"], batch["status"]) == ("tonight.csv", "scored")
    assert finished["state"]["message"] == f"1 file: 1 scored; {batch['rows_flagged']} flagged"

    deployments = {one["name"]: one for one in server.read("deployments")}
    schedules = {
        name: one["schedules"][0]["schedule"]
        for name, one in deployments.items()
        if one["schedules"]
    }
    assert schedules["nightly"]["cron"] == "* * * * * */10"
    assert (schedules["retrain"]["cron"], schedules["retrain"]["timezone"]) == ("0 6 * * 0", "UTC")
    assert deployments.keys() - schedules.keys() == {"train"}
    assert {one["paused"] for one in deployments.values()} == {False}, "others may serve them too"
    assert {one["global_concurrency_limit"] for one in deployments.values()} == {None}


def test_a_schedule_that_is_none_is_refused_by_the_name_of_its_setting() -> None:
    with pytest.raises(UsageError, match="NOCTULE_NIGHTLY_CRON='every night':") as refused:
        plan_schedule("nightly_cron", "every night", "UTC")
    assert "'30 4 * * *' for every day at 04:30" in str(refused.value)


def test_workers_are_given_the_deployments_that_serve_has(declared: list[dict[str, Any]]) -> None:
    settings = Settings()
    crons = {"nightly": settings.nightly_cron, "retrain": settings.training_cron, "train": None}
    assert {one["name"] for one in declared} == crons.keys()
    for one in declared:
        cron = crons[one["name"]]
        planned = [] if cron is None else [{"cron": cron, "timezone": settings.time_zone}]
        assert one["schedules"] == planned
        for schedule in planned:
            assert plan_schedule("nightly_cron", schedule["cron"], schedule["timezone"]).active
        assert one["tags"] == ["noctule"]
        assert "concurrency_limit" not in one, "its slot would outlive a run"
        assert one["work_pool"]["name"] == "noctule"


def test_the_entrypoints_of_prefect_yaml_are_the_flows(
    declared: list[dict[str, Any]], pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pytestconfig.rootpath)
    for one in declared:
        flow = load_flow_from_entrypoint(one["entrypoint"])
        assert flow.name == one["name"]
        assert flow.description
