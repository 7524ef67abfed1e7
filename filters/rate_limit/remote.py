"""Cells in Redis or Valkey, for gateways on several machines: one call for all limits of a request, by the server's clock."""

import hashlib
import math
import struct
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, NamedTuple

from filters._key import Counted
from filters._memo import Memo
from filters.rate_limit.algorithm import Algorithm, Cell, FixedWindow
from filters.rate_limit.script import KINDS, SCRIPT
from filters.rate_limit.store import Charge, Decision
from gateway.api import Store, StoreError

_CHARGE: Final = struct.Struct("<7d")
_CELL: Final = struct.Struct("<3d")
_HEAD: Final = struct.Struct("<2d")
_SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
_NAMES_MAX: Final = 16_384
_PROBE: Final[Charge] = (-1, FixedWindow(1, 1.0), "probe", 1)
"""Of no limit: whether something can be charged at all."""


class Answer(NamedTuple):
    """What the store has decided.

    now      on the server's clock, in seconds since EPOCH: the axis of the cells
    granted  for each charge, what it may spend: its cost, or as much of the share as fits
    """

    decision: Decision
    now: float
    granted: tuple[int, ...]


class Names(Memo[tuple[int, str, Hashable], bytes]):
    """By what name the store has the cell of a limit, a kind of algorithm and a key: of one entry, which `entry` tells from
    others; all of its cells are in one slot of a cluster. `met` hears of each key that is new."""

    def __init__(self, prefix: str, entry: str, met: Callable[[Counted], None] | None = None) -> None:
        super().__init__(self._met, _NAMES_MAX)
        self._tag = f"{prefix}:{{{hashlib.sha256(entry.encode()).hexdigest()[:16]}}}:".encode()
        self._heard = met

    def _met(self, whose: tuple[int, str, Hashable]) -> bytes:
        if self._heard is not None:
            self._heard((whose[0], whose[2]))
        return self.name(whose)

    def name(self, whose: tuple[int, str, Hashable]) -> bytes:
        """The same, without it being remembered."""
        hashed = hashlib.blake2b(repr(whose).encode("utf-8", "backslashreplace"), digest_size=16)
        return self._tag + hashed.hexdigest().encode()


class RemoteStore:
    """The cells of one entry."""

    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names
        self.refusing = False
        """Whether it answers, and has refused to make a charge when it was last asked to: it is full, say, or read-only."""

    async def decide(self, charges: Sequence[Charge], *, shares: Sequence[int] = ()) -> Answer:
        """Makes every charge, or none when one refuses. With `shares`, one for each charge, more is drawn than is asked for,
        as far as it fits.

        Raises StoreError.
        """
        answer = self._read(await self._call(b"", charges, shares), charges)
        if self.refusing and answer.decision[1] < 0 and any(cost for *_, cost in charges):
            self.refusing = False  # what is only looked at, or refused by a limit, needs no room
        return answer

    async def charge_late(self, charges: Sequence[Charge]) -> Answer:
        """Makes charges that nobody can refuse any more. Raises StoreError."""
        answer = self._read(await self._call(b"late", charges, ()), charges)
        self.refusing = False
        return answer

    async def probe(self) -> None:
        """Finds out whether it makes charges again. Raises StoreError."""
        await self.charge_late((_PROBE,))

    def available(self) -> bool:
        """Whether the store was there when it was last asked, and did what it was asked for."""
        return self._store.available() and not self.refusing

    def known(self) -> list[Counted]:
        """Whose cells this process has asked for."""
        return [(limit, key) for limit, _, key in self._names.known() if limit >= 0]

    async def forget(self, whose: Sequence[Counted]) -> None:
        """Removes their cells, by whatever kind of algorithm they were counted: who is blocked has one of the kind by which he
        was counted before. Raises StoreError."""
        if whose:
            await self._store.command(
                "DEL", *(self._names.name((limit, kind, key)) for limit, key in whose for kind in KINDS)
            )

    async def _call(self, mode: bytes, charges: Sequence[Charge], shares: Sequence[int]) -> Any:
        keys = [self._names[limit, algorithm.spec[0], key] for limit, algorithm, key, _ in charges]
        each = shares or (0,) * len(charges)
        told = [
            _told(algorithm, cost, share)
            for (_, algorithm, _, cost), share in zip(charges, each, strict=True)
        ]
        try:
            return await self._store.command("EVALSHA", _SHA, len(keys), *keys, mode, *told)
        except StoreError as error:
            if error.reason != "refused" or error.detail != "NOSCRIPT":
                self._heard(error)
                raise
        try:
            return await self._store.command("EVAL", SCRIPT, len(keys), *keys, mode, *told)
        except StoreError as error:
            self._heard(error)
            raise

    def _heard(self, error: StoreError) -> None:
        if error.reason == "refused":
            self.refusing = True

    def _read(self, answer: Any, charges: Sequence[Charge]) -> Answer:
        try:
            head, refused, *told = answer
            now, wait = _HEAD.unpack(head)
            if (
                len(told) != 3 * len(charges)
                or not -1 <= refused < len(charges)
                or not math.isfinite(now + wait)
            ):
                raise ValueError
            before, after = tuple(map(_cell, told[0::3])), tuple(map(_cell, told[1::3]))
            granted = tuple(int(each) for each in told[2::3])
        except (TypeError, ValueError, struct.error):
            raise StoreError("broken", "no decision") from None
        return Answer((wait, refused, before, after), now, granted)


def _told(algorithm: Algorithm, cost: int, share: int) -> bytes:
    kind, numbers = algorithm.spec
    return _CHARGE.pack(KINDS[kind], cost, share, *numbers, *(0.0,) * (4 - len(numbers)))


def _cell(packed: bytes) -> Cell | None:
    if not packed:
        return None
    expires, x, y = _CELL.unpack(packed)
    return expires, x, y
