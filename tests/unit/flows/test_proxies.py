"""Which requests bypass the environment's proxies, and which proxies are refused."""

import os
import socket
import urllib.request

import httpx
import pytest
from websockets.proxy import get_proxy
from websockets.uri import parse_uri

from expectations.errors import UsageError
from flows.proxies import spare_this_machine

PROXY = "http://proxy.example:3128"
ELSEWHERE = "http://prefect.example/api"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what the developer's shell says of proxies out of the environment."""
    for kind in ("http", "https", "all", "no", "socks"):
        for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY"):
            monkeypatch.setenv(name, "")  # so that it is put back
            monkeypatch.delenv(name)


def is_direct(address: str) -> bool:
    """Tell how httpx would send a request."""
    with httpx.Client() as client:
        return client._transport_for_url(httpx.URL(address)) is client._transport


@pytest.mark.parametrize(
    "name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
)
def test_this_machine_is_asked_directly_and_others_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, PROXY)
    spare_this_machine("http://127.0.0.1:4200/api")
    scheme = "https" if "https" in name.lower() else "http"
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert is_direct(f"{scheme}://{host}:4200/api/health")
        assert urllib.request.proxy_bypass(f"{host.strip('[]')}:4200")
        assert get_proxy(parse_uri(f"ws://{host}:4200/api/events/in")) is None
    assert not is_direct(f"{scheme}://prefect.example/api")


@pytest.mark.parametrize("host", ["127.3.2.1", "noctule.localhost", socket.gethostname()])
def test_another_name_of_this_machine_is_this_machine(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    spare_this_machine(f"http://{host}:4200/api")
    assert is_direct(f"http://{host}:4200/api")
    assert not is_direct("http://10.1.2.3:4200/api")


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_hosts_that_the_user_has_excepted_stay_so(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv(name, "corp.example, 10.9.8.7")
    spare_this_machine(ELSEWHERE)
    assert is_direct("http://corp.example/")
    assert is_direct("http://10.9.8.7/")
    assert not is_direct(ELSEWHERE)
    assert os.environ["NO_PROXY"] == "corp.example,10.9.8.7,127.0.0.1,localhost,::1"
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"]
    spare_this_machine(ELSEWHERE)
    assert os.environ["NO_PROXY"] == "corp.example,10.9.8.7,127.0.0.1,localhost,::1", "said once"


def test_without_a_proxy_nothing_is_changed() -> None:
    spare_this_machine("http://127.0.0.1:4200/api")
    assert "NO_PROXY" not in os.environ


@pytest.mark.parametrize(
    "proxy", ["socks5://u:secret@h:1080", "socks4://u:secret@h", "http://[::1"]
)
@pytest.mark.parametrize("name", ["ALL_PROXY", "http_proxy"])
def test_a_proxy_that_cannot_be_used_is_refused_only_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, name: str, proxy: str
) -> None:
    monkeypatch.setenv(name, proxy)
    with pytest.raises(UsageError) as refused:
        spare_this_machine(ELSEWHERE)
    said = str(refused.value)
    assert said.startswith(f"Cannot use the proxy of {name.upper()} to reach the Prefect server at")
    assert "secret" not in said

    spare_this_machine("http://127.0.0.1:4200/api")
    assert is_direct("http://127.0.0.1:4200/api")
