"""Networks in options, and whose addresses lie in them."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator

from gateway.http.address import UNIX

_MAPPED = IPv6Network("::ffff:0:0/96")


def _network(text: str) -> str:
    if text == UNIX:
        return text
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        assert mapped is not None
        network = ip_network((mapped, network.prefixlen - _MAPPED.prefixlen))
    return str(network)


Network = Annotated[str, AfterValidator(_network)]
"""A network such as 192.0.2.0/24, one address, or `unix`."""


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def membership(networks: Sequence[str]) -> Callable[[str], bool]:
    """Whether an address lies in one of `networks`: one set look-up for each length of prefix among them.

    The same few clients come again and again: a bounded memo answers for them.
    """
    prefixes: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
    unix = UNIX in networks
    for text in networks:
        if text == UNIX:
            continue
        network = ip_network(text)
        shift = network.max_prefixlen - network.prefixlen
        prefixes[network.version].setdefault(shift, set()).add(int(network.network_address) >> shift)

    @lru_cache(maxsize=4096)
    def member(text: str) -> bool:
        address = _address(text)
        if address is None:
            return unix and text == UNIX
        number = int(address)
        return any(number >> shift in starts for shift, starts in prefixes[address.version].items())

    return member
