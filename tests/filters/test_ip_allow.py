"""Clients by network."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.ip_allow import IPAllow
from gateway.api import Fault
from gateway.api.testing import build, exchange, judge


def passes(allow: list[str], client: str) -> bool:
    return judge(build(IPAllow, {"allow": allow}), exchange(client=client)) is None


def test_a_client_in_an_allowed_network_passes() -> None:
    allow = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]
    assert passes(allow, "10.255.0.1")
    assert passes(allow, "192.0.2.7")
    assert passes(allow, "2001:db8::1")


def test_answers_403_to_others() -> None:
    guard = build(IPAllow, {"allow": ["10.0.0.0/8"]})
    assert judge(guard, exchange(client="11.0.0.1")) == Fault(
        403, "address_denied", "Access from this address is not allowed.", rule=("allow",)
    )


@pytest.mark.parametrize(
    "client",
    ["", "unix:", "10.0.0.1:80", "10.0.0.01", "10.0.0", "0x0a000001", "10.0.0.1 ", "[::1]", "unknown"],
)
def test_an_address_that_cannot_be_read_is_refused(client: str) -> None:
    guard = build(IPAllow, {"allow": ["0.0.0.0/0", "::/0"]})
    made = exchange()
    made.client = client
    assert judge(guard, made) is not None


def test_a_unix_socket_is_allowed_by_its_name_alone() -> None:
    assert passes(["unix"], "unix")
    assert passes(["10.0.0.0/8", "unix"], "10.0.0.1")
    assert not passes(["unix"], "10.0.0.1")
    assert not passes(["0.0.0.0/0", "::/0"], "unix")
    by_proxy = build(IPAllow, {"allow": ["203.0.113.0/24"], "trusted_proxies": ["unix"]})
    assert judge(by_proxy, exchange(peer="unix", headers={"X-Forwarded-For": "203.0.113.9"})) is None
    assert judge(by_proxy, exchange(peer="unix")) is not None


def test_everybody_can_be_allowed() -> None:
    assert passes(["0.0.0.0/0"], "203.0.113.9")
    assert not passes(["0.0.0.0/0"], "2001:db8::1")
    assert passes(["::/0"], "2001:db8::1")


def test_an_ipv4_address_written_as_ipv6_is_that_ipv4_address() -> None:
    assert passes(["10.0.0.0/8"], "::ffff:10.1.2.3")
    assert not passes(["::/0"], "::ffff:10.1.2.3")
    assert passes(["::ffff:10.0.0.0/104"], "10.1.2.3")
    assert not passes(["::ffff:10.0.0.0/104"], "11.1.2.3")


def test_a_link_local_address_may_name_its_interface() -> None:
    assert passes(["fe80::/10"], "fe80::1%eth0")


def proxied(forwarded: list[str], peer: str = "10.0.0.1", **options: object) -> bool:
    guard = build(
        IPAllow, {"allow": ["192.0.2.0/24"], "trusted_proxies": ["10.0.0.0/8", "2001:db8::/32"], **options}
    )
    headers = [("X-Forwarded-For", line) for line in forwarded]
    return judge(guard, exchange(peer=peer, client="198.51.100.1", headers=headers)) is None


def test_the_client_is_the_first_address_from_the_right_that_is_no_trusted_proxy() -> None:
    assert proxied(["192.0.2.1"])
    assert proxied(["192.0.2.1, 10.0.0.2, 10.0.0.3"])
    assert proxied(["192.0.2.1", "10.0.0.2", "2001:db8::1"])
    assert proxied(["203.0.113.1, 192.0.2.1 ,10.0.0.2"])


def test_what_a_client_writes_to_the_left_is_not_believed() -> None:
    assert not proxied(["192.0.2.1, 203.0.113.1"])
    assert not proxied(["192.0.2.1", "203.0.113.1, 10.0.0.2"])
    assert not proxied(['"192.0.2.1, 203.0.113.1', '"'])


def test_a_node_that_cannot_be_read_leaves_nobody_to_allow() -> None:
    for node in ("garbage", "unknown", "192.0.2.1%eth0", '"192.0.2.1"', "[192.0.2.1"):
        assert not proxied([f"192.0.2.1, {node}"])
        assert not proxied([f"192.0.2.1, {node}, 10.0.0.2"], allow=["0.0.0.0/0"])
        assert not proxied([node], allow=["10.0.0.0/8"])
        assert not proxied(['"192.0.2.1'], allow=["10.0.0.0/8"])


def test_a_node_may_have_a_port() -> None:
    assert proxied(["192.0.2.1:4711, [2001:db8::1]:80"])


def test_a_peer_that_is_no_trusted_proxy_is_itself_the_client() -> None:
    assert not proxied(["192.0.2.1"], peer="203.0.113.1")
    assert proxied(["203.0.113.1"], peer="192.0.2.1")


def test_where_all_are_proxies_the_leftmost_is_the_client() -> None:
    assert not proxied([])
    assert proxied([], allow=["10.0.0.1"])
    assert proxied(["10.0.0.9, 10.0.0.2"], allow=["10.0.0.9"])


def test_empty_members_say_nothing() -> None:
    assert proxied(["192.0.2.1, , 10.0.0.2,", ""])


def test_without_trusted_proxies_the_header_is_not_read() -> None:
    guard = build(IPAllow, {"allow": ["192.0.2.0/24"]})
    made = exchange(client="198.51.100.1", headers={"X-Forwarded-For": "192.0.2.1"})
    assert judge(guard, made) is not None


MAPPED = ip_network("::ffff:0:0/96")


def outside_mapped(value: IPv4Address | IPv6Address) -> bool:
    """Addresses of that network are IPv4 addresses, and have a test of their own."""
    return value not in MAPPED


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).filter(outside_mapped)
networks: st.SearchStrategy[IPv4Network | IPv6Network] = st.builds(
    lambda address, length: ip_network((str(address), length % (address.max_prefixlen + 1)), strict=False),
    addresses,
    st.integers(0, 128),
)


@given(st.lists(networks, min_size=1, max_size=5), addresses)
def test_membership_is_that_of_the_networks(
    allowed: list[IPv4Network | IPv6Network], address: IPv4Address | IPv6Address
) -> None:
    expected = any(address in network for network in allowed)
    assert passes([str(network) for network in allowed], str(address)) is expected


@given(networks, st.data())
def test_every_address_of_a_network_passes(network: IPv4Network | IPv6Network, data: st.DataObject) -> None:
    address = network[data.draw(st.integers(0, network.num_addresses - 1))]
    assert passes([str(network)], str(address)) is outside_mapped(address)


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_a_mapped_network_is_its_ipv4_network(address: IPv4Address, length: int) -> None:
    plain = ip_network((str(address), length), strict=False)
    mapped = f"::ffff:{plain.network_address}/{96 + length}"
    for allowed in (str(plain), mapped):
        assert passes([allowed], str(address))
        assert passes([allowed], f"::ffff:{address}")


@pytest.mark.parametrize(
    "allow", [[], ["10.0.0.1/8"], ["10.0.0.0/33"], ["localhost"], [""], "10.0.0.0/8", [10]]
)
def test_refuses_what_is_no_network(allow: object) -> None:
    with pytest.raises(ValidationError):
        build(IPAllow, {"allow": allow})
