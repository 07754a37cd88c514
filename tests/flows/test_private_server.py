"""All commands of a home share one private server, which ends with the last of them."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from expectations.errors import UsageError
from flows.private_server import private_server

COMMAND = """
import sys
from pathlib import Path
from flows.prefect_api import prefect_api
with prefect_api(Path(sys.argv[1])) as address:
    print(address, flush=True)
    sys.stdin.read()
"""
GONE_LIMIT_S = 60


class Command:
    """A process that uses the private server until it is told to end."""

    def __init__(self, home: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, home],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def address(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> int:
        self.process.communicate(timeout=GONE_LIMIT_S)
        return self.process.returncode


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Command]]:
    """Start commands on a fresh home, with no server set up."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "of the user"))
    started: list[Command] = []

    def start() -> Command:
        started.append(Command(tmp_path / "home"))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def server_of(home: Path) -> psutil.Process:
    pid, _port = (home / "prefect" / "server").read_text().split()
    return psutil.Process(int(pid))


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE  # nobody may be there to reap it
    except psutil.NoSuchProcess:
        return False


def is_healthy(address: str) -> bool:
    return httpx.get(f"{address}/health", timeout=10).is_success


def test_commands_at_once_share_a_server_that_ends_with_the_last_however_it_ends(
    command: Callable[[], Command], tmp_path: Path, wait_for: Callable[..., Any]
) -> None:
    first, second = command(), command()
    address = first.address()
    assert second.address() == address
    server = server_of(tmp_path / "home")

    assert first.end() == 0
    assert is_healthy(address)
    second.process.send_signal(signal.SIGKILL)
    wait_for(lambda: not is_alive(server), limit_s=GONE_LIMIT_S)

    third = command()
    assert is_healthy(third.address())
    server = server_of(tmp_path / "home")
    assert third.end() == 0
    assert not is_alive(server), "a command returns when what it started has ended"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda home: home.touch(), "Not a directory"),
        (lambda home: home.symlink_to("/proc"), "No such file or directory"),
        (lambda home: (home / "prefect" / "users").mkdir(parents=True), "Is a directory"),
    ],
    ids=["a file", "no place for files", "not ours"],
)
def test_a_home_that_cannot_be_used_is_a_mistake_of_the_user(
    tmp_path: Path, spoil: Callable[[Path], None], problem: str
) -> None:
    folder = tmp_path / "home" / "prefect"
    spoil(tmp_path / "home")
    with pytest.raises(UsageError) as refused, private_server(folder):
        pass
    assert str(refused.value).startswith(f"Cannot keep Prefect's records in {folder}: {problem} (")
    assert "Set NOCTULE_HOME to a folder that this user may write" in str(refused.value)
