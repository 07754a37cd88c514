"""One spelling of each set, protocol and address."""

import polars as pl
import pytest

from tasks.intake.names import read_addresses, read_protocols, read_sets


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("smb,gssapi,krb", "gssapi,krb,smb"),
        ("krb , smb,krb", "krb,smb"),
        ("http", "http"),
        (",", None),
        (None, None),
    ],
)
def test_the_order_of_a_set_means_nothing(text: str | None, names: str | None) -> None:
    assert read_sets(pl.Series([text], dtype=pl.String), ",").to_list() == [names]


def test_a_set_may_have_another_separator() -> None:
    assert read_sets(pl.Series(["b|a", "c,d"]), "|").to_list() == ["a,b", "c,d"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("TCP", "tcp"), ("6", "tcp"), ("17", "udp"), ("1.0", "icmp"), ("58", "ipv6-icmp"),
        ("006", "tcp"), ("0", "hopopt"), ("132", "sctp"), ("253", "253"), ("999", "999"),
        ("6to4", "6to4"), ("3PC", "3pc"), ("IPv6-ICMP", "ipv6-icmp"),
    ],
)  # fmt: skip
def test_a_protocol_is_its_name_in_lower_case(text: str, name: str) -> None:
    assert read_protocols(pl.Series([text, None])).to_list() == [name, None]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("FE80::1", "fe80::1"),
        ("00:1A:2B:3C:4D:5E", "00:1A:2B:3C:4D:5E"),
        ("Web-1", "Web-1"),
        ("10.0.0.1:80", "10.0.0.1:80"),
    ],
)
def test_an_address_has_one_spelling_and_any_other_name_stays(text: str, address: str) -> None:
    assert read_addresses(pl.Series([text, None])).to_list() == [address, None]
