"""What filters remember between exchanges, kept apart from the filters so that it outlives a reload."""

import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from gateway.api.revocation import Revocable, Revocation

T = TypeVar("T")

_UNMISSED: Final = ("http ", "store ", "memo ")
"""What the names of those begin with, clients and others, that remember nothing that anybody would miss."""
_OF: Final = " of "


class StateStore:
    """Objects by key, each held by the plans that use it and closed when no plan holds it.

    A plan may be built in a thread while others are in force.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # again by a factory that holds something itself
        self._objects: dict[str, Any] = {}
        self._holders: dict[str, set[object]] = {}

    def hold(self, holder: object, key: str, factory: Callable[[], T]) -> T:
        """The object of `key`, made by `factory` when there is none; `holder` keeps it alive."""
        with self._lock:
            if key not in self._objects:
                self._objects[key] = factory()
                self._holders[key] = set()
            self._holders[key].add(holder)
            return cast(T, self._objects[key])

    def held(self, holder: object) -> set[str]:
        """The keys of all that `holder` holds."""
        with self._lock:
            return {key for key, holders in self._holders.items() if holder in holders}

    def release(self, holder: object) -> None:
        """Lets go of all that `holder` holds; what nobody holds any more is closed."""
        closing: list[Any] = []
        with self._lock:
            for key, holders in list(self._holders.items()):
                holders.discard(holder)
                if not holders:
                    del self._holders[key]
                    closing.append(self._objects.pop(key))
        for held in closing:
            close = getattr(held, "close", None)
            if close is not None:
                close()

    def revoke(self, revocation: Revocation) -> int:
        """Has everything forgotten that fits; how many entries those were."""
        with self._lock:
            found = [held for held in self._objects.values() if isinstance(held, Revocable)]
        return sum(held.revoke(revocation) for held in found)

    def __contains__(self, key: str) -> bool:
        return key in self._objects

    def __len__(self) -> int:
        return len(self._objects)


def lost(before: set[str], after: set[str]) -> list[str]:
    """What is lost of the state whose keys are `before`, where those after are taken over: names of entries, and
    `ENTRY 'PART'` where nothing else of an entry is lost.

    A key is `ENTRY/MODE/HASH/NAME` or `ENTRY/MODE/HASH/NAME of PART`; others begin with what they belong to.
    """
    kept = {key.partition(_OF)[0] for key in after}
    entries: set[str] = set()
    parts: set[tuple[str, str]] = set()
    for key in before:
        whose, of, part = key.partition(_OF)
        if whose in kept:
            continue
        entry, *rest = whose.split("/", 3)
        if len(rest) == 3 and rest[2].startswith(_UNMISSED):
            continue
        if of:
            parts.add((entry, part))
        else:
            entries.add(entry)
    return sorted(entries | {f"{entry} '{part}'" for entry, part in parts if entry not in entries})
