"""What nodes of a cluster say of keys that others have, and which slot a key is in."""

import pytest

from gateway.redirection import Part, Redirection, redirection, slot_of


@pytest.mark.parametrize(
    ("error", "host", "port", "once", "place"),
    [
        ("MOVED 3999 127.0.0.1:6381", "127.0.0.1", 6381, False, "127.0.0.1:6381"),
        ("ASK 0 node-1.redis.test:65535", "node-1.redis.test", 65535, True, "node-1.redis.test:65535"),
        ("MOVED 16383 ::1:6379", "::1", 6379, False, "[::1]:6379"),
        ("MOVED 1 :6379", "", 6379, False, ":6379"),
    ],
)
def test_another_node_is_named(error: str, host: str, port: int, once: bool, place: str) -> None:
    told = redirection(error)
    assert told is not None
    assert (told, told.place) == (Redirection(host, port, once), place)


@pytest.mark.parametrize(
    "error",
    [
        "",
        "MOVED",
        "ERR MOVED 1 a:1",
        "MOVED 16384 a:1",
        "MOVED -1 a:1",
        "MOVED 1 a:0",
        "MOVED 1 a:65536",
        "MOVED 1 a",
        "MOVED 1 ?:6379",
        "MOVED 1 user@a:1",
        "MOVED 1 a/b:1",
        "MOVED 1 -a:1",
        "MOVED 1 a\n:1",
        "MOVED 1 a:1\n",
        "MOVED 1 a:1 b",
        "MOVED 1 " + "a" * 300 + ":1",
        "moved 1 a:1",
        "MOVED \u0661 a:1",
    ],
)
def test_anything_else_names_none(error: str) -> None:
    assert redirection(error) is None


@pytest.mark.parametrize(
    ("parts", "slot"),
    [
        (("GET", "123456789"), 0x31C3),
        (("GET", b"foo"), 12182),
        (("SET", "{foo}:bar", 1), 12182),
        (("SET", "{}foo", 1), 9500),
        (("SET", "a{foo}{bar}", 1), 12182),
        (("EVALSHA", "sha", 2, "{foo}1", "{foo}2", "argument"), 12182),
        (("EVAL", "return 1", 0), None),
        (("PING",), None),
    ],
)
def test_the_slot_is_that_of_the_tag(parts: tuple[Part, ...], slot: int | None) -> None:
    assert slot_of(parts) == slot
