"""Nights that a real ``serve`` or a real pool's worker runs: how they end, and after a power cut.

One Prefect server, of this module's own, is killed and started again: nothing of it is replaced.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
import yaml
from prefect.client.orchestration import get_client
from sqlalchemy import create_engine, select, text

from flows.leftovers import ensure_crash_automation
from flows.private_server import prefect_environment
from storage.database import DATABASE_FILE, connect
from storage.dismissals import dismiss
from storage.queries import open_rejection_rows
from storage.schema import run
from tasks.simulation.simulate import simulate_night
from tests.support.prefect_servers import ANSWER_S, PrefectDatabase, Server

WAIT_S = 240
"""For anything that takes ten seconds on an idle machine, half of them imports."""
STOP_S = 10
PROGRAMS = Path(sys.executable).parent
ENDS = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
SETTING_UP = "prefect.yaml"


class Site:
    """A machine: a home, a Prefect server, and what is run beside it."""

    def __init__(
        self, folder: Path, home: Path, database: PrefectDatabase, wait_for: Callable[..., Any]
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.home, self.wait_for = folder, home, wait_for
        self.database_url = database.url
        self.prefect = Server(f"http://127.0.0.1:{self.port}/api")
        self.processes: dict[str, subprocess.Popen[str]] = {}
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("NOCTULE_", "PREFECT_"))}
        self.environment = {
            **plain,
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": self.prefect.address,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            **database.settings,
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "NOCTULE_HOME": str(home),
            "NOCTULE_SETTLE_S": "0",
        }

    def start(self, name: str, *command: object, **more: str) -> "subprocess.Popen[str]":
        """Start a program of the environment; it writes into a log of its name."""
        program, *arguments = map(str, command)
        with (self.folder / f"{name}.log").open("a") as log:
            self.processes[name] = subprocess.Popen(
                [PROGRAMS / program, *arguments],
                env={**self.environment, **more},
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                text=True,
                start_new_session=True,
            )
        return self.processes[name]

    def start_server(self) -> None:
        self.start("server", "prefect", "server", "start", "--port", self.port)
        self.wait_for(self._is_healthy, WAIT_S)

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.prefect.address}/health", timeout=10).is_success
        except httpx.TransportError:
            return False

    def serve(self, name: str, **more: str) -> "subprocess.Popen[str]":
        self.wait_for(self._is_healthy, WAIT_S)
        process = self.start(name, "noctule", "serve", **more)
        self.wait_for(lambda: "until a signal stops it" in self.log(name), WAIT_S)
        return process

    def prefect_cli(self, *arguments: str, where: Path | None = None) -> None:
        command = [PROGRAMS / "prefect", "--no-prompt", *arguments]
        subprocess.run(
            command, env=self.environment, cwd=where or self.folder, check=True, capture_output=True
        )

    def cut_power(self) -> None:
        """Kill whatever runs, by -9, and all that it has started."""
        dying = [psutil.Process(one.pid) for one in self.processes.values() if one.poll() is None]
        for process in [child for one in dying for child in one.children(recursive=True)] + dying:
            process.kill()
        for one in self.processes.values():
            one.wait()
        self.processes.clear()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def request(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Ask the server, as often as its database is busy."""
        address = f"{self.prefect.address}/{path}"

        def answer() -> httpx.Response | None:
            response = httpx.request(method, address, json=body, timeout=ANSWER_S)
            return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response

        response: httpx.Response = self.wait_for(answer, WAIT_S)
        return response.raise_for_status()

    def post(self, path: str, **body: object) -> Any:  # noqa: ANN401 - JSON
        return self.request("POST", path, body).json()

    def deployment(self, name: str) -> dict[str, Any]:
        (found,) = self.prefect.read("deployments", deployments={"name": {"any_": [name]}})
        return found

    def ask(self, name: str, **more: object) -> str:
        """Ask for a run of a deployment."""
        path = f"deployments/{self.deployment(name)['id']}/create_flow_run"
        asked: dict[str, str] = self.post(path, state={"type": "SCHEDULED"}, **more)
        return asked["id"]

    def end_of(self, flow_run_id: str) -> tuple[str, str]:
        """Wait for a run's end, and return its state and message."""

        def ended() -> dict[str, Any] | None:
            found = self.prefect.flow_run(flow_run_id)
            return found if found["state_type"] in ENDS else None

        found = self.wait_for(ended, WAIT_S)
        return found["state_type"], found["state"]["message"]

    def deliver(self, name: str, rows: int, seed: int) -> None:
        simulate_night(self.home / "inbox" / name, rows=rows, seed=seed, night=date(2026, 11, 20))

    def at_work(self, log: str) -> None:
        """Wait until a run validates a file: the first time it imports libraries for seconds."""
        seen = self.log(log).count("began stage=validate")
        self.wait_for(lambda: self.log(log).count("began stage=validate") > seen, WAIT_S)

    def dismiss_all(self) -> None:
        """Settle what was rejected, which would fail every night."""
        engine = connect(None, self.home)
        for batch_id in {row["batch_id"] for row in open_rejection_rows(engine)}:
            dismiss(engine, batch_id, who="op", reason="made to be rejected", now=datetime.now(UTC))
        engine.dispose()

    def own_record(self) -> list[tuple[str, str, str | None]]:
        engine = connect(None, self.home)
        with engine.connect() as connection:
            rows = connection.execute(select(run.c.kind, run.c.state, run.c.message)).all()
        engine.dispose()
        return [(row.kind, row.state, row.message) for row in rows]


