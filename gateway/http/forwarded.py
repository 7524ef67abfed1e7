"""Who the client is behind proxies, and what the upstream is told of it (RFC 7239, and X-Forwarded-*).

What a client says of itself is worth nothing: these fields count only as far as trusted proxies wrote them,
which is from the right, one hop at a time.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from gateway.http import host as host_rules
from gateway.http.address import UNIX
from gateway.http.fields import Fields, RawField
from gateway.http.listing import members, unquoted

_MEMO_MAX = 4096
_LONGEST_ADDRESS = 64  # an IPv6 address with a zone; longer texts are no addresses and not worth keeping


class Trust:
    """The networks whose members may say for whom they speak; `unix` is a Unix socket's.

    Raises ValueError for a bad network.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = tuple(ip_network(network) for network in networks if network != UNIX)
        self._local = UNIX in networks
        self._memo: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return self._local or bool(self._networks)

    def __contains__(self, address: str) -> bool:
        known = self._memo.get(address)
        if known is None:
            if address == UNIX:
                known = self._local
            else:
                parsed = _address(address)
                known = parsed is not None and any(parsed in network for network in self._networks)
            if len(address) <= _LONGEST_ADDRESS:
                if len(self._memo) >= _MEMO_MAX:
                    self._memo.clear()
                self._memo[address] = known
        return known

    def client(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """The address of the client, by the values of the X-Forwarded-For lines in their order.

        Counted from the right: the address that a trusted proxy names is believed. The walk ends at the
        first address that is no trusted proxy, or before one that cannot be read.
        """
        return self.walk(peer, _nodes(forwarded_for))[0]

    def walk(self, peer: str, nodes: Sequence[str]) -> tuple[str, int]:
        """The client's address, and how many of the nodes, from the right, were believed."""
        client, believed = peer, 0
        for node in reversed(nodes):
            if client not in self:
                break
            address = _node_address(node)
            if address is None:
                break
            client = address
            believed += 1
        return client, believed


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket that listens on both families gives its IPv4 peers this way.
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _nodes(values: Sequence[str]) -> list[str]:
    return [node for value in values for part in value.split(",") if (node := part.strip(" \t"))]


_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")


@lru_cache(maxsize=_MEMO_MAX)
def _node_address(node: str) -> str | None:
    """The address of `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`, in normal form."""
    if "%" in node:  # a zone means nothing to anyone but the host that wrote it, and may be any text
        return None
    match = _BRACKETED.fullmatch(node) or _WITH_PORT.fullmatch(node)
    address = _address(match[1] if match is not None else node)
    return str(address) if address is not None else None


_STRIPS = frozenset(
    (
        b"forwarded",
        b"x-forwarded-by",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-real-ip",
    )
)

_FOR, _PROTO, _HOST = b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host"
_KEPT = ((b"x-forwarded-port", b"X-Forwarded-Port"), (b"x-forwarded-prefix", b"X-Forwarded-Prefix"))
_PROTO_LINES = {scheme: (_PROTO, scheme.encode("ascii")) for scheme in ("http", "https")}


class Forwarding:
    """Which of the fields are read from trusted proxies and written for the upstream.

    mode     off: none written, X-Forwarded-* read; x: X-Forwarded-*; rfc7239: Forwarded; both: both
             written, X-Forwarded-* read. Only one family is ever read: a proxy that writes one of them may
             let the client's forgery of the other pass.
    strips   lower-case names of the fields that never pass as they came, in every mode; what `lines`
             returns goes in their place
    """

    def __init__(self, mode: str, trust: Trust) -> None:
        if mode not in ("off", "x", "rfc7239", "both"):
            raise ValueError(f"expected off, x, rfc7239 or both, got {mode!r}")
        self.mode = mode
        self.strips = _STRIPS
        self._trust = trust
        self._trusts = bool(trust)
        self._reads_forwarded = mode == "rfc7239"
        self._writes_x = mode in ("x", "both")
        self._writes_forwarded = mode in ("rfc7239", "both")

    def origin(self, peer: str, scheme: str, host: str, fields: Fields) -> tuple[str, str, bool]:
        """The client's address and scheme, and whether the peer is a trusted proxy.

        `host` is that of the request, for callers that pass the same four values to `lines`.
        """
        if not self._trusts or peer not in self._trust:
            return peer, scheme, False
        if self._reads_forwarded:
            elements = _elements(fields.all(b"forwarded"))
            client, believed = self._trust.walk(peer, [element.get("for", "") for element in elements])
            if believed:
                scheme = _scheme(elements[-believed].get("proto", ""), scheme)
            return client, scheme, True
        client, believed = self._trust.walk(peer, _nodes(fields.all(b"x-forwarded-for")))
        return client, _scheme(_hop_value(fields.all(b"x-forwarded-proto"), believed), scheme), True

    def lines(
        self, peer: str, scheme: str, host: str, fields: Fields, trusted: bool, hop: str | None = None
    ) -> list[RawField]:
        """The lines that the upstream gets in place of those in `strips`.

        `scheme` and `host` are the request's as `origin` and the Host field gave them; `trusted` is what
        `origin` said of the peer. `hop` is the scheme of the peer's own connection, of which our element of
        Forwarded speaks (RFC 7239 section 4), where it may differ from the client's, of which X-Forwarded-Proto does.
        """
        lines: list[RawField] = []
        if self._writes_x:
            node, named = _node(peer).encode("latin-1"), host
            if trusted:
                told = _raw(fields, b"x-forwarded-for")
                # A proxy without an address is no hop that anybody could count.
                node = b", ".join(told if told and peer == UNIX else [*told, node])
                named = _last_host(fields.all(b"x-forwarded-host")) or host
            lines = [(_FOR, node), _PROTO_LINES[scheme]]
            if named:
                lines.append((_HOST, named.encode("latin-1")))
        if self._writes_forwarded:
            element = f"for={_quoted_node(peer)};host={_quoted(host)};proto={hop or scheme}".encode("latin-1")
            if trusted:
                element = b", ".join([*_raw(fields, b"forwarded"), element])
            lines.append((b"Forwarded", element))
        if trusted and lines:
            lines.extend((sent, value) for name, sent in _KEPT for value in _raw(fields, name))
        return lines


def _raw(fields: Fields, name: bytes) -> list[bytes]:
    return [value.encode("latin-1") for value in fields.all(name)]


def _last_host(values: Sequence[str]) -> str | None:
    """The last member, where it is a host: what stands before it may be the client's own invention."""
    nodes = _nodes(values)
    if nodes and host_rules.valid(nodes[-1].encode("latin-1")):
        return nodes[-1]
    return None


def _hop_value(values: Sequence[str], believed: int) -> str:
    """What the proxy that named the client said, as far as each proxy appended a value; else the first."""
    nodes = _nodes(values)
    return nodes[-min(max(believed, 1), len(nodes))] if nodes else ""


def _scheme(value: str, otherwise: str) -> str:
    folded = value.lower()
    return folded if folded in _PROTO_LINES else otherwise


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PAIR = re.compile(rf'({_TOKEN.pattern})=({_TOKEN.pattern}|"(?:[^"\\]|\\.)*+")', re.DOTALL)


def _elements(values: Sequence[str]) -> list[dict[str, str]]:
    """The elements of Forwarded lines; one that is malformed is empty, so that it names no address."""
    elements: list[dict[str, str]] = []
    for value in values:
        found = members(value)
        elements.extend([{}] if found is None else map(_element, found))
    return elements


def _element(member: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in members(member, ";") or ():
        match = _PAIR.fullmatch(part)
        # RFC 7239 section 4: each parameter occurs once per element at most.
        if match is None or match[1].lower() in pairs:
            return {}
        pairs[match[1].lower()] = unquoted(match[2])
    return pairs


_SPECIAL = re.compile(r'(["\\])')


def _quoted(value: str) -> str:
    if _TOKEN.fullmatch(value):
        return value
    return f'"{_SPECIAL.sub(_escaped, value)}"'


def _escaped(special: re.Match[str]) -> str:
    return "\\" + special[0]


def _node(peer: str) -> str:
    return "unknown" if not peer or peer == UNIX else peer


def _quoted_node(peer: str) -> str:
    """The peer as RFC 7239 section 6 writes a node: IPv6 in brackets and quotes, "unknown" for no address."""
    if ":" in peer:
        return f'"[{peer}]"'
    return _node(peer)
