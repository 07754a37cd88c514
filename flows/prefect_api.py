"""The Prefect API that a command talks to: the user's own, or a private server while it runs.

Belongs here: finding, starting and stopping the API. Does not belong here: flows and deployments.

Prefect's ephemeral server is not used: it is stopped without ceremony and loses most task runs at
exit. The private one is the ordinary server with its database in ``NOCTULE_HOME/prefect``; it is
asked to stop and given the time to write what it has heard.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from expectations.errors import ServiceUnavailableError

SERVER_COMMAND = ("-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port")
START_LIMIT_S = 120.0
"""Longest wait for a private server: 19 s were measured on a cold disk, and CI machines vary."""
DRAIN_LIMIT_S = 10.0
"""Longest wait for this process's own last records to be sent; they take milliseconds."""
STOP_LIMIT_S = 30.0
"""Longest wait for it to write its last records; it takes about 3 s."""


def quiet_libraries(console_level: str = "CRITICAL") -> None:
    """Turn off what libraries send home or write to the terminal, unless the user set it.

    Args:
        console_level: of Prefect's log on the terminal. A flow's log is in its run; a command
            prints what became of it in its own words.
    """
    for name, value in {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "noctule",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # stages also run outside flows
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": console_level,
        "GX_ANALYTICS_ENABLED": "false",
        "KERAS_BACKEND": "jax",
    }.items():
        os.environ.setdefault(name, value)


def require_prefect_api() -> str:
    """Return the address of the Prefect API that the user has set up.

    Raises:
        ServiceUnavailableError: no address is set, or nothing healthy answers there.
    """
    address = _configured_address()
    if address is None:
        msg = (
            "Cannot serve deployments: no Prefect server is set. Start one with "
            "'prefect server start' and set PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
        raise ServiceUnavailableError(msg)
    _check_health(address)
    return address


@contextmanager
def prefect_api(home: Path) -> Iterator[str]:
    """Provide a Prefect API for the length of a command.

    Args:
        home: ``NOCTULE_HOME``; a private server keeps its database in its folder ``prefect``.

    Yields:
        The API's address.

    Raises:
        ServiceUnavailableError: the configured API does not answer, or none could be started.
    """
    quiet_libraries()
    address = _configured_address()
    if address is not None:
        _check_health(address)
        yield address
        return
    with private_server(home / "prefect") as address:
        yield address


@contextmanager
def private_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """Run a Prefect server of our own on the loopback, and make it this process's API.

    Args:
        folder: the server's home, with its database and its log.
        port: where it listens; a free one if None.

    Yields:
        The API's address.

    Raises:
        ServiceUnavailableError: it did not become healthy in time.
    """
    import prefect.context

    port = port or _free_port()
    address = f"http://127.0.0.1:{port}/api"
    folder.mkdir(parents=True, exist_ok=True)
    changes = {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": address,
        "PREFECT_SERVER_UI_API_URL": address,
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    prefect.context.refresh_global_settings_context()
    log = folder / "server.log"
    try:
        with log.open("ab") as output:
            server = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell, fixed words
                [sys.executable, *SERVER_COMMAND, str(port)],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the command, which then stops the server
            )
        try:
            _wait_until_healthy(server, address, log)
            yield address
        finally:
            _send_what_is_left()
            _stop(server)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        prefect.context.refresh_global_settings_context()


def _configured_address() -> str | None:
    """Return the API address of the user's environment or Prefect profile."""
    from prefect.settings import PREFECT_API_URL

    address: str | None = PREFECT_API_URL.value()
    return address


def _check_health(address: str) -> None:
    """Raise unless a healthy Prefect API answers at the address."""
    try:
        httpx.get(f"{address.rstrip('/')}/health", timeout=10).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        msg = (
            f"Cannot reach the Prefect server at {_without_password(address)}: {error}. Start it "
            "with 'prefect server start', or unset PREFECT_API_URL to use a private one"
        )
        raise ServiceUnavailableError(msg) from None


def _without_password(address: str) -> str:
    """Return an address as it may be shown."""
    url = httpx.URL(address)
    return str(url.copy_with(userinfo=b"")) if url.userinfo else address


def _wait_until_healthy(server: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    """Return once the server answers; raise if it ends or takes too long."""
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{address}/health", timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    state = "ended" if server.poll() is not None else f"not healthy after {START_LIMIT_S:.0f} s"
    msg = f"Cannot start a Prefect server: {state}. Its log is {log}"
    raise ServiceUnavailableError(msg)


def _send_what_is_left() -> None:
    """Hand the server the events and log lines that this process still holds."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all(timeout=DRAIN_LIMIT_S)
    APILogWorker.drain_all(timeout=DRAIN_LIMIT_S)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """Ask the server to end, so that it writes what it has heard; insist only after a while."""
    if server.poll() is None:
        server.send_signal(signal.SIGINT)
    try:
        server.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