@pytest.fixture(scope="module")
def server_site(
    trained_home: Path,
    tmp_path_factory: pytest.TempPathFactory,
    prefect_database: Callable[[Path], AbstractContextManager[PrefectDatabase]],
    wait_for: Callable[..., Any],
) -> Iterator[Site]:
    """Start the module's server."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(trained_home, folder / "home")
    (folder / "home" / "inbox").mkdir()
    (folder / "prefect").mkdir()
    with prefect_database(folder / "prefect") as database:
        site = Site(folder, folder / "home", database, wait_for)
        site.start_server()
        yield site
        site.cut_power()


@pytest.fixture
def site(server_site: Site) -> Iterator[Site]:
    """Give the site, with an empty inbox and nothing but its server running."""
    for file in (server_site.home / "inbox").iterdir():
        file.unlink()
    server_site.dismiss_all()
    yield server_site
    for name in [name for name in server_site.processes if name != "server"]:
        process = server_site.processes.pop(name)
        if process.poll() is None:
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                one.kill()
        process.wait()
        print(server_site.log(name))  # noqa: T201 - shown where the test failed


def assert_in_words(log: str) -> None:
    assert "Traceback" not in log
    assert "unexpected exception" not in log
    assert "exited with status code" not in log


def test_known_endings_of_served_runs_are_sentences_without_a_traceback(site: Site) -> None:
    site.serve("endings")
    inbox = site.home / "inbox"
    (inbox / "noise-2026-11-06.csv").write_bytes(b"\0\1\2\n" * 9)
    rejected, missing = site.ask("nightly"), site.ask("train", parameters={"files": ["/no.csv"]})
    state, message = site.end_of(rejected)
    assert state == "FAILED"
    assert message.startswith("1 file: 1 rejected; 0 flagged; noise-2026-11-06.csv: ")
    assert site.end_of(missing) == ("FAILED", "Cannot read /no.csv: there is no such file.")

    state, message = site.end_of(site.ask("retrain"))
    assert (state, message.partition(":")[0]) == ("FAILED", "Cannot retrain")

    database, away = site.home / DATABASE_FILE, site.home / "away"
    database.rename(away)
    database.mkdir()  # no file that could be opened
    asked = [site.ask(name) for name in ("nightly", "retrain", "train")]
    for state, message in map(site.end_of, asked):
        assert state == "FAILED"
        assert "unable to open database file" in message
    database.rmdir()
    no_model = site.ask("nightly")
    state, message = site.end_of(no_model)
    assert state == "FAILED"
    assert "noctule train" in message
    for left in site.home.glob(f"{DATABASE_FILE}*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    away.rename(database)

    site.deliver("night-2026-11-20.csv", 1_000, seed=2)
    (manifest,) = site.home.glob("models/*/manifest.json")
    content = manifest.read_bytes()
    manifest.write_bytes(content + b" ")
    state, message = site.end_of(site.ask("nightly"))
    manifest.write_bytes(content)
    assert state == "FAILED"
    assert "manifest.json is not the one that was registered" in message
    assert_in_words(site.log("endings"))


def test_a_signal_ends_serve_and_its_run_within_ten_seconds_and_leaves_the_schedules(
    site: Site,
) -> None:
    other = site.serve("other")
    other.send_signal(signal.SIGHUP)
    assert other.wait(STOP_S) == 128 + signal.SIGHUP

    serving = site.serve("stopped")
    site.deliver("night-2026-11-21.csv", 20_000, seed=3)
    asked = site.ask("nightly")
    site.at_work("stopped")
    os.killpg(serving.pid, signal.SIGTERM)  # as a service manager does: to all at once
    assert serving.wait(STOP_S) == 128 + signal.SIGTERM

    (file,) = site.prefect.children(asked)
    for ended in (site.prefect.flow_run(asked), file):
        assert ended["state_type"] == "CRASHED"
        assert ended["state"]["message"] == "Execution was aborted by a termination signal."
    stopped = ("failed", "stopped by a signal; the next run goes on from what is finished")
    assert site.own_record()[-2:] == [("nightly", *stopped), ("batch", *stopped)]
    *_, last = site.log("stopped").splitlines()
    assert last.startswith("noctule serve: stopped by SIGTERM; 1 run ended. The schedules")
    assert_in_words(site.log("stopped"))
    deployments = [site.deployment(name) for name in ("nightly", "retrain")]
    assert [one["paused"] for one in deployments] == [False, False]
    assert [one["schedules"][0]["active"] for one in deployments] == [True, True]


def leak_a_slot(site: Site, log: str) -> str:
    """Cut the power amid a night that holds the only slot of a deployment that has a limit."""
    deployment = f"deployments/{site.deployment('nightly')['id']}"
    site.request("PATCH", deployment, {"concurrency_limit": 1})
    cut = site.ask("nightly")
    site.at_work(log)
    site.cut_power()
    site.start_server()
    limit = site.deployment("nightly")["global_concurrency_limit"]
    assert (limit["limit"], limit["active_slots"]) == (1, 1), "this server keeps the slot"
    return cut


def test_after_a_power_cut_serve_runs_the_next_night_and_makes_up_for_missed_ones_once(
    site: Site,
) -> None:
    site.serve("before", NOCTULE_TRAINING_CRON="0 6 1 1 *")
    site.deliver("night-2026-11-22.csv", 20_000, seed=4)
    cut = leak_a_slot(site, "before")
    missed = [miss_a_night(site, hours) for hours in (49, 25, 1)]
    site.serve("after", NOCTULE_TRAINING_CRON="0 6 1 1 *")

    for zombie in (site.prefect.flow_run(cut), *site.prefect.children(cut)):
        assert zombie["state_type"] == "CRASHED"
        assert zombie["state"]["message"] == "ended without a word (killed?)"
    assert "noctule serve: 2 runs marked Crashed: the process is gone" in site.log("after")
    assert site.deployment("nightly")["global_concurrency_limit"] is None
    ends = [site.end_of(one) for one in missed]
    assert [state for state, _ in ends] == ["CANCELLED", "CANCELLED", "COMPLETED"]
    assert ends[-1][1].startswith("1 file: 1 scored; ")
    assert_in_words(site.log("after"))


def miss_a_night(site: Site, hours: int) -> str:
    """Write a run of the schedule that nobody was there to take, as Prefect's scheduler does."""
    deployment = site.deployment("nightly")
    due = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    made: dict[str, str] = site.post(
        "flow_runs/",
        flow_id=deployment["flow_id"],
        deployment_id=deployment["id"],
        state={"type": "SCHEDULED", "state_details": {"scheduled_time": due}},
    )
    mark_scheduled = text("UPDATE flow_run SET auto_scheduled = true WHERE id = :id")
    engine = create_engine(site.database_url)
    with engine.begin() as connection:
        connection.execute(mark_scheduled, made)
    engine.dispose()
    return made["id"]


