import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.demo.store import Caller, Denied, Image, Store, Why

OWN = Image("own", "p1", "own")
MEMBER = Caller("p1", frozenset({"member"}))
READER = Caller("p1", frozenset({"reader"}))
STRANGER = Caller("p2", frozenset({"admin", "member"}))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "images.sqlite", quota=3)
    store.add_image(OWN, {"a": "1", "b": "2"})
    yield store
    store.close()


@contextlib.contextmanager
def denied(why: Why) -> Iterator[None]:
    with pytest.raises(Denied) as caught:
        yield
    assert caught.value.why is why


def test_merge_adds_overwrites_and_keeps_in_the_order_of_arrival(store: Store) -> None:
    assert list(store.merge(MEMBER, "own", {"c": "3", "a": "x"}).items()) == [
        ("a", "x"),
        ("b", "2"),
        ("c", "3"),
    ]
    assert list(store.items(MEMBER, "own").items()) == [("a", "x"), ("b", "2"), ("c", "3")]


def test_replace_drops_what_is_absent(store: Store) -> None:
    store.replace(MEMBER, "own", {"z": "26", "a": "1"})
    assert list(store.items(MEMBER, "own").items()) == [("z", "26"), ("a", "1")]


def test_keys_keep_their_case(store: Store) -> None:
    store.replace(MEMBER, "own", {"Label": "1", "label": "2"})
    assert store.items(MEMBER, "own") == {"Label": "1", "label": "2"}


def test_remove_takes_one_item_once(store: Store) -> None:
    store.remove(MEMBER, "own", "a")
    assert store.items(MEMBER, "own") == {"b": "2"}
    with denied(Why.KEY_NOT_FOUND):
        store.remove(MEMBER, "own", "a")
    with denied(Why.KEY_NOT_FOUND):
        store.item(MEMBER, "own", "a")


def test_the_quota_counts_the_set_that_would_result_and_changes_nothing(store: Store) -> None:
    store.merge(MEMBER, "own", {"c": "3"})
    with denied(Why.OVER_QUOTA):
        store.merge(MEMBER, "own", {"a": "changed", "d": "4"})
    with denied(Why.OVER_QUOTA):
        store.replace(MEMBER, "own", {"1": "", "2": "", "3": "", "4": ""})
    assert store.items(MEMBER, "own") == {"a": "1", "b": "2", "c": "3"}
    assert store.merge(MEMBER, "own", {"a": "changed"})["a"] == "changed"


def test_access_is_decided_in_one_order(store: Store) -> None:
    store.add_image(Image("public", "p1", "public", visibility="public"), {})
    store.add_image(Image("saving", "p1", "saving", status="SAVING"), {"a": "1"})
    store.add_image(Image("broken", "p1", "broken", backend="broken", status="SAVING"), {})
    store.add_image(Image("offline", "p1", "offline", backend="offline"), {})

    assert store.items(READER, "own") == {"a": "1", "b": "2"}
    assert store.items(STRANGER, "public") == {}
    assert store.items(MEMBER, "saving") == {"a": "1"}
    for caller, image_id, why in [
        (MEMBER, "unknown", Why.IMAGE_NOT_FOUND),
        (STRANGER, "own", Why.IMAGE_NOT_FOUND),
        (STRANGER, "saving", Why.IMAGE_NOT_FOUND),
        (Caller(None), "own", Why.IMAGE_NOT_FOUND),
        (MEMBER, "broken", Why.BROKEN),
        (MEMBER, "offline", Why.OFFLINE),
    ]:
        with denied(why):
            store.items(caller, image_id)
        with denied(why):
            store.replace(caller, image_id, {})
    for caller, image_id, why in [
        (READER, "own", Why.NOT_AUTHORIZED),
        (READER, "broken", Why.NOT_AUTHORIZED),
        (Caller("p1"), "own", Why.NOT_AUTHORIZED),
        (STRANGER, "public", Why.NOT_AUTHORIZED),
        (MEMBER, "saving", Why.SAVING),
    ]:
        with denied(why):
            store.merge(caller, image_id, {})
        with denied(why):
            store.replace(caller, image_id, {})
        with denied(why):
            store.remove(caller, image_id, "a")


