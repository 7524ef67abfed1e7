"""Images and their metadata in one SQLite file; who may see and change them, and how many items fit.

A write is on disk before the call returns: write-ahead log, synchronous=FULL, one transaction that reads,
judges and writes. Killing the process at any point loses nothing that was answered. A store belongs to the
thread that opened it.
"""

import enum
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_SCHEMA = """
CREATE TABLE IF NOT EXISTS image (
    id TEXT NOT NULL PRIMARY KEY,
    project_id TEXT NOT NULL,
    name TEXT NOT NULL,
    visibility TEXT NOT NULL CHECK (visibility IN ('private', 'public')),
    status TEXT NOT NULL CHECK (status IN ('ACTIVE', 'SAVING')),
    backend TEXT NOT NULL CHECK (backend IN ('ready', 'broken', 'offline'))
);
CREATE TABLE IF NOT EXISTS metadata (
    image_id TEXT NOT NULL REFERENCES image (id),
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (image_id, key)
);
"""
# The row id grows with every insertion and stays through an update: items come back in the order of arrival.
_ITEMS = "SELECT key, value FROM metadata WHERE image_id = ? ORDER BY rowid"
_UPSERT = (
    "INSERT INTO metadata (image_id, key, value) VALUES (?, ?, ?) "
    "ON CONFLICT (image_id, key) DO UPDATE SET value = excluded.value"
)

_WRITERS = frozenset({"member", "admin"})


@dataclass(frozen=True)
class Image:
    """An image: `backend` is where its metadata lives, and whether that place works."""

    id: str
    project_id: str
    name: str
    visibility: Literal["private", "public"] = "private"
    status: Literal["ACTIVE", "SAVING"] = "ACTIVE"
    backend: Literal["ready", "broken", "offline"] = "ready"


@dataclass(frozen=True)
class Caller:
    """Who asks. Roles count within the caller's own project only, `admin` included."""

    project_id: str | None
    roles: frozenset[str] = frozenset()

    @property
    def may_write(self) -> bool:
        return not _WRITERS.isdisjoint(self.roles)


class Why(enum.Enum):
    IMAGE_NOT_FOUND = enum.auto()
    KEY_NOT_FOUND = enum.auto()
    NOT_AUTHORIZED = enum.auto()
    SAVING = enum.auto()
    OVER_QUOTA = enum.auto()
    BROKEN = enum.auto()
    OFFLINE = enum.auto()
    LOCKED = enum.auto()


class Denied(Exception):  # noqa: N818 - an answer that must leave a transaction, not an error
    """The operation was not done, and nothing was changed."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.name)
        self.why = why


class Store:
    """An open database.

    quota         items that one image may hold
    busy_timeout  seconds to wait for another process that is writing; then the call is Denied(LOCKED)
    """

    def __init__(self, database: Path | str, *, quota: int = 128, busy_timeout: float = 2.0) -> None:
        self.quota = quota
        self._connection = sqlite3.connect(database, timeout=busy_timeout, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._connection.executescript(_SCHEMA)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def add_image(self, image: Image, metadata: Mapping[str, str]) -> bool:
        """Adds an image with its first metadata; False, and nothing changed, when the id is there already."""
        with self._transaction("IMMEDIATE"):
            added = self._connection.execute(
                "INSERT OR IGNORE INTO image (id, project_id, name, visibility, status, backend) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (image.id, image.project_id, image.name, image.visibility, image.status, image.backend),
            ).rowcount
            if added:
                self._put(image.id, metadata)
        return bool(added)

    def items(self, caller: Caller, image_id: str) -> dict[str, str]:
        with self._transaction("DEFERRED"):
            self._admit(caller, image_id, write=False)
            return self._items(image_id)

    def item(self, caller: Caller, image_id: str, key: str) -> str:
        items = self.items(caller, image_id)
        if key not in items:
            raise Denied(Why.KEY_NOT_FOUND)
        return items[key]

    def merge(self, caller: Caller, image_id: str, items: Mapping[str, str]) -> dict[str, str]:
        """Adds and overwrites items, keeps the others; returns the whole resulting set."""
        with self._transaction("IMMEDIATE"):
            self._admit(caller, image_id, write=True)
            merged = self._items(image_id) | dict(items)
            self._check_quota(len(merged))
            self._put(image_id, items)
        return merged

    def replace(self, caller: Caller, image_id: str, items: Mapping[str, str]) -> None:
        """Makes `items` the whole set."""
        with self._transaction("IMMEDIATE"):
            self._admit(caller, image_id, write=True)
            self._check_quota(len(items))
            self._connection.execute("DELETE FROM metadata WHERE image_id = ?", (image_id,))
            self._put(image_id, items)

    def remove(self, caller: Caller, image_id: str, key: str) -> None:
        with self._transaction("IMMEDIATE"):
            self._admit(caller, image_id, write=True)
            removed = self._connection.execute(
                "DELETE FROM metadata WHERE image_id = ? AND key = ?", (image_id, key)
            ).rowcount
            if not removed:
                raise Denied(Why.KEY_NOT_FOUND)

    def _admit(self, caller: Caller, image_id: str, *, write: bool) -> None:
        """Raises Denied unless the caller may do this; a private image of others is as good as none."""
        row = self._connection.execute(
            "SELECT project_id, visibility, status, backend FROM image WHERE id = ?", (image_id,)
        ).fetchone()
        if row is None:
            raise Denied(Why.IMAGE_NOT_FOUND)
        project_id, visibility, status, backend = row
        own = project_id == caller.project_id
        if not own and visibility != "public":
            raise Denied(Why.IMAGE_NOT_FOUND)
        if write and not (own and caller.may_write):
            raise Denied(Why.NOT_AUTHORIZED)
        if backend == "broken":
            raise Denied(Why.BROKEN)
        if backend == "offline":
            raise Denied(Why.OFFLINE)
        if write and status != "ACTIVE":
            raise Denied(Why.SAVING)

    def _items(self, image_id: str) -> dict[str, str]:
        return dict(self._connection.execute(_ITEMS, (image_id,)))

    def _check_quota(self, count: int) -> None:
        if count > self.quota:
            raise Denied(Why.OVER_QUOTA)

    def _put(self, image_id: str, items: Mapping[str, str]) -> None:
        self._connection.executemany(_UPSERT, [(image_id, key, value) for key, value in items.items()])

    @contextmanager
    def _transaction(self, kind: Literal["DEFERRED", "IMMEDIATE"]) -> Iterator[None]:
        try:
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite ends it itself when the disk is full
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise Denied(Why.LOCKED) from error
            raise
