"""Framing: one certain length, or a refusal (RFC 9112 sections 6.1 and 6.3; RFC 9110 section 7.6.1)."""

import pytest

from gateway.http.fields import Fields, RawField
from gateway.http.framing import HOP_BY_HOP, check_framing, connection_options, dropped


def index(*lines: RawField) -> dict[bytes, bytes | list[bytes]]:
    return Fields(lines).index()


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        ((1, 0), [(b"Transfer-Encoding", b"chunked")]),
        ((1, 1), [(b"Transfer-Encoding", b"gzip, chunked")]),
        ((1, 1), [(b"Transfer-Encoding", b"chunked"), (b"transfer-encoding", b"chunked")]),
        ((1, 1), [(b"Transfer-Encoding", b"identity")]),
        ((1, 1), [(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"1")]),
        ((1, 1), [(b"Content-Length", b"+1")]),
        ((1, 1), [(b"Content-Length", b"1, 1")]),
        ((1, 1), [(b"Content-Length", b"")]),
        ((1, 1), [(b"Content-Length", b"1"), (b"content-length", b"1")]),
        ((1, 1), [(b"Content-Length", b"9" * 19)]),
        ((1, 1), [(b"Content-Length", "\u0661".encode())]),
    ],
)
def test_refuses_a_length_that_is_not_certain(version: tuple[int, int], lines: list[RawField]) -> None:
    problem = check_framing(version, index(*lines))
    assert problem is not None
    assert (problem.status, problem.reason) == (400, "framing_invalid")


@pytest.mark.parametrize(
    "lines",
    [[], [(b"Content-Length", b"0")], [(b"Content-Length", b"42")], [(b"Transfer-Encoding", b"Chunked")]],
)
def test_passes_one_certain_length(lines: list[RawField]) -> None:
    assert check_framing((1, 1), index(*lines)) is None


def test_connection_options_are_split_over_lines_and_lower_case() -> None:
    assert connection_options([b"Keep-Alive, X-Foo", b"close"]) == {b"keep-alive", b"x-foo", b"close"}


def test_drops_the_fixed_names_and_those_that_connection_names() -> None:
    assert dropped(index((b"Host", b"a"))) == HOP_BY_HOP
    assert dropped(index((b"Connection", b"close"))) == HOP_BY_HOP
    assert dropped(index((b"Connection", b"close, X-Foo"))) == HOP_BY_HOP | {b"close", b"x-foo"}


@pytest.mark.parametrize(
    "name", [b"Content-Length", b"Host", b"X-Auth-Token", b"Authorization", b"Via", b"Date"]
)
def test_connection_cannot_take_away_what_gives_the_message_its_meaning(name: bytes) -> None:
    assert name.lower() not in dropped(index((b"Connection", name)))
