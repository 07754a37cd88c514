"""A private Prefect server, which runs as long as any command uses it.

Belongs here: starting, sharing and stopping that server, and the process it runs in. Does not
belong here: a server that the user has set up (``flows.prefect_api``).

Prefect's ephemeral server is not used: it is stopped abruptly, and loses most task runs at exit.
This one is the ordinary server in a separate process, with its database in its folder. It is asked
to stop, and has time to write the records that it has received.

Commands that run at the same time share it, and no server remains, even after kills. Three locks
show who is there. They are made with ``flock``, so a lock ends with the process that holds it:

- ``users`` is held shared by every command while it uses the server;
- ``server`` is held by the server while it runs, and contains its process number and port;
- ``door`` is held by a command while it starts, joins, leaves or stops the server.

Every second the server checks whether it has a user, and ends if it has none. So no server remains
after a command that was killed with ``kill -9``.
"""

import fcntl
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import httpx

from expectations.errors import ServiceUnavailableError, UsageError
from flows.proxies import spare_this_machine

HOST = "127.0.0.1"

DOOR, USERS, SERVER, LOG = "door", "users", "server", "server.log"

START_LIMIT_S = 120.0
"""Most seconds to wait for the server. 19 s were measured on a cold disk; CI machines vary."""
DRAIN_LIMIT_S = 10.0
"""Most seconds to wait until this process's last records are sent; they take milliseconds."""
STOP_LIMIT_S = 30.0
"""Most seconds to wait until the server has written its last records; it takes about 3 s."""
WATCH_S = 1.0
"""Seconds between two checks for users; each costs two system calls."""
POLL_S = 0.1
"""Seconds between two checks of a server that starts or stops. A guess."""


class Running(NamedTuple):
    """A server that runs."""

    pid: int
    port: int

    @property
    def address(self) -> str:
        """The address of its API."""
        return f"http://{HOST}:{self.port}/api"


@contextmanager
def private_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """Use the folder's server as this process's Prefect API; start it if it is not running.

    A server that is started takes a free port if ``port`` is None.

    Yields:
        The API's address.

    Raises:
        ServiceUnavailableError: it did not become healthy in time.
        UsageError: the folder cannot be created or written.
    """
    spare_this_machine(f"http://{HOST}")
    _make_usable(folder)
    with (folder / USERS).open("ab") as place:
        with _lock(folder / DOOR):
            fcntl.flock(place, fcntl.LOCK_SH)
            address = _join(folder) or _start(folder, port or _free_port())
        try:
            with prefect_environment(_environment(folder, address)):
                try:
                    yield address
                finally:
                    send_last_records()
        finally:
            with _lock(folder / DOOR):
                fcntl.flock(place, fcntl.LOCK_UN)
                if _try_lock(place):
                    _stop(folder)


def _make_usable(folder: Path) -> None:
    """Create the server's home, or raise if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (DOOR, USERS, SERVER, LOG):
            (folder / name).open("ab").close()
    except OSError as error:
        msg = (
            f"Cannot keep Prefect's records in {folder}: {error.strerror} ({error.filename}). Set "
            "NOCTULE_HOME to a folder that this user may write, or PREFECT_API_URL to a server"
        )
        raise UsageError(msg) from None


@contextmanager
def prefect_environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Change Prefect's settings for this process and its children until the block ends."""
    import prefect.context

    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    prefect.context.refresh_global_settings_context()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        prefect.context.refresh_global_settings_context()


def _environment(folder: Path, address: str) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": address,
        "PREFECT_SERVER_UI_API_URL": address,
    }


def _join(folder: Path) -> str | None:
    """Return the address of the server that runs in a folder; None if no server runs."""
    found = _find(folder)
    if found is None:
        return None
    _wait_until_healthy(lambda: _find(folder) is not None, found.address, folder / LOG)
    return found.address


def _start(folder: Path, port: int) -> str:
    """Start a server, and return its address once it answers."""
    address = Running(0, port).address
    with (folder / LOG).open("ab") as output:
        server = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell, our own words
            [sys.executable, "-P", "-m", __name__, str(folder), str(port)],
            env={**os.environ, **_environment(folder, address)},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches only the command, which stops the server
        )
    # Collects the exit code while this process runs, so that the server does not become a zombie.
    threading.Thread(target=server.wait, daemon=True).start()
    _wait_until_healthy(lambda: server.returncode is None, address, folder / LOG)
    return address


def _wait_until_healthy(is_alive: Callable[[], bool], address: str, log: Path) -> None:
    """Wait until a server answers; raise if it ends or takes too long."""
    deadline = time.monotonic() + START_LIMIT_S
    while (is_there := is_alive()) and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/health", timeout=5).is_success:
                return
        time.sleep(POLL_S)
    state = f"not healthy after {START_LIMIT_S:.0f} s" if is_there else "it ended"
    msg = f"Cannot use a private Prefect server at {address}: {state}. Its log is {log}"
    raise ServiceUnavailableError(msg)


def send_last_records(limit_s: float = DRAIN_LIMIT_S) -> None:
    """Send the events and log lines that this process still holds to the server.

    What the server does not take in time is dropped. Prefect would try for 7 s for each event, and
    keep the process from ending.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    kinds: tuple[Any, ...] = (EventsWorker, APILogWorker)
    for kind in kinds:
        workers = [(one._loop, one._task) for one in kind._instances.values()]  # noqa: SLF001
        _, late = kind.drain_all(timeout=limit_s)
        for loop, task in workers if late else ():
            loop.call_soon_threadsafe(task.cancel)


def _stop(folder: Path) -> None:
    """Ask the server to end, so that it writes its records; kill it if it takes too long."""
    found = _find(folder)
    if found is None:
        return
    deadline = time.monotonic() + STOP_LIMIT_S
    with suppress(ProcessLookupError):  # it may end between two checks
        os.kill(found.pid, signal.SIGINT)
        while _find(folder) is not None:
            if time.monotonic() > deadline:
                os.killpg(found.pid, signal.SIGKILL)
            time.sleep(POLL_S)


def _find(folder: Path) -> Running | None:
    """Return the server that runs in a folder; None if no process holds its lock."""
    with (folder / SERVER).open("a+b") as place:
        while not _try_lock(place):
            place.seek(0)
            written = place.read().split()
            if written:
                pid, port = map(int, written)
                return Running(pid, port)
            time.sleep(POLL_S)  # it holds the lock, and is about to write its number
    return None


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a file's lock; wait while another process holds it."""
    with path.open("ab") as place:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield


def _try_lock(place: IO[bytes] | int) -> bool:
    """Take an open file's lock until the file is closed; return False if another one holds it."""
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def serve(folder: Path, port: int) -> None:
    """Run the server in this process, until it is asked to end or has no user."""
    place = os.open(folder / SERVER, os.O_RDWR | os.O_CREAT)  # stays open until the process ends
    if not _try_lock(place):
        sys.exit(f"another server runs in {folder}")
    os.truncate(place, 0)
    os.write(place, f"{os.getpid()} {port}".encode())
    threading.Thread(target=_watch, args=(folder,), daemon=True).start()
    sys.argv = ["prefect", "server", "start", "--host", HOST, "--port", str(port)]
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


def _watch(folder: Path) -> None:
    """End this process when no user is left, even if all were killed."""
    with (folder / USERS).open("ab") as users:
        while True:
            time.sleep(WATCH_S)
            with _lock(folder / DOOR):  # no command joins or leaves meanwhile
                if _try_lock(users):
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(STOP_LIMIT_S)  # holds the door until this process has ended
                    os.killpg(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
