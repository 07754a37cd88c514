"""A Prefect server that is unreachable, broken or dies: exit code 4, advice, and no password."""

import json
import os
import shutil
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prefect._internal.concurrency.services import _active_services
from prefect.events.worker import EventsWorker
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging.handlers import APILogWorker

from expectations.errors import ServiceUnavailableError
from flows import batch
from flows.cli.flow_runs import run_night
from flows.prefect_api import prefect_api, without_password
from flows.private_server import prefect_environment
from flows.settings import load_settings
from storage.database import connect
from tasks.store import store_scored
from tests.support.killed_runs import read_rows

if TYPE_CHECKING:
    from tests.flows.conftest import Ended

STOP_S = 10

Answer = Callable[[BaseHTTPRequestHandler], tuple[int, bytes] | None]
"""What a server says to a request: a status and JSON, or nothing, with the connection cut."""


@contextmanager
def listening(answer: Answer) -> Iterator[str]:
    """Answer requests as Prefect's server would not; yield host and port."""

    class Handler(BaseHTTPRequestHandler):
        def handle(self) -> None:
            self.handle_one_request()  # one a connection

        def do_GET(self) -> None:
            said = answer(self)
            if said is None:
                return
            with suppress(ConnectionError):  # one who waits for an answer may leave before it
                self.send_response(said[0])
                self.send_header("Content-Length", str(len(said[1])))
                self.end_headers()
                self.wfile.write(said[1])

        do_POST = do_PATCH = do_GET  # noqa: N815 - the names http.server calls

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def configured(place: str) -> Iterator[None]:
    """Make a server the user's, with a password; no request is tried again."""
    address = f"http://u:secret@{place}/api"
    with prefect_environment({"PREFECT_API_URL": address, "PREFECT_CLIENT_MAX_RETRIES": "0"}):
        yield


@pytest.mark.parametrize(
    ("status", "reason"),
    [(404, "404 Not Found"), (302, "302 Found"), (503, "503 Service Unavailable")],
)
@pytest.mark.usefixtures("home", "prefect_server")
def test_a_server_that_refuses_is_told_by_its_status_and_without_the_password(
    tmp_path: Path, noctule: "Callable[..., Ended]", status: int, reason: str
) -> None:
    with listening(lambda _: (status, b"{}")) as place, configured(place):
        ended = noctule("run", tmp_path)
    assert (ended.code, ended.out) == (4, "")
    assert ended.err == (
        f"noctule: Cannot reach the Prefect server at http://{place}/api: it answers {reason}. "
        "Start it with 'prefect server start', or unset PREFECT_API_URL to use a private one\n"
    )


ASKS = "it asks for a password"
WRONG = "it refuses the password that is set"