def test_a_worker_ends_in_words_runs_the_next_night_after_a_power_cut_and_tells_of_killed_runs(
    site: Site, pytestconfig: pytest.Config
) -> None:
    root = pytestconfig.rootpath
    site.prefect_cli("work-pool", "create", "noctule", "--type", "process")
    site.prefect_cli("deploy", "--all", where=root)
    site.start("worker", "prefect", "worker", "start", "--pool", "noctule")
    (site.home / "inbox" / "noise-2026-11-07.csv").write_bytes(b"\0\2\1\n" * 9)
    told = {"env": {**declared_environment(root), "NOCTULE_HOME": str(site.home)}}
    wrong = {"env": {**told["env"], "NOCTULE_SEED": "many"}}
    mount = {"env": {**told["env"], "NOCTULE_INBOX": str(site.folder / "mount")}}
    ends = [
        site.end_of(asked)
        for asked in [
            site.ask("nightly"),
            site.ask("nightly", job_variables=wrong),
            site.ask("nightly", job_variables=mount),
            site.ask("train", parameters={"files": ["/no.csv"]}),
        ]
    ]
    assert {state for state, _ in ends} == {"FAILED"}
    messages = [message for _, message in ends]
    assert messages[0].startswith("1 file: 1 rejected; 0 flagged; noise-2026-11-07.csv: ")
    assert "NOCTULE_SEED" in messages[1]
    assert f"{site.folder / 'mount'}: it is not a folder" in messages[2]
    assert messages[3] == "Cannot read /no.csv: there is no such file."
    assert_in_words(site.log("worker"))

    site.dismiss_all()
    site.deliver("night-2026-11-23.csv", 20_000, seed=5)
    cut = leak_a_slot(site, "worker")
    site.prefect_cli("deploy", "--all", where=root)
    site.start("again", "prefect", "worker", "start", "--pool", "noctule")
    state, message = site.end_of(site.ask("nightly"))
    assert (state, message.partition(";")[0]) == ("COMPLETED", "1 file: 1 scored")
    for zombie in (site.prefect.flow_run(cut), *site.prefect.children(cut)):
        assert zombie["state"]["message"] == "ended without a word (killed?)"

    site.deliver("night-2026-11-24.csv", 20_000, seed=6)
    killed = site.ask("nightly")
    site.at_work("again")
    site.processes["again"].terminate()  # which kills its runs
    assert site.end_of(killed) == ("CRASHED", "ended without a word (killed?)")
    (file,) = site.prefect.children(killed)
    assert site.end_of(file["id"]) == ("CRASHED", "ended without a word (killed?)")


