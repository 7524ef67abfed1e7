"""Header sections that come again: judged once, and not for each request that repeats them.

A client sends the same fields with nearly every request on a connection: its token, its name, what it accepts. What
follows from them alone (that they are well formed, whom they name, what of them goes upstream) is worked out when they
come the second time, and holds for every request that has the same bytes behind its request line. Only the plainest
requests are taken by this way: HTTP/1.1 without a body or an expectation, on a connection that stays open, their
target in origin form and beyond doubt. All others are parsed as if nothing had come before.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from gateway.api.exchange import Exchange
from gateway.http.fields import Fields, RawField
from gateway.http.target import plain
from gateway.record import Peer, Received

MAX_SIZE: Final = 8 * 1024
"""Bytes of a section that is kept."""
MAX_TOTAL: Final = 6 * 1024 * 1024
"""Bytes of memory for all of them: they are kept before any filter has judged a request, so anybody may fill it."""

# What a section takes: its bytes as they came, as lines, and as they go upstream; and the objects for each line, and for all,
# those of the request log's included.
_COPIES: Final = 3
_LINE: Final = 400
_SECTION: Final = 3584

_VARYING: Final = frozenset(
    (
        *(b"content-length", b"expect", b"max-forwards", b"te", b"transfer-encoding", b"upgrade"),
        b"x-openstack-request-id",
    )
)
"""Fields that need a look at each request; a section with one of them is not kept."""

_METHODS: Final = {
    method.encode("ascii"): method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
}
_VERSION: Final = b" HTTP/1.1"
_KEEP_ALIVE: Final = (b"keep-alive", b"Keep-Alive")


Line: TypeAlias = tuple[str, bytes, str, str | None]
"""Method, target, path and query of a request line."""


def request_line(line: bytes) -> Line | None:
    """The parts of a request line that can be read in one way only (RFC 9112 section 3); None for any other."""
    if line[-9:] != _VERSION or not line.isascii():
        return None
    name, _, target = line[:-9].partition(b" ")
    method = _METHODS.get(name)
    parts = plain(target)
    if method is None or parts is None:
        return None
    return method, target, parts[0], parts[1]


def origin_of(peer: Peer) -> str:
    """Of whom a section is kept: the same text only for connections whose requests differ in nothing but their bytes."""
    address, _, scheme, proxy, tls, certificate = peer
    if scheme == "http" and proxy is None and certificate is None:
        return address
    return f"{scheme} {address} {proxy} {tls} {certificate and certificate.fingerprint}"


class Section(Received):
    """A header section that has been judged.

    fields    as the filters get them, to be copied for each exchange
    crossing  what of it goes upstream, and what goes with it each time; None until it is worked out
    """

    __slots__ = ("client", "crossing", "fields", "host", "scheme", "trusted")

    def __init__(self, lines: Sequence[RawField], exchange: Exchange, trusted: bool) -> None:
        super().__init__(lines)
        self.fields = exchange.request.headers.copy()
        self.host = exchange.host
        self.client = exchange.client
        self.scheme = exchange.scheme
        self.trusted = trusted
        self.crossing: bytes | None = None


class Sections:
    """The sections that have come again, by the origin of their connection and their bytes. For one plan.

    uneven  fields that go to the filters of some routes and are taken from requests on others: a section with one of them
            is not kept, since a request on any route may repeat it
    """

    def __init__(self, uneven: frozenset[bytes] = frozenset()) -> None:
        self._uneven = uneven
        self._known: dict[tuple[str, bytes], Section] = {}
        self._total = 0  # bytes, about
        self.get = self._known.get

    def learn(
        self, origin: str, text: bytes, lines: Sequence[RawField], exchange: Exchange, trusted: bool
    ) -> None:
        """Keeps the section of an exchange that was opened just now, if it is of the plain kind.

        The connection stays open by that exchange's head, and its target came in origin form.
        """
        index = Fields(lines).index()
        if (
            len(text) <= MAX_SIZE
            and text.find(b"\r\n\r\n") == len(text) - 4
            and exchange.http_version == "1.1"
            and index.get(b"connection", b"keep-alive") in _KEEP_ALIVE
            and _VARYING.isdisjoint(index)
            and self._uneven.isdisjoint(index)
        ):
            key = (origin, text)
            if key not in self._known:
                size = _COPIES * len(text) + _LINE * len(lines) + _SECTION
                if self._total + size > MAX_TOTAL:
                    self._known.clear()
                    self._total = 0
                self._total += size
            self._known[key] = Section(lines, exchange, trusted)
