"""What filters remember between exchanges, kept apart from the filters so that it outlives a reload."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from gateway.api.revocation import Owing, Revocable, Revocation

T = TypeVar("T")

_UNMISSED: Final = ("http ", "store ", "memo ")
"""What the names of those begin with, clients and others, that remember nothing that anybody would miss."""
_OF: Final = " of "


class StateStore:
    """Objects by key, each held by the plans that use it and closed when no plan holds it.

    A plan may be built in a thread while others are in force. What stands in a key behind ` of ` is what the holder calls the
    part that the object belongs to; others may call it otherwise.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # again by a factory that holds something itself
        self._objects: dict[str, Any] = {}
        self._holders: dict[str, dict[object, str]] = {}  # with the keys by which they hold them

    def hold(self, holder: object, key: str, factory: Callable[[], T]) -> T:
        """The object of `key`, made by `factory` when there is none; `holder` keeps it alive."""
        with self._lock:
            whose = _whose(key)
            if whose not in self._objects:
                self._objects[whose] = factory()
                self._holders[whose] = {}
            self._holders[whose][holder] = key
            return cast(T, self._objects[whose])

    def held(self, holder: object) -> set[str]:
        """The keys of all that `holder` holds."""
        with self._lock:
            return {holders[holder] for holders in self._holders.values() if holder in holders}

    def release(self, holder: object) -> None:
        """Lets go of all that `holder` holds; what nobody holds any more is closed."""
        closing: list[Any] = []
        with self._lock:
            for whose, holders in list(self._holders.items()):
                holders.pop(holder, None)
                if not holders:
                    del self._holders[whose]
                    closing.append(self._objects.pop(whose))
        for held in closing:
            close = getattr(held, "close", None)
            if close is not None:
                close()

    def revoke(self, revocation: Revocation) -> int:
        """Has everything forgotten that fits; how many entries those were."""
        with self._lock:
            found = [held for held in self._objects.values() if isinstance(held, Revocable)]
        return sum(held.revoke(revocation) for held in found)

    async def owed(self) -> list[str]:
        """Why others have not been told of what was revoked, once they have been asked to take note; none where all have been."""
        with self._lock:
            found = [held for held in self._objects.values() if isinstance(held, Owing)]
        told = await asyncio.gather(*(held.owed() for held in found), return_exceptions=True)
        # One that is closed meanwhile has its question cancelled.
        return [
            type(each).__name__ if isinstance(each, BaseException) else each
            for each in told
            if each is not None
        ]

    def __contains__(self, key: str) -> bool:
        return _whose(key) in self._objects

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


def resumed(before: set[str], after: set[str], former: set[str]) -> list[str]:
    """What goes on as it was when it was last there, `ENTRY 'PART'`: what is of `former`, see `followed`, and not of `before`."""
    had, known = ({_whose(key) for key in keys} for keys in (before, former))
    found = {(_whose(key), key.partition(_OF)[2]) for key in after if _OF in key}
    back = {(whose.partition("/")[0], part) for whose, part in found if whose in known - had}
    return sorted(f"{entry} '{part}'" for entry, part in back)


def followed(former: set[str], before: set[str], after: set[str]) -> set[str]:
    """The parts that may be taken up again once `after` has followed `before`, which had those of `former` behind it: what
    else an entry remembers they are kept in, so they are there for as long as that is."""
    kept = {_definition(key) for key in after}
    return {key for key in former | before if _OF in key and _definition(key) in kept}


def _whose(key: str) -> str:
    return key.partition(_OF)[0]


def _definition(key: str) -> str:
    """`ENTRY/MODE/HASH`."""
    return "/".join(key.split("/", 3)[:3])