def declared_environment(root: Path) -> dict[str, str]:
    """Read what prefect.yaml tells its runs."""
    declared = yaml.safe_load((root / SETTING_UP).read_text())
    environment: dict[str, str] = declared["definitions"]["pool"]["job_variables"]["env"]
    return environment


def test_a_run_that_goes_silent_is_marked_as_crashed_by_an_automation(site: Site) -> None:
    for old in site.prefect.read("automations"):
        site.request("DELETE", f"automations/{old['id']}")
    with (
        prefect_environment({"PREFECT_API_URL": site.prefect.address}),
        get_client(sync_client=True) as client,
    ):
        ensure_crash_automation(client, silence_s=10)
        ensure_crash_automation(client, silence_s=10)
    (automation,) = site.prefect.read("automations")
    assert (automation["name"], automation["enabled"]) == (
        "noctule: crash runs that went silent",
        True,
    )
    flow = site.post("flows/", name="nightly")
    silent, other = (
        site.post("flow_runs/", flow_id=flow["id"], state={"type": "RUNNING"})["id"]
        for _ in range(2)
    )
    tag = {"prefect.resource.id": "prefect.tag.noctule", "prefect.resource.role": "tag"}
    beats = [
        {
            "id": str(uuid4()),
            "occurred": datetime.now(UTC).isoformat(),
            "event": "prefect.flow-run.heartbeat",
            "resource": {"prefect.resource.id": f"prefect.flow-run.{one}"},
            "related": related,
        }
        for one, related in ((silent, [tag]), (other, []))
    ]
    site.request("POST", "events", beats)
    assert site.end_of(silent) == ("CRASHED", "No heartbeat for 10 s: its process is gone.")
    assert site.prefect.flow_run(other)["state_type"] == "RUNNING", "of another program"
