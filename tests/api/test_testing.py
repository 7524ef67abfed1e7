"""The builders that tests of filters stand on."""

import pytest

from gateway.api import fact
from gateway.api.testing import FrozenServices, StreamBody, UndeclaredFact, exchange, guarded


def test_clocks_move_only_when_told() -> None:
    services = FrozenServices()
    before = services.now()
    assert services.now() == before
    services.advance(2)
    assert services.now() == (before.wall + 2, before.monotonic + 2)


def test_state_is_made_once() -> None:
    services = FrozenServices()
    assert services.state("a", dict) is services.state("a", dict)


def test_entropy_and_hashes_repeat() -> None:
    assert FrozenServices().entropy(8) == FrozenServices().entropy(8)
    assert FrozenServices().keyed_hash(b"a") == FrozenServices().keyed_hash(b"a")


def test_a_target_is_taken_apart() -> None:
    subject = exchange("GET", "/a?b=c")
    assert (subject.target, subject.path, subject.query) == (b"/a?b=c", "/a", "b=c")
    assert exchange("GET", "/a").query is None


def test_a_guarded_exchange_shows_what_is_declared_and_takes_edits() -> None:
    base = exchange("GET", "/", headers={"X-A": "1"})
    subject = guarded(base, frozenset((fact.METHOD, fact.header("x-a"))))
    assert subject.method == "GET"
    assert subject.request.headers.get("X-A") == "1"
    for read in (
        lambda: subject.path,
        lambda: subject.client,
        lambda: subject.request.headers.get("x-b"),
        lambda: subject.request.body,
    ):
        with pytest.raises(UndeclaredFact):
            read()
    subject.request.headers.set("X-B", "2")
    assert base.request.headers.get("x-b") == "2"


def test_a_stream_can_be_pumped_through_its_wrappers() -> None:
    body = StreamBody([b"ab", b"c"])
    body.wrap(bytes.upper)
    assert body.pump() == b"ABC"
