"""The Prefect API that a command talks to: the user's own, or a private server while it runs.

Belongs here: finding the API, what Prefect is told before it is imported, and what a user is told
when it is away. Does not belong here: the private server (``flows.private_server``), flows and
deployments.
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
    prefect_told,
    private_server,
    send_what_is_left,
)
from flows.proxies import spare_this_machine

EXPECTED = "expected an address such as http://127.0.0.1:4200/api"
AWAY = {401, 403, 407, 408, 429}
"""Answers, beside 5xx, that say nothing about the request: a server that does not let us in. 404,
409 and 422 are not among them: a request that Prefect understands and refuses is a bug."""


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
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # s; see flows.leftovers
        "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",  # else a page for each event not sent
        "GX_ANALYTICS_ENABLED": "false",
        "KERAS_BACKEND": "jax",
    }.items():
        os.environ.setdefault(name, value)


def load_prefect() -> None:
    """Import Prefect, which reads its settings as it is imported.

    Raises:
        UsageError: one of them cannot be used; its value, which may be a secret, is not told.
    """
    address = os.environ.get("PREFECT_API_URL")
    if address is not None:
        _require_address(address)
    said = io.StringIO()
    try:
        with redirect_stderr(said):  # Prefect prints what it raises, before it does
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
    """Provide a Prefect API for the length of a command.

    Args:
        home: ``NOCTULE_HOME``; a private server keeps its database in its folder ``prefect``.

    Yields:
        The API's address, without a password.

    Raises:
        ServiceUnavailableError: the configured API does not answer, or none could be started, or
            it was lost before the block ended.
        UsageError: the configured address is none.
    """
    quiet_libraries()
    address = _configured_address()
    if address is not None:
        with _use(address) as shown:
            yield shown
        return
    folder = home / "prefect"
    with private_server(folder) as address, _told_when_lost(address, f"Look at {folder / LOG}"):
        yield address


@contextmanager
def configured_prefect_api() -> Iterator[str]:
    """Provide the Prefect API that the user has set up.

    Yields:
        Its address, without a password.

    Raises:
        ServiceUnavailableError: no address is set, nothing healthy answers there, or it was lost
            before the block ended.
        UsageError: the address is none.
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
    """Return an address as it may be shown, whatever it is.

    All before the last ``@`` goes, but for the scheme: where an address is malformed, nobody can
    say where its password begins.
    """
    return re.sub(r"^([a-z][a-z0-9+.-]*://)?.*@", r"\1", address, flags=re.DOTALL | re.IGNORECASE)


def _configured_address() -> str | None:
    """Return the API address of the user's environment or Prefect profile."""
    load_prefect()
    from prefect.settings import PREFECT_API_URL

    address: str | None = PREFECT_API_URL.value()
    if address is not None:
        _require_address(address)
    return address


def _require_address(address: str) -> None:
    """Raise unless an address is one that requests can be sent to."""
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
    """Use a server of the user's, once it is known to be healthy; yield how it may be shown.

    A password in the address is handed to Prefect apart from it, for what is sent is the same and
    Prefect logs the address, prints it with its errors, and has it in their texts.
    """
    spare_this_machine(address)
    url = httpx.URL(address)
    shown = str(url.copy_with(userinfo=b"")) if url.userinfo else address
    _check_health(address, shown)
    changes = {"PREFECT_API_URL": shown}
    changes["PREFECT_API_AUTH_STRING"] = f"{url.username}:{url.password}"
    advice = "Look at its log and start it again"
    with prefect_told(changes if url.userinfo else {}), _told_when_lost(shown, advice):
        yield shown


def _check_health(address: str, shown: str) -> None:
    """Raise unless a healthy Prefect API answers at the address."""
    from prefect.settings import PREFECT_API_AUTH_STRING

    password = PREFECT_API_AUTH_STRING.value() or ""  # a proxy before the server may ask for it
    user, _, secret = password.partition(":")
    auth = httpx.BasicAuth(user, secret) if password and not httpx.URL(address).userinfo else None
    try:
        health = f"{address.rstrip('/')}/health"
        httpx.get(health, auth=auth, timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        is_given = bool(password or httpx.URL(address).userinfo)
        msg = _locked_out(error, shown, is_given=is_given) or (
            f"Cannot reach the Prefect server at {shown}: {_reason(error)}. Start it with 'prefect "
            "server start', or unset PREFECT_API_URL to use a private one"
        )
        raise ServiceUnavailableError(msg) from None


@contextmanager
def _told_when_lost(shown: str, advice: str) -> Iterator[None]:
    """Turn the errors of a Prefect that is away or broken into one a user understands."""
    raises = logging.raiseExceptions
    logging.raiseExceptions = False  # else Prefect writes of lost log records on standard error
    limit_s = DRAIN_LIMIT_S
    try:
        yield
    except Exception as error:
        from prefect.settings import PREFECT_API_AUTH_STRING

        reason = _loss(error)
        if reason is None:
            raise
        limit_s = 0  # nobody is there to take it
        is_given = bool(PREFECT_API_AUTH_STRING.value())
        msg = _locked_out(error, shown, is_given=is_given) or (
            f"Lost the Prefect server at {shown}: {reason}. {advice}, then run the command again: "
            "what is stored stays stored"
        )
        raise ServiceUnavailableError(msg) from None
    finally:
        send_what_is_left(limit_s)
        logging.raiseExceptions = raises


def _locked_out(error: BaseException, shown: str, *, is_given: bool) -> str | None:
    """Say what a server, or a proxy before it, wants to be told; None if it is nothing of that.

    Args:
        error: what ended a request, or is caused by that.
        shown: the server's address, as it may be shown.
        is_given: whether a password was sent.
    """
    again = "Then run the command again: what is stored stays stored"
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
            asks = (
                "it does not take the password that is set"
                if is_given
                else "it asks for a password"
            )
            return (
                f"Cannot use the Prefect server at {shown}: {asks} (it answers {status}). Set"
                " PREFECT_API_AUTH_STRING=USER:PASSWORD to what the server has in"
                f" PREFECT_SERVER_API_AUTH_STRING. {again}"
            )
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what caused it, and what groups of errors among these hold."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            for one in cause.exceptions:
                yield from _causes(one)
        cause = cause.__cause__


def _loss(error: BaseException) -> str | None:
    """Say how Prefect's server was lost; None if an error is of another kind.

    Prefect's client lets httpx's transport errors through, makes a ``PrefectHTTPStatusError`` of a
    refusal, and a ``RuntimeError`` of any trouble with its first request. The loops of ``serve``
    put up with them for a while, then end in a ``RuntimeError`` within groups of errors.
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
    """Say why a request failed; the text of a status error holds the address, password and all."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answers {error.response.status_code} {error.response.reason_phrase}".rstrip()
    return str(error) or type(error).__name__
