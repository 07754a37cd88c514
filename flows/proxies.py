"""The proxies of the environment, which must not be used for this machine itself.

Belongs here: the variables for proxies, before any HTTP request. Does not belong here: the Prefect
server (``flows.prefect_api``, ``flows.private_server``).

A proxy that the environment names (``HTTP_PROXY`` and similar variables) reaches other machines. It
cannot reach a server on this machine's loopback address. So the names of this machine are added to
``NO_PROXY``, for this process, its libraries and its children.
"""

import ipaddress
import os
import socket
import urllib.request

import httpx

from expectations.errors import UsageError

HERE = ("127.0.0.1", "localhost", "::1")
PROXIED = ("http", "https", "all")
"""The kinds of proxy variables that httpx reads, such as ``HTTPS_PROXY`` or ``https_proxy``."""


def spare_this_machine(address: str) -> None:
    """Let requests to this machine bypass the environment's proxies.

    Raises:
        UsageError: it is on another machine, and the proxy for it cannot be used.
    """
    proxies = urllib.request.getproxies_environment()
    if not any(proxies.get(kind) for kind in (*PROXIED, "ws", "wss", "socks")):
        return
    host = httpx.URL(address).host
    _extend_no_proxy([*HERE, *([host] if host not in HERE and _is_here(host) else [])])
    for kind in PROXIED:
        if proxies.get(kind) and not _is_usable(proxies[kind]):
            if not urllib.request.proxy_bypass(host):
                message = (
                    f"Cannot use the proxy of {kind.upper()}_PROXY to reach the Prefect server at"
                    f" {host}: expected an address such as http://proxy:3128, got"
                    f" {_scheme(proxies[kind])}. Set a proxy that speaks HTTP, or name {host} in"
                    " NO_PROXY"
                )
                raise UsageError(message)
            for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY"):
                os.environ.pop(name, None)  # we do not need it, and httpx would not start with it


def _extend_no_proxy(hosts: list[str]) -> None:
    """Add hosts to both spellings of ``NO_PROXY``; some programs read only one of them."""
    said = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    for name, value in said.items():
        other = said["no_proxy" if name == "NO_PROXY" else "NO_PROXY"]
        named = (value if value is not None else other or "").split(",")
        kept = [host.strip() for host in named if host.strip()]
        os.environ[name] = ",".join([*kept, *(host for host in hosts if host not in kept)])


def _is_here(host: str) -> bool:
    """Return whether a host is this machine: we could listen on each of its addresses."""
    try:
        if ipaddress.ip_address(host).is_loopback:
            return True
    except ValueError:
        if host.lower().endswith(".localhost"):
            return True
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError:  # only the proxy can resolve the name
        return False
    return all(_can_listen(family, place) for family, _, _, _, place in found)


def _can_listen(family: int, place: tuple[object, ...]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(place)
    except OSError:
        return False
    return True


def _is_usable(proxy: str) -> bool:
    """Return whether httpx can send requests through a proxy, with the installed packages."""
    try:
        whole = proxy if "://" in proxy else f"http://{proxy}"
        httpx.HTTPTransport(proxy=whole, verify=False).close()  # nothing is sent
    except (ImportError, ValueError, httpx.InvalidURL):
        return False
    return True


def _scheme(proxy: str) -> str:
    """Return the scheme of an address in words; the rest of it may hold a password."""
    return f"one that begins with {proxy.partition(':')[0]}:" if "://" in proxy else "none"
