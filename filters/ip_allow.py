"""Refuses a client whose address is not in one of the allowed networks: 403.

The address judged is the client's as the gateway knows it: that of the connection, or what the gateway's
own trusted proxies vouch for. With `trusted_proxies` the filter finds it for itself: beginning with the
connection's address it goes through X-Forwarded-For from the right for as long as it stands on a trusted
proxy, and what lies further left, which a client can write as it likes, is never believed. An address that
cannot be read is refused. Who connects through a Unix socket has none: that is what `unix` stands for. An IPv4 address written as IPv6 (::ffff:192.0.2.1) is that IPv4 address.
"""

from pydantic import Field

from filters._network import Network, membership
from gateway.api import Exchange, Fact, Fault, Filter, Options, Services, Verdict
from gateway.api.fact import CLIENT, PEER, header
from gateway.http.forwarded import Trust

_NOBODY = ""


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
    access = {"allow": "more"}
    only_refuses = True

    def __init__(self, config: IPAllowConfig, services: Services) -> None:
        super().__init__(config, services)
        self._allowed = membership(config.allow)
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
