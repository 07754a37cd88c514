"""The Prefect API that a command uses: the user's own, or that of a private server.

Belongs here: finding the API, Prefect's settings before it is imported, and the messages about an
API that cannot be used. Does not belong here: the private server (``flows.private_server``), flows
and deployments.
"""

import io
import logging
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from importlib import import_module
from pathlib import Path
from urllib.request import getproxies

import httpx
from pydantic import ValidationError

from expectations.errors import ServiceUnavailableError, UsageError
from flows.private_server import (
    DRAIN_LIMIT_S,
    LOG,
    prefect_environment,
    private_server,
    send_last_records,
)
from flows.proxies import spare_this_machine

EXPECTED = "expected an address such as http://127.0.0.1:4200/api"
AWAY = {401, 403, 407, 408, 429}
"""Status codes, besides 5xx, of a server or proxy that refuses access. 404, 409 and 422
are not among them: a request that Prefect understands and refuses is a bug."""


def quiet_libraries(console_level: str = "CRITICAL") -> None:
    """Turn off libraries' telemetry and terminal output, unless the user has set it.

    Args:
        console_level: lowest level of Prefect's log that reaches the terminal. The log of a flow is
            also in its run; a command prints the outcome itself.
    """
    for name, value in {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "noctule",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # stages also run outside flows
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": console_level,
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # s; see flows.leftovers
        "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",  # otherwise a page for each event not sent
        "GX_ANALYTICS_ENABLED": "false",
        "KERAS_BACKEND": "jax",
    }.items():
        os.environ.setdefault(name, value)


def load_prefect() -> None:
    """Import Prefect, which reads its own settings when it is imported.

    Raises:
        UsageError: one of these cannot be used. The message does not show its value, which may be
            a secret.
    """
    address = os.environ.get("PREFECT_API_URL")
    if address is not None:
        _require_address(address)
    said = io.StringIO()
    try:
        with redirect_stderr(said):  # Prefect prints an error before it raises it
            import_module("prefect.context")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems = f"{error} in .env, profiles.toml, prefect.toml or pyproject.toml"
    except ValidationError as error:
        problems = "; ".join(
            ": ".join([*map(str, detail["loc"]), detail["msg"]])
            for detail in error.errors(include_url=False, include_input=False)
        )
    else:
        sys.stderr.write(said.getvalue())
        return
    msg = (
        f"Cannot use Prefect's settings: {problems}. Correct the variable PREFECT_... or the "
        f"profile; for PREFECT_API_URL, {EXPECTED}"
    )
    raise UsageError(msg)


@contextmanager
def prefect_api(home: Path) -> Iterator[str]:
    """Provide a Prefect API while a command runs; a private server's home is ``home/prefect``.

    Yields:
        The API's address, without a password.

    Raises:
        ServiceUnavailableError: the configured API does not answer, no server could be started, or
            the server was lost before the block ended.
        UsageError: the configured address is not an address.
    """
    quiet_libraries()
    address = _configured_address()
    if address is not None:
        with _use(address) as shown:
            yield shown
        return
    folder = home / "prefect"
    with private_server(folder) as address, _explain_loss(address, f"Look at {folder / LOG}"):
        yield address


