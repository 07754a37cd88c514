"""A Prefect server that is away, broken or dies: exit code 4 and a way out, never a password."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows.prefect_api import without_password

if TYPE_CHECKING:
    from tests.flows.conftest import Ended

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
            if said is not None:
                self.send_response(said[0])
                self.send_header("Content-Length", str(len(said[1])))
                self.end_headers()
                self.wfile.write(said[1])

        do_POST = do_PATCH = do_GET

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
    with temporary_settings({PREFECT_API_URL: address, PREFECT_CLIENT_MAX_RETRIES: 0}):
        yield


@pytest.mark.parametrize(
    ("status", "reason"), [(401, "401 Unauthorized"), (404, "404 Not Found"), (302, "302 Found")]
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
