"""A shelf in a filter's test is as one in the gateway, but that nobody else has it and that it is never full."""

from collections.abc import Iterator

import pytest

from gateway.api import TAGS, Shelf
from gateway.api.testing import FrozenServices
from gateway.shared.memory import SharedMemory
from gateway.shared.shelf import SharedShelf


@pytest.fixture(params=["in the gateway", "in a test"])
def shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    if request.param == "in a test":
        yield FrozenServices().shelf("a")
        return
    memory = SharedMemory.create(slots=1024)
    yield SharedShelf(memory.claim("a", "a"))
    memory.close()


def test_gives_what_is_there_until_its_end(shelf: Shelf) -> None:
    shelf.put(b"a", b"one", tags=(b"x", b"y"), made=1.0, until=10.0, now=2.0)
    assert shelf.get(b"a", 9.0) == (1.0, b"one")
    assert shelf.get(b"a", 9.0, since=1.0) is None
    assert shelf.get(b"a", 10.0) is None
    assert shelf.get(b"b", 9.0) is None


def test_the_youngest_stays(shelf: Shelf) -> None:
    for made, value in ((2.0, b"two"), (1.0, b"one"), (3.0, b"three")):
        shelf.put(b"a", value, tags=(), made=made, until=10.0, now=3.0)
    assert shelf.get(b"a", 4.0) == (3.0, b"three")


def test_what_was_withdrawn_is_gone_and_what_is_made_later_is_not(shelf: Shelf) -> None:
    for tag in (b"x", None):
        shelf.put(b"a", b"one", tags=(b"x",), made=1.0, until=50.0, now=1.0)
        shelf.withdraw(tag, 5.0, 50.0)
        assert shelf.get(b"a", 6.0) is None
        shelf.put(b"b", b"late", tags=(b"x",), made=5.0, until=50.0, now=6.0)
        assert shelf.get(b"b", 6.0) is None
    shelf.put(b"b", b"anew", tags=(b"x",), made=5.5, until=50.0, now=6.0)
    assert shelf.get(b"b", 6.0) == (5.5, b"anew")


def test_one_with_too_many_tags_is_not_put_there(shelf: Shelf) -> None:
    for count in (TAGS, TAGS + 1):
        tags = [b"%d" % number for number in range(count)]
        shelf.put(b"%d" % count, b"", tags=tags, made=1.0, until=9.0, now=1.0)
    assert shelf.get(b"%d" % TAGS, 2.0) == (1.0, b"")
    assert shelf.get(b"%d" % (TAGS + 1), 2.0) is None


def test_one_in_a_test_may_be_busy_and_is_the_same_for_one_name() -> None:
    services = FrozenServices()
    services.shelf("a").put(b"a", b"one", tags=(), made=1.0, until=9.0, now=1.0)
    assert services.shelf("a").get(b"a", 2.0) is not None
    assert services.shelf("b").get(b"a", 2.0) is None
    services.shelves["a"].busy = True
    assert services.shelf("a").get(b"a", 2.0) is None