@contextmanager
def configured_prefect_api() -> Iterator[str]:
    """Provide the Prefect API that the user has set up.

    Yields:
        Its address, without a password.

    Raises:
        ServiceUnavailableError: no address is set, no healthy server answers there, or it was lost
            before the block ended.
        UsageError: the address is not an address.
    """
    address = _configured_address()
    if address is None:
        msg = (
            "Cannot serve deployments: no Prefect server is set. Start one with "
            "'prefect server start' and set PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
        raise ServiceUnavailableError(msg)
    with _use(address) as shown:
        yield shown


def without_password(address: str) -> str:
    """Return an address without its password, even if it is malformed.

    Everything before the last ``@`` is removed except the scheme: it is unclear where the password
    of a malformed address begins.
    """
    return re.sub(r"^([a-z][a-z0-9+.-]*://)?.*@", r"\1", address, flags=re.DOTALL | re.IGNORECASE)


def _configured_address() -> str | None:
    """Return the API address from the user's environment or Prefect profile; None if not set."""
    load_prefect()
    from prefect.settings import PREFECT_API_URL

    address: str | None = PREFECT_API_URL.value()
    if address is not None:
        _require_address(address)
    return address


def _require_address(address: str) -> None:
    """Raise an error unless requests can be sent to an address."""
    try:
        url = httpx.URL(address)
        is_address = url.scheme in {"http", "https"} and url.host and (url.port or 0) < 2**16
    except httpx.InvalidURL:
        is_address = False
    if not is_address:
        msg = (
            f"Cannot use PREFECT_API_URL='{without_password(address)}': {EXPECTED}. Correct it, or "
            "unset it to use a private server"
        )
        raise UsageError(msg)


@contextmanager
def _use(address: str) -> Iterator[str]:
    """Use the user's server if it is healthy; yield its address without a password.

    Prefect gets a password of the address in another setting: it shows the address in its log and
    in its errors. The requests are the same.
    """
    spare_this_machine(address)
    url = httpx.URL(address)
    shown = str(url.copy_with(userinfo=b"")) if url.userinfo else address
    _check_health(address, shown)
    changes = {"PREFECT_API_URL": shown}
    changes["PREFECT_API_AUTH_STRING"] = f"{url.username}:{url.password}"
    advice = "Look at its log and start it again"
    with prefect_environment(changes if url.userinfo else {}), _explain_loss(shown, advice):
        yield shown


def _check_health(address: str, shown: str) -> None:
    """Raise an error unless a healthy Prefect API answers at the address."""
    from prefect.settings import PREFECT_API_AUTH_STRING

    password = PREFECT_API_AUTH_STRING.value() or ""  # a proxy before the server may ask for it
    user, _, secret = password.partition(":")
    auth = httpx.BasicAuth(user, secret) if password and not httpx.URL(address).userinfo else None
    try:
        health = f"{address.rstrip('/')}/health"
        httpx.get(health, auth=auth, timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        is_given = bool(password or httpx.URL(address).userinfo)
        msg = _explain_refusal(error, shown, is_given=is_given) or (
            f"Cannot reach the Prefect server at {shown}: {_reason(error)}. Start it with 'prefect "
            "server start', or unset PREFECT_API_URL to use a private one"
        )
        raise ServiceUnavailableError(msg) from None


@contextmanager
def _explain_loss(shown: str, advice: str) -> Iterator[None]:
    """Turn an error about an unreachable or broken Prefect server into one for the user."""
    raises = logging.raiseExceptions
    logging.raiseExceptions = False  # otherwise Prefect reports lost log records on standard error
    limit_s = DRAIN_LIMIT_S
    try:
        yield
    except Exception as error:
        from prefect.settings import PREFECT_API_AUTH_STRING

        reason = _loss(error)
        if reason is None:
            raise
        limit_s = 0  # no server takes the records
        is_given = bool(PREFECT_API_AUTH_STRING.value())
        msg = _explain_refusal(error, shown, is_given=is_given) or (
            f"Lost the Prefect server at {shown}: {reason}. {advice}, then run the command again: "
            "everything stored so far is kept"
        )
        raise ServiceUnavailableError(msg) from None
    finally:
        send_last_records(limit_s)
        logging.raiseExceptions = raises


def _explain_refusal(error: BaseException, shown: str, *, is_given: bool) -> str | None:
    """Return a message where a server or proxy asks for another password; None for another cause.

    ``is_given`` tells whether a password was sent.
    """
    again = "Then run the command again: everything stored so far is kept"
    for cause in _causes(error):
        status = cause.response.status_code if isinstance(cause, httpx.HTTPStatusError) else None
        is_proxy = isinstance(cause, httpx.ProxyError) and str(cause).startswith("407")
        if is_proxy or status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
            proxies = getproxies()
            proxy = proxies.get(httpx.URL(shown).scheme) or proxies.get("all") or "on the way"
            return (
                f"Cannot reach the Prefect server at {shown}: the proxy {without_password(proxy)}"
                " asks for a password (407). Write USER:PASSWORD@ into the proxy's address in"
                f" HTTP_PROXY or HTTPS_PROXY, or the server's host into NO_PROXY. {again}"
            )
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            asks = "it refuses the password that is set" if is_given else "it asks for a password"
            return (
                f"Cannot use the Prefect server at {shown}: {asks} (it answers {status}). Set"
                " PREFECT_API_AUTH_STRING=USER:PASSWORD to what the server has in"
                f" PREFECT_SERVER_API_AUTH_STRING. {again}"
            )
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its causes, and the members of groups of errors among them."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            for one in cause.exceptions:
                yield from _causes(one)
        cause = cause.__cause__


def _loss(error: BaseException) -> str | None:
    """Return how Prefect's server was lost; None if the error has another cause.

    Prefect's client does not catch httpx's transport errors. It raises a ``PrefectHTTPStatusError``
    for a refusal, and a ``RuntimeError`` for any failure of its first request. The loops of
    ``serve`` try again for a while, and then end with a ``RuntimeError`` within groups of errors.
    """
    from prefect.exceptions import PrefectHTTPStatusError

    cause: BaseException | None = error
    is_first_request = False
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):
            found = (_loss(one) for one in cause.exceptions)
            return next((reason for reason in found if reason is not None), None)
        if isinstance(cause, RuntimeError) and "Service exceeded error threshold" in str(cause):
            return "it stopped answering"
        if isinstance(cause, httpx.TransportError):
            return _reason(cause)
        if isinstance(cause, PrefectHTTPStatusError):
            answer = cause.response
            is_away = answer.is_server_error or answer.status_code in AWAY
            return _reason(cause) if is_away else None
        is_first_request |= isinstance(cause, RuntimeError) and "Failed to reach API" in str(cause)
        cause = cause.__cause__
    return "its answer is not Prefect's" if is_first_request else None


def _reason(error: httpx.HTTPError) -> str:
    """Return why a request failed, without the address, which may hold a password."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answers {error.response.status_code} {error.response.reason_phrase}".rstrip()
    return str(error) or type(error).__name__
