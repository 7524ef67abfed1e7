"""Upgrades: offered as RFC 9110 section 7.8 says, allowed by the route, and taken as offered."""

import pytest

from gateway.http.fields import Fields, RawField
from gateway.http.upgrade import NEVER, PROTOCOL, offered, taken

ALLOWED = frozenset((b"websocket", b"x/1"))


def index(*lines: RawField) -> dict[bytes, bytes | list[bytes]]:
    return Fields(lines).index()


@pytest.mark.parametrize(
    ("connection", "upgrade", "expected"),
    [
        (b"Upgrade", b"websocket", (b"websocket",)),
        (b"keep-alive, UPGRADE", b"WebSocket", (b"WebSocket",)),
        (b"upgrade", b"h2c, websocket", (b"websocket",)),
        (b"upgrade", b"X/1 , websocket, , websocket", (b"X/1", b"websocket")),
    ],
)
def test_what_the_route_allows_is_offered_as_the_client_spells_it(
    connection: bytes, upgrade: bytes, expected: tuple[bytes, ...]
) -> None:
    assert offered("GET", index((b"Connection", connection), (b"Upgrade", upgrade)), ALLOWED) == expected


@pytest.mark.parametrize(
    ("method", "lines"),
    [
        ("POST", [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]),
        ("GET", [(b"Upgrade", b"websocket")]),
        ("GET", [(b"Connection", b"keep-alive"), (b"Upgrade", b"websocket")]),
        ("GET", [(b"Connection", b"upgrade, close"), (b"Upgrade", b"websocket")]),
        ("GET", [(b"Connection", b"upgrade")]),
        ("GET", [(b"Connection", b"upgrade"), (b"Upgrade", b"h2c")]),
        ("GET", [(b"Connection", b"upgrade"), (b"Upgrade", b"websocket/13")]),
        ("GET", [(b"Connection", b"upgrade"), (b"Upgrade", b"websockets")]),
        ("GET", [(b"Connection", b"upgrade"), (b"Upgrade", b"x")]),
        ("GET", [(b"Connection", b"upgrade"), (b"Upgrade", b'"h2c, websocket, x"')]),
        ("GET", [(b"Connection", b'"close, upgrade, x"'), (b"Upgrade", b"websocket")]),
    ],
)
def test_any_other_request_offers_nothing(method: str, lines: list[RawField]) -> None:
    assert offered(method, index(*lines), ALLOWED) == ()


def test_lines_of_a_list_are_one_list() -> None:
    lines = [
        (b"Connection", b"a"),
        (b"Upgrade", b"h2c"),
        (b"connection", b"upgrade"),
        (b"upgrade", b"websocket"),
    ]
    assert offered("GET", index(*lines), ALLOWED) == (b"websocket",)
    assert taken(index(*lines), {b"websocket", b"h2c"}) == b"h2c, websocket"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"WebSocket")], b"WebSocket"),
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"x/1,websocket")], b"x/1, websocket"),
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"x/2")], b""),
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket, h2c")], b""),
        ([(b"Connection", b"Upgrade"), (b"Upgrade", b"")], b""),
        ([(b"Connection", b"Upgrade")], b""),
        ([(b"Connection", b"close"), (b"Upgrade", b"websocket")], b""),
        ([(b"Upgrade", b"websocket")], b""),
    ],
)
def test_only_what_was_offered_may_be_taken(lines: list[RawField], expected: bytes) -> None:
    assert taken(index(*lines), ALLOWED) == expected


def test_protocols_that_carry_requests_are_known_by_name() -> None:
    assert {"h2c", "h2", "http", "tls"} <= NEVER
    assert PROTOCOL.fullmatch("HTTP/2.0") and PROTOCOL.fullmatch("websocket")
    assert (
        not PROTOCOL.fullmatch("web socket")
        and not PROTOCOL.fullmatch("a/b/c")
        and not PROTOCOL.fullmatch("")
    )
