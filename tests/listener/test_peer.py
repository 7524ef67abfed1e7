"""The other end of a connection: from its socket, and from what a balancer says of it."""

import socket
from typing import Any

import pytest

from gateway.api import Certificate
from gateway.listener.peer import address_of, peer_of
from gateway.listener.proxy_protocol import Prefix
from gateway.listener.section import origin_of
from gateway.record import Peer


class Transport:
    """Knows what it is told."""

    def __init__(self, **info: Any) -> None:
        self._info = info

    def get_extra_info(self, name: str) -> Any:
        return self._info.get(name)


@pytest.mark.parametrize(
    ("name", "address", "port"),
    [
        (("192.0.2.7", 4711), "192.0.2.7", 4711),
        (("2001:db8::7", 4711, 0, 0), "2001:db8::7", 4711),
        (("::ffff:192.0.2.7", 4711, 0, 0), "192.0.2.7", 4711),
        (("fe80::1%eth0", 4711, 0, 2), "fe80::1", 4711),
        (("nonsense", 4711), "", 4711),
    ],
)
def test_the_socket_names_the_other_end(name: tuple[Any, ...], address: str, port: int) -> None:
    assert peer_of(Transport(peername=name), None) == Peer(address, port, "http")
    assert address_of(name) == address


@pytest.mark.parametrize("name", [None, "", "/run/client.sock"])
def test_only_a_unix_socket_is_one(name: object) -> None:
    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as tcp:
        assert peer_of(Transport(peername=name, socket=unix), None).address == "unix"
        # Whose TCP connection has ended has no name either, and must not be trusted for it.
        assert peer_of(Transport(peername=name, socket=tcp), None).address == ""
    assert peer_of(Transport(peername=name), None).address == ""


def test_a_balancer_names_the_client_and_is_told_of_itself() -> None:
    transport = Transport(peername=("10.0.0.9", 80))
    assert peer_of(transport, Prefix(28, "192.0.2.7", 51234)) == Peer("192.0.2.7", 51234, "http", "10.0.0.9")
    assert peer_of(transport, Prefix(16, None, 0)) == Peer("10.0.0.9", 80, "http")


def test_what_requests_can_differ_in_makes_another_origin() -> None:
    one, two = Certificate("CN=a", fingerprint="0" * 64), Certificate("CN=a", fingerprint="1" * 64)
    peers = [
        Peer("192.0.2.7", 1, "http"),
        Peer("192.0.2.8", 1, "http"),
        Peer("192.0.2.7", 1, "https", None, "1.3"),
        Peer("192.0.2.7", 1, "https", None, "1.2"),
        Peer("192.0.2.7", 1, "https", None, "1.3", one),
        Peer("192.0.2.7", 1, "https", None, "1.3", two),
        Peer("192.0.2.7", 1, "http", "10.0.0.1"),
        Peer("192.0.2.7", 1, "http", "10.0.0.2"),
        Peer("192.0.2.7", 1, "https", "10.0.0.1", "1.3", one),
    ]
    assert len(set(map(origin_of, peers))) == len(peers)
    assert origin_of(peers[0]) == origin_of(peers[0]._replace(port=2))
