"""Which records were written by gateways that count as one.

Limits are counted in memory that the workers of a gateway share, or in a store that gateways share. Two gateways on one host
have one clock and each a memory of its own, and so has one that is started anew: what tells them apart is since when that memory
is there, which records say, and the lines that tell of a gateway's configuration.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

_GRAIN: Final = 1.0
"""Seconds within which two offsets are of one clock."""
_UNKNOWN: Final = 0.0
_STORE: Final = -1.0

_Memory: TypeAlias = tuple[int, float]
"""The number of a clock, and since when something has been counted by it."""


class Origin(NamedTuple):
    """What a file says of a gateway that has written in it.

    offset  seconds from the axis of its limits to the wall clock
    since   since when its limits have counted; 0 where nobody knows
    told    when the log first told of that; None where it did not
    common  whether they are counted in a store
    """

    offset: float
    since: float
    told: float | None = None
    common: bool = False


def machines(origins: Sequence[Origin]) -> list[int]:
    """Of each the number of what counts as one: those of one clock that name the same memory, or share a store.

    One that names none is of the only memory that others of its clock name; where there are several, nobody knows of which.
    """
    clocks = _clocks([origin.offset for origin in origins])
    memories = [_memory(origin, clocks[origin.offset]) for origin in origins]
    numbers: dict[_Memory, int] = {}
    found: list[int] = []
    for memory in memories:
        if memory[1] == _UNKNOWN:
            others = {other for other in memories if other[0] == memory[0]} - {memory}
            memory = others.pop() if len(others) == 1 else memory
        found.append(numbers.setdefault(memory, len(numbers)))
    return found


def _memory(origin: Origin, clock: int) -> _Memory:
    return clock, _STORE if origin.common else origin.since


def _clocks(offsets: Sequence[float]) -> dict[float, int]:
    """Offset -> number of the clock whose it is."""
    known: dict[float, int] = {}
    last = float("-inf")
    number = -1
    for offset in sorted(set(offsets)):
        if offset - last > _GRAIN:
            number += 1
        known[offset] = number
        last = offset
    return known