def test_adding_an_image_again_changes_nothing(store: Store) -> None:
    store.merge(MEMBER, "own", {"a": "changed"})
    assert store.add_image(OWN, {"a": "1", "c": "3"}) is False
    assert store.items(MEMBER, "own") == {"a": "changed", "b": "2"}


def test_a_commit_waits_for_the_disk(store: Store) -> None:
    full = 2
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (full,)
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_write_is_seen_by_another_connection_at_once(store: Store, tmp_path: Path) -> None:
    store.merge(MEMBER, "own", {"a": "new"})
    with contextlib.closing(Store(tmp_path / "images.sqlite")) as other:
        assert other.item(MEMBER, "own", "a") == "new"


def test_a_database_that_another_holds_is_locked_for_writes_and_open_for_reads(tmp_path: Path) -> None:
    database = tmp_path / "images.sqlite"
    with (
        contextlib.closing(Store(database, busy_timeout=0)) as store,
        contextlib.closing(sqlite3.connect(database, isolation_level=None)) as other,
    ):
        store.add_image(OWN, {"a": "1"})
        other.execute("BEGIN IMMEDIATE")
        with denied(Why.LOCKED):
            store.merge(MEMBER, "own", {"a": "2"})
        assert store.items(MEMBER, "own") == {"a": "1"}
        other.execute("ROLLBACK")
        assert store.merge(MEMBER, "own", {"a": "2"}) == {"a": "2"}


def test_a_failure_in_a_transaction_is_rolled_back_and_leaves_the_store_usable(store: Store) -> None:
    with pytest.raises(UnicodeEncodeError):
        store.replace(MEMBER, "own", {"ok": "1", "half": "\ud800"})
    assert store.items(MEMBER, "own") == {"a": "1", "b": "2"}
    assert store.merge(MEMBER, "own", {"c": "3"}) == {"a": "1", "b": "2", "c": "3"}


def test_a_file_that_is_no_database_is_an_error_and_leaves_no_connection(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("this is no database, and it is longer than a header of one hundred bytes " * 2)
    with pytest.raises(sqlite3.DatabaseError, match="file is not a database"):
        Store(path)


KEYS = st.sampled_from(["a", "A", "b", "c", "d e", "f:1"])
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ITEMS = st.dictionaries(KEYS, VALUES, max_size=6)


class StoreMachine(RuleBasedStateMachine):
    """The store does what a dictionary with a quota does, also after it was closed and opened again."""

    QUOTA = 4

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.model: dict[str, str] = {}
        self.open()

    def open(self) -> None:
        self.store = Store(Path(self.directory.name) / "images.sqlite", quota=self.QUOTA)

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()

    @initialize(items=st.dictionaries(KEYS, VALUES, max_size=4))
    def add(self, items: dict[str, str]) -> None:
        assert self.store.add_image(OWN, items)
        self.model = dict(items)

    @rule(items=ITEMS)
    def merge(self, items: dict[str, str]) -> None:
        merged = self.model | items
        if len(merged) > self.QUOTA:
            with denied(Why.OVER_QUOTA):
                self.store.merge(MEMBER, "own", items)
        else:
            assert list(self.store.merge(MEMBER, "own", items).items()) == list(merged.items())
            self.model = merged

    @rule(items=ITEMS)
    def replace(self, items: dict[str, str]) -> None:
        if len(items) > self.QUOTA:
            with denied(Why.OVER_QUOTA):
                self.store.replace(MEMBER, "own", items)
        else:
            self.store.replace(MEMBER, "own", items)
            self.model = dict(items)

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        if self.model.pop(key, None) is None:
            with denied(Why.KEY_NOT_FOUND):
                self.store.remove(MEMBER, "own", key)
        else:
            self.store.remove(MEMBER, "own", key)

    @rule(key=KEYS)
    def show(self, key: str) -> None:
        if key in self.model:
            assert self.store.item(MEMBER, "own", key) == self.model[key]
        else:
            with denied(Why.KEY_NOT_FOUND):
                self.store.item(MEMBER, "own", key)

    @precondition(lambda self: self.model)
    @rule()
    def refused_callers_change_nothing(self) -> None:
        with denied(Why.NOT_AUTHORIZED):
            self.store.replace(READER, "own", {})
        with denied(Why.IMAGE_NOT_FOUND):
            self.store.replace(STRANGER, "own", {})

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.open()

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        if self.model:
            assert list(self.store.items(MEMBER, "own").items()) == list(self.model.items())


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
