"""The Prefect API that a command talks to: the user's own, or a private server while it runs.

Belongs here: finding the API, and what Prefect is told before it is imported. Does not belong here:
the private server (``flows.private_server``), flows and deployments.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from expectations.errors import ServiceUnavailableError
from flows.private_server import private_server


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
            f"Cannot reach the Prefect server at {without_password(address)}: {_reason(error)}. "
            "Start it with 'prefect server start', or unset PREFECT_API_URL to use a private one"
        )
        raise ServiceUnavailableError(msg) from None


def without_password(address: str) -> str:
    """Return an address as it may be shown, whatever it is.

    All before the last ``@`` goes, but for the scheme: where an address is malformed, nobody can
    say where its password begins.
    """
    return re.sub(r"^([a-z][a-z0-9+.-]*://)?.*@", r"\1", address, flags=re.DOTALL | re.IGNORECASE)


def _reason(error: httpx.HTTPError | httpx.InvalidURL) -> str:
    """Say why a request failed; the text of a status error holds the address, password and all."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answers {error.response.status_code} {error.response.reason_phrase}".rstrip()
    if isinstance(error, httpx.InvalidURL):
        return "that is no address"
    return str(error) or type(error).__name__
