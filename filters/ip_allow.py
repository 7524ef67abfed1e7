"""Refuses a client whose address is not in one of the allowed networks: 403.

The address judged is the client's as the gateway knows it: that of the connection, or what the gateway's
own trusted proxies vouch for. With `trusted_proxies` the filter finds it for itself: beginning with the
connection's address it goes through X-Forwarded-For from the right for as long as it stands on a trusted
proxy, and what lies further left, which a client can write as it likes, is never believed. An address that
cannot be read is refused. Who connects through a Unix socket has none: that is what `unix` stands for. An IPv4 address written as IPv6 (::ffff:192.0.2.1) is that IPv4 address.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.api import Exchange, Fact, Fault, Filter, Options, Services, Verdict
from gateway.api.fact import CLIENT, PEER, header
from gateway.http.address import UNIX
from gateway.http.forwarded import Trust

_NOBODY = ""
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


class IPAllowConfig(Options):
    allow: tuple[Network, ...] = Field(
        min_length=1,
        description="Networks whose clients pass: 192.0.2.0/24, 2001:db8::/32, or one address; `unix` for those that "
        "connect through a Unix socket.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (),
        description="Networks of the proxies in front whose X-Forwarded-For this filter believes, counted from "
        "the right. Without any, the client's address is what the gateway has found by its own trusted_proxies.",
    )

    def reads(self) -> frozenset[Fact]:
        return frozenset({PEER, header("x-forwarded-for")} if self.trusted_proxies else {CLIENT})


class IPAllow(Filter[IPAllowConfig]):
    name = "ip_allow"
    Config = IPAllowConfig

    def __init__(self, config: IPAllowConfig, services: Services) -> None:
        super().__init__(config, services)
        self._allowed = _membership(config.allow)
        self._trust = Trust(config.trusted_proxies)
        self._refusal = Fault(
            403, "address_denied", "Access from this address is not allowed.", rule=("allow",)
        )

    def on_request(self, exchange: Exchange) -> Verdict:
        client = self._client(exchange) if self._trust else exchange.client
        return None if self._allowed(client) else self._refusal

    def _client(self, exchange: Exchange) -> str:
        lines = ",".join(exchange.request.headers.all("x-forwarded-for"))
        # No quoted strings here: in this field they are nobody's but a client's who wants to hide a comma.
        nodes = [node for part in lines.split(",") if (node := part.strip(" \t"))]
        client, believed = self._trust.walk(exchange.peer, nodes)
        # The walk ends early at a client, or before a node that cannot be read: who that was, nobody knows.
        return _NOBODY if believed < len(nodes) and client in self._trust else client


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def _membership(networks: Sequence[str]) -> Callable[[str], bool]:
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
