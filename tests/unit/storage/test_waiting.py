"""Noctule waits for a PostgreSQL server that does not answer; a refusal is final."""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from sqlalchemy.engine import make_url

from expectations.errors import NoctuleError, ServiceUnavailableError
from storage.database import connect

NOWHERE = Path("unused")
ENCRYPTION_REQUESTS = {80877103, 80877104}
"""What a client begins with that would like TLS or GSSAPI (PostgreSQL's manual, 54.7)."""


class Clock:
    """A time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, pause_s: float) -> None:
        self.now_s += pause_s
        self.pauses.append(pause_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tenacity.time", clock)
    monkeypatch.setattr("tenacity.nap.time", clock)
    return clock


@pytest.fixture
def closed() -> str:
    """Address a port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"postgresql://noctule:secret@127.0.0.1:{listener.getsockname()[1]}/noctule"


@pytest.fixture
def answering() -> Iterator[Callable[..., str]]:
    """Answer every client as a server that lets nobody in; the address of that server."""
    servers: list[ThreadingTCPServer] = []

    def answer(code: str, said: str) -> str:
        fields = {"S": "FATAL", "V": "FATAL", "C": code, "M": said}
        body = b"".join(f"{kind}{text}\0".encode() for kind, text in fields.items()) + b"\0"

        class Refusal(BaseRequestHandler):
            def handle(self) -> None:
                while True:
                    size, kind = struct.unpack("!ii", self.request.recv(8, socket.MSG_WAITALL))
                    if kind not in ENCRYPTION_REQUESTS:
                        break
                    self.request.sendall(b"N")
                self.request.recv(size - 8, socket.MSG_WAITALL)
                self.request.sendall(b"E" + struct.pack("!i", len(body) + 4) + body)

        server = ThreadingTCPServer(("127.0.0.1", 0), Refusal)
        Thread(target=server.serve_forever, args=(0.01,)).start()
        servers.append(server)
        return f"postgresql://noctule:secret@127.0.0.1:{server.server_address[1]}/noctule"

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


def refusal(url: str | None, home: Path = NOWHERE, wait_s: float = 30) -> str:
    """Try to connect, and return what is said in the end."""
    with pytest.raises(ServiceUnavailableError) as refused:
        connect(url, home, wait_s)
    assert refused.value.exit_code == 4
    assert "secret" not in str(refused.value)
    return str(refused.value)


def test_a_server_that_refuses_connections_is_asked_at_growing_intervals_until_the_time_is_up(
    closed: str, clock: Clock
) -> None:
    assert "Connection refused" in refusal(closed)
    assert clock.pauses == [0.5, 1, 2, 4, 8, 8, 6.5]
    assert sum(clock.pauses) == 30


def test_without_time_to_wait_it_is_asked_once(closed: str, clock: Clock) -> None:
    refusal(closed, wait_s=0)
    assert clock.pauses == []


def test_the_wait_is_one_of_a_real_clock(closed: str) -> None:
    began = time.monotonic()
    refusal(closed, wait_s=1)
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    "said",
    [
        "the database system is starting up",
        "the database system is shutting down",
        "the database system is in recovery mode",
        "the database system is not yet accepting connections",
    ],
)
def test_a_server_that_says_it_will_soon_be_ready_is_asked_again(
    answering: Callable[..., str], clock: Clock, said: str
) -> None:
    assert said in refusal(answering("57P03", said), wait_s=3)
    assert clock.pauses == [0.5, 1, 1.5]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("28P01", 'password authentication failed for user "noctule"'),
        ("28000", 'no pg_hba.conf entry for host "127.0.0.1"'),
        ("3D000", 'database "noctule" does not exist'),
    ],
)
def test_a_server_that_refuses_this_user_or_database_is_asked_once(
    answering: Callable[..., str], clock: Clock, code: str, said: str
) -> None:
    assert said in refusal(answering(code, said))
    assert clock.pauses == []


def test_a_database_that_a_real_server_does_not_have_is_asked_for_once(
    postgres_url: str, clock: Clock
) -> None:
    missing = make_url(postgres_url).set(database="missing")
    said = refusal(missing.render_as_string(hide_password=False))
    assert 'database "missing" does not exist' in said
    assert clock.pauses == []


@pytest.mark.parametrize(
    ("query", "code"), [("pasword=x", 2), ("sslmode=often", 4), ("service=nothing", 4)]
)
def test_a_wrong_option_of_the_address_is_not_tried_again(
    closed: str, clock: Clock, query: str, code: int
) -> None:
    with pytest.raises(NoctuleError) as refused:
        connect(f"{closed}?{query}", NOWHERE, 30)
    assert (refused.value.exit_code, clock.pauses) == (code, [])


def test_a_sqlite_file_that_cannot_be_opened_is_not_waited_for(
    tmp_path: Path, clock: Clock
) -> None:
    (tmp_path / "noctule.db").mkdir()
    assert "unable to open database file" in refusal(None, tmp_path)
    assert clock.pauses == []
