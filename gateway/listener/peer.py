"""Who is at the other end of a connection: what its socket, its TLS and the balancer in front say."""

import socket
from typing import Any, Final

from gateway.http.address import UNIX, normal
from gateway.listener.proxy_protocol import Prefix
from gateway.listener.tls import client_certificate
from gateway.record import Peer

NOBODY: Final = Peer("", 0, "http")


def peer_of(transport: Any, prefix: Prefix | None) -> Peer:
    """The other end; `prefix` is what a trusted balancer has said of it."""
    address, port = _end(transport)
    proxy = None
    if prefix is not None and prefix.address is not None:
        proxy, address, port = address, prefix.address, prefix.port
    secured = transport.get_extra_info("ssl_object")
    if secured is None:
        return Peer(address, port, "http", proxy)
    version = secured.version() or ""
    return Peer(address, port, "https", proxy, version.removeprefix("TLSv"), client_certificate(secured))


def _end(transport: Any) -> tuple[str, int]:
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        return address_of(name), name[1]
    # A TCP connection that has ended already has no name either, and must not pass for a local one.
    sock = transport.get_extra_info("socket")
    return (UNIX if sock is not None and sock.family == socket.AF_UNIX else ""), 0


def address_of(name: object) -> str:
    """The address in a socket's name, as `accept` gives it; that of a Unix socket is a text or empty."""
    if not isinstance(name, tuple):
        return UNIX
    try:
        return normal(name[0])
    except ValueError:
        return ""
