"""Proxies of the environment: they are for other machines, never for this one.

Belongs here: what the variables for proxies say, before anything speaks HTTP. Does not belong here:
the Prefect server itself (``flows.prefect_api``, ``flows.private_server``).

A proxy that every shell is told of (``HTTP_PROXY`` and the like) reaches the world. It cannot reach
what listens on this machine's loopback. So ``NO_PROXY`` gets the names of this machine, for this
process, the libraries in it and its children.
"""

import ipaddress
import os
import socket
import urllib.request

import httpx

from expectations.errors import UsageError

HERE = ("127.0.0.1", "localhost", "::1")
PROXIED = ("http", "https", "all")
"""For whose addresses httpx reads a variable, such as ``HTTPS_PROXY`` or ``https_proxy``."""


def spare_this_machine(address: str) -> None:
    """Have requests to this machine go there directly; others go as the environment says.

    Args:
        address: of the Prefect API that is going to be used.

    Raises:
        UsageError: it is on another machine, and a proxy is set that cannot be used.
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
                os.environ.pop(name, None)  # no request of ours goes there; httpx would not start


def _extend_no_proxy(hosts: list[str]) -> None:
    """Add hosts to both spellings of ``NO_PROXY``, of which some programs read one only."""
    said = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    for name, value in said.items():
        other = said["no_proxy" if name == "NO_PROXY" else "NO_PROXY"]
        named = (value if value is not None else other or "").split(",")
        kept = [host.strip() for host in named if host.strip()]
        os.environ[name] = ",".join([*kept, *(host for host in hosts if host not in kept)])


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine: each of its addresses is one that we could listen on."""
    try:
        if ipaddress.ip_address(host).is_loopback:
            return True
    except ValueError:
        if host.lower().endswith(".localhost"):
            return True
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError:  # a name that only the proxy knows
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
    """Tell whether httpx can send requests through a proxy, with the packages that are there."""
    try:
        whole = proxy if "://" in proxy else f"http://{proxy}"
        httpx.HTTPTransport(proxy=whole, verify=False).close()  # nothing is sent
    except (ImportError, ValueError, httpx.InvalidURL):
        return False
    return True


def _scheme(proxy: str) -> str:
    """Return an address's scheme; the rest of it may hold a password."""
    return f"one that begins with {proxy.partition(':')[0]}:" if "://" in proxy else "none"
