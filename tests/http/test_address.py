"""Addresses in normal form."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.address import network, normal


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        (b"\xc0\0\x02\x07", "192.0.2.7"),
        (b"\0" * 15 + b"\x01", "::1"),
        (b"\0" * 10 + b"\xff\xff\xc0\0\x02\x07", "192.0.2.7"),
    ],
)
def test_one_address_has_one_form(address: str | bytes, expected: str) -> None:
    assert normal(address) == expected


@pytest.mark.parametrize("address", ["", "unix", "192.0.2.07", "192.0.2", "::1::", "localhost", b"", b"abc"])
def test_what_is_no_address_is_refused(address: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        normal(address)


@given(st.ip_addresses())
def test_the_form_is_stable_and_means_the_same(address: IPv4Address | IPv6Address) -> None:
    form = normal(address.packed)
    assert normal(form) == form
    again = ip_address(form)
    assert again == address or again == address.ipv4_mapped  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::7", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_an_address_stands_for_its_client(address: str, expected: str) -> None:
    assert network(address) == expected