@pytest.mark.parametrize(
    ("status", "is_before_health", "user", "password", "says"),
    [
        (401, False, "", None, ASKS),
        (401, False, "", "u:secret", WRONG),
        (401, False, "u:secret@", None, WRONG),
        (403, True, "", None, ASKS),
        (401, True, "", "u:secret", WRONG),
        (401, True, "u:secret@", None, WRONG),
    ],
)
@pytest.mark.usefixtures("prefect_server")
def test_a_server_that_asks_for_a_password_is_said_to_with_the_variable(
    home: Path,
    noctule: "Callable[..., Ended]",
    status: int,
    user: str,
    password: str | None,
    says: str,
    *,
    is_before_health: bool,
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        is_let_in = is_health(request) and not is_before_health
        return (200, b"true") if is_let_in else (status, b"{}")

    with listening(answer) as place:
        told = {"PREFECT_API_URL": f"http://{user}{place}/api", "PREFECT_CLIENT_MAX_RETRIES": "0"}
        with prefect_environment(
            told | ({"PREFECT_API_AUTH_STRING": password} if password else {})
        ):
            ended = noctule("run", home / "labelled.csv")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err == (
        f"noctule: Cannot use the Prefect server at http://{place}/api: {says} (it answers"
        f" {status}). Set PREFECT_API_AUTH_STRING=USER:PASSWORD to what the server has in"
        " PREFECT_SERVER_API_AUTH_STRING. Then run the command again: everything stored so far is"
        " kept\n"
    )


def test_a_password_is_sent_to_what_stands_before_the_server(tmp_path: Path) -> None:
    asked: list[str | None] = []

    def answer(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        asked.append(request.headers["Authorization"])
        return 200, b"true"

    with (
        listening(answer) as place,
        prefect_environment(
            {"PREFECT_API_URL": f"http://{place}/api", "PREFECT_API_AUTH_STRING": "u:sec:ret"}
        ),
        prefect_api(tmp_path),
    ):
        assert asked == ["Basic dTpzZWM6cmV0"]


@pytest.mark.parametrize(
    "refusal", [httpx.ProxyError("407 Proxy Authentication Required"), "407 by a status"]
)
def test_a_proxy_that_asks_for_a_password_is_named(
    tmp_path: Path,
    prefect_server: str,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Exception | str,
) -> None:
    if isinstance(refusal, str):
        request = httpx.Request("POST", prefect_server)
        refusal = PrefectHTTPStatusError(
            refusal, request=request, response=httpx.Response(407, request=request)
        )

    def ask() -> None:
        with prefect_api(tmp_path):
            monkeypatch.setenv("http_proxy", "http://ada:secret@proxy.example:3128")
            raise refusal

    with pytest.raises(ServiceUnavailableError) as told:
        ask()
    assert (
        f"Cannot reach the Prefect server at {prefect_server}: the proxy"
        " http://proxy.example:3128 asks for a password (407). Write USER:PASSWORD@ into"
    ) in str(told.value)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://127.0.0.1:4200/api", "http://127.0.0.1:4200/api"),
        ("https://u:secret@prefect.example/api", "https://prefect.example/api"),
        ("http://u:sec/ret@h/api", "http://h/api"),
        ("http://u:s@cret@h/api", "http://h/api"),
        ("http://u:secret@[::1/api", "http://[::1/api"),
        ("u:secret@h", "h"),
        ("http://u:sec\nret@h", "http://h"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_password_however_malformed(
    address: str, shown: str
) -> None:
    assert without_password(address) == shown


def is_health(request: BaseHTTPRequestHandler) -> bool:
    """Whether a request asks for nothing but a sign of life."""
    return request.path.endswith("/health")


def assert_lost(said: str, place: str, reason: str) -> None:
    assert said == (
        f"noctule: Lost the Prefect server at http://{place}/api: {reason}. Look at its log and "
        "start it again, then run the command again: everything stored so far is kept\n"
    )


@pytest.mark.parametrize("command", ["run labelled.csv", "train labelled.csv", "serve"])
@pytest.mark.usefixtures("prefect_server")
def test_a_server_that_is_up_but_broken_ends_a_command_with_4(
    home: Path,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        return (200, b"true") if is_health(request) else (500, b"{}")

    monkeypatch.chdir(home)
    with listening(answer) as place, configured(place):
        ended = noctule(*command.split())
    assert (ended.code, ended.out) == (4, "")
    assert_lost(ended.err, place, "it answers 500 Internal Server Error")


class Mortal:
    """The session's server, until it is asked for something that kills it."""

    def __init__(self, address: str, kills: Callable[[str, str], bool]) -> None:
        self.is_dead = False
        self.permits: set[str] = set()
        """What requests said to be let in."""
        self._address = address
        self._kills = kills

    def __call__(self, request: BaseHTTPRequestHandler) -> tuple[int, bytes] | None:
        """Hand a request on to the real server, while it lives."""
        self.permits.add(request.headers.get("Authorization", ""))
        self.is_dead = self.is_dead or self._kills(request.command, request.path)
        if self.is_dead:
            return None
        answer = httpx.request(
            request.command,
            self._address + request.path.removeprefix("/api"),
            content=request.rfile.read(int(request.headers.get("Content-Length", 0))),
            headers={"Content-Type": "application/json"},
            timeout=30,
        )
        return answer.status_code, answer.content


@pytest.mark.parametrize("fatal", ["POST /api/flow_runs/", "POST /api/task_runs/"])
@pytest.mark.usefixtures("settled")
def test_a_server_that_dies_in_the_middle_of_a_night_ends_it_with_4(
    home: Path, prefect_server: str, noctule: "Callable[..., Ended]", fatal: str
) -> None:
    server = Mortal(prefect_server, lambda command, path: f"{command} {path}" == fatal)
    with listening(server) as place, configured(place):
        ended = noctule("run", home / "labelled.csv")
    assert server.is_dead
    assert server.permits == {"Basic " + b64encode(b"u:secret").decode()}
    assert (ended.code, ended.out) == (4, "")
    assert_lost(ended.err, place, "Server disconnected without sending a response.")


@pytest.fixture(scope="module")
def few(trained_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file of 299 connections."""
    path = tmp_path_factory.mktemp("few") / "night-2026-11-20.csv"
    lines = (trained_home / "labelled.csv").read_text().split("\n")
    path.write_text("\n".join(lines[:300]) + "\n")
    return path


@pytest.fixture(scope="module")
def undisturbed(
    few: Path, trained_home: Path, prefect_server: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    """What a run stores whose server lives."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    shutil.copytree(trained_home, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOCTULE_HOME", str(home))
        assert run_night(load_settings(), [few], None).exit_code == 0
    return rows_of(home)


@pytest.mark.parametrize(
    ("moment", "is_stored"), [("before the first task", False), ("after the commit", True)]
)
@pytest.mark.usefixtures("settled")
def test_what_a_server_that_died_never_heard_of_is_told_by_the_database(
    home: Path,
    prefect_server: str,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
    few: Path,
    undisturbed: dict[str, list[str]],
    moment: str,
    is_stored: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    has_committed = Event()

    def store_then_die(*arguments: Any) -> None:  # noqa: ANN401 - the task's
        store_scored(*arguments)
        has_committed.set()

    def kills(command: str, path: str) -> bool:
        is_first = f"{command} {path}" == "POST /api/task_runs/"
        return has_committed.is_set() or (is_first and not is_stored)

    server = Mortal(prefect_server, kills)
    with listening(server) as place, configured(place), monkeypatch.context() as patch:
        patch.setattr(batch, "store_scored_task", store_then_die)
        before = set(services())
        ended = noctule("run", few)
        begun = set(services()) - before
    assert server.is_dead
    assert begun
    for one in begun:  # none keeps the process from ending
        one._drain(at_exit=True).result(timeout=20)
    assert ended.code == 4
    rows = rows_of(home)
    assert bool(rows["prediction"]) is bool(rows["outbox"]) is is_stored

    again = noctule("run", few, "--json")
    assert again.code == 0
    (file,) = json.loads(again.out)["files"]
    assert file["status"] == ("known" if is_stored else "scored")
    assert rows_of(home) == undisturbed
    assert noctule("db", "check").code == 0


def services() -> list[Any]:
    """List Prefect's services of this process that send records."""
    kinds = (EventsWorker, APILogWorker)
    return [one for one in list(_active_services) if isinstance(one, kinds)]


@pytest.mark.usefixtures("settled")
def test_a_signal_ends_a_run_in_time_whose_server_answers_nothing(
    home: Path, prefect_server: str, few: Path, wait_for: Callable[..., Any]
) -> None:
    server = Mortal(prefect_server, lambda command, path: f"{command} {path}" == "POST /api/logs/")
    with listening(server) as place:
        told = {"PREFECT_API_URL": f"http://{place}/api"}
        with subprocess.Popen(
            [Path(sys.executable).with_name("noctule"), "run", few],
            env={**os.environ, **told},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            wait_for(lambda: server.is_dead, 240)
            process.send_signal(signal.SIGTERM)
            try:
                out, said = process.communicate(timeout=STOP_S)
            finally:
                process.kill()
    assert (process.returncode, out) == (143, "")
    assert said.startswith("noctule: stopped by SIGTERM")
    assert said.count("\n") == 1


def rows_of(home: Path) -> dict[str, list[str]]:
    """Read what is stored in a home, but for times and runs."""
    engine = connect(None, home)
    try:
        return read_rows(engine)
    finally:
        engine.dispose()


def test_an_error_of_another_kind_stays_a_bug(tmp_path: Path, prefect_server: str) -> None:
    message = "boom"
    with pytest.raises(RuntimeError, match=r"^boom$"), prefect_api(tmp_path):
        raise RuntimeError(message) from ValueError("x")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError("refused"), "refused"),
        (RuntimeError("Service exceeded error threshold."), "it stopped answering"),
    ],
)
def test_a_server_that_a_loop_of_prefect_has_lost_is_lost(
    tmp_path: Path, prefect_server: str, error: Exception, reason: str
) -> None:
    groups = ExceptionGroup("outer", [ExceptionGroup("inner", [ValueError("x"), error])])
    with pytest.raises(ServiceUnavailableError, match=f": {reason}."), prefect_api(tmp_path):
        raise groups


def test_the_password_alone_is_taken_out_of_the_address(tmp_path: Path) -> None:
    with (
        listening(lambda _: (200, b"true")) as place,
        prefect_environment({"PREFECT_API_URL": f"http://u:secret@{place}/api@v1"}),
        prefect_api(tmp_path) as shown,
    ):
        assert shown == os.environ["PREFECT_API_URL"] == f"http://{place}/api@v1"
        assert os.environ["PREFECT_API_AUTH_STRING"] == "u:secret"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, PrefectHTTPStatusError),
        (503, ServiceUnavailableError),
        (401, ServiceUnavailableError),
        (409, PrefectHTTPStatusError),
        (422, PrefectHTTPStatusError),
    ],
)
def test_a_request_that_prefect_understands_and_refuses_is_a_bug(
    tmp_path: Path, prefect_server: str, status: int, expected: type[Exception]
) -> None:
    request = httpx.Request("POST", prefect_server)
    refusal = PrefectHTTPStatusError(
        "no", request=request, response=httpx.Response(status, request=request)
    )
    with pytest.raises(expected), prefect_api(tmp_path):
        raise refusal


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://u:secret@[::1/api", "http://[::1/api"),
        ("http://u:sec/ret@h/api", "http://h/api"),
        ("u:secret@h/api", "h/api"),
        ("ftp://u:secret@h/api", "ftp://h/api"),
        ("http://u:secret@h:99999/api", "http://h:99999/api"),
        ("", ""),
    ],
)
@pytest.mark.usefixtures("home")
def test_an_address_that_is_none_ends_with_2_before_anything_is_asked(
    noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch, address: str, shown: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", address)
    ended = noctule("serve")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"noctule: Cannot use PREFECT_API_URL='{shown}': expected an address such as "
        "http://127.0.0.1:4200/api. Correct it, or unset it to use a private server\n"
    )


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("PREFECT_API_URL", "http://u:secret@[::1/api", "PREFECT_API_URL='http://[::1/api'"),
        ("PREFECT_CLIENT_MAX_RETRIES", "many", "max_retries: Input should be a valid integer"),
    ],
)
def test_settings_that_prefect_cannot_be_imported_with_end_with_2_and_no_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(variable, value)
    ended = subprocess.run(
        [Path(sys.executable).with_name("noctule"), "train", home / "labelled.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    *_, last = ended.stderr.splitlines()  # Prefect may have said the same before, in its words
    assert last.startswith("noctule: Cannot use ")
    assert problem in last
    assert "Traceback" not in ended.stderr
    assert "secret" not in ended.stderr
