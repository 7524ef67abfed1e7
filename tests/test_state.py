"""State outlives its plan as long as another holds it."""

import asyncio

from gateway.api import Revocation
from gateway.state import StateStore, followed, lost, resumed


class Closing:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_same_key_gives_the_same_object_and_another_key_another() -> None:
    store = StateStore()
    first = store.hold("plan", "a", Closing)
    assert store.hold("plan", "a", Closing) is first
    assert store.hold("plan", "b", Closing) is not first


def test_an_object_survives_its_first_holder_and_is_closed_after_its_last() -> None:
    store = StateStore()
    held = store.hold("old", "a", Closing)
    assert store.hold("new", "a", Closing) is held
    store.release("old")
    assert held.closed == 0
    assert "a" in store
    store.release("new")
    assert held.closed == 1
    assert len(store) == 0


def test_what_a_part_is_called_does_not_tell_it_from_others() -> None:
    store = StateStore()
    held = store.hold("old", "e/enforce/1/counts 1 of w", Closing)
    assert store.hold("new", "e/enforce/1/counts 1 of a.w", Closing) is held
    assert store.hold("new", "e/enforce/1/counts 2 of w", Closing) is not held
    assert store.held("old") == {"e/enforce/1/counts 1 of w"}
    assert store.held("new") == {"e/enforce/1/counts 1 of a.w", "e/enforce/1/counts 2 of w"}
    store.release("old")
    assert held.closed == 0


def test_what_has_no_close_is_just_dropped() -> None:
    store = StateStore()
    store.hold("plan", "a", dict)
    store.release("plan")
    assert "a" not in store


def test_releasing_a_stranger_changes_nothing() -> None:
    store = StateStore()
    held = store.hold("plan", "a", Closing)
    store.release("stranger")
    assert held.closed == 0


def test_a_revocation_reaches_all_that_can_revoke_and_nothing_else() -> None:
    class Memory:
        def revoke(self, revocation: Revocation) -> int:
            return 2 if revocation.user_id == "u" else 0

    store = StateStore()
    store.hold("old", "a", Memory)
    store.hold("new", "b", Memory)
    store.hold("new", "c", dict)
    assert store.revoke(Revocation(user_id="u")) == 4
    assert store.revoke(Revocation(user_id="v")) == 0


async def test_others_are_owed_what_any_state_could_not_tell_them() -> None:
    class Sharing:
        def __init__(self, owes: str | None) -> None:
            self.owes = owes

        async def owed(self) -> str | None:
            return self.owes

    class Closed:
        async def owed(self) -> str | None:
            raise asyncio.CancelledError

    store = StateStore()
    store.hold("old", "a", dict)
    store.hold("old", "b", lambda: Sharing(None))
    assert await store.owed() == []
    store.hold("new", "c", lambda: Sharing("the store: connect"))
    store.hold("new", "d", Closed)
    assert sorted(await store.owed()) == ["CancelledError", "the store: connect"]


def test_what_is_lost_is_told_of_entries_or_of_a_part_where_nothing_else_is() -> None:
    before = {"a/enforce/1/table", "a/enforce/1/counts 1 of x", "a/enforce/1/counts 2 of y"}
    assert lost(before, before) == []
    assert lost(before, {"a/enforce/1/table", "a/enforce/1/counts 2 of z"}) == ["a 'x'"]
    assert lost(before, {"a/shadow/1/table", "a/shadow/1/counts 2 of y"}) == ["a"]
    assert lost({"route r/concurrency/1"}, set()) == ["route r"]


def test_a_client_that_gives_way_to_another_is_no_loss() -> None:
    assert lost({"a/enforce/1/store limits ", "a/enforce/1/http keys "}, set()) == []


def test_what_is_there_again_as_it_was_goes_on() -> None:
    first = {"a/enforce/1/table", "a/enforce/1/counts 1 of x", "a/enforce/1/counts 2 of y"}
    second = {"a/enforce/1/table", "a/enforce/1/counts 3 of x", "a/enforce/1/counts 2 of y"}
    assert resumed(first, second, set()) == []
    former = followed(set(), first, second)
    assert resumed(second, first, former) == ["a 'x'"]
    assert resumed(second, second, former) == []
    # Whatever came between, as long as the entry is there, and by whatever name.
    former = followed(former, second, {"a/enforce/1/table"})
    assert resumed({"a/enforce/1/table"}, {"a/enforce/1/table", "a/enforce/1/counts 1 of z"}, former) == [
        "a 'z'"
    ]
    assert followed(former, second, {"b/enforce/1/table"}) == set()
