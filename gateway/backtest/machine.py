"""Which files of a log were written by gateways that count as one.

Limits are counted in memory that the workers of a gateway share, or in a store that gateways share. Two gateways on one host
have one clock and each a memory of its own: what tells them apart is since when that is there, which the lines say that tell
of a gateway's configuration.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

_GRAIN: Final = 1.0
"""Seconds within which two offsets are of one clock."""
_UNKNOWN: Final = 0.0
_STORE: Final = -1.0

_Memory: TypeAlias = tuple[int, float]
"""The number of a clock, and since when something has been counted by it."""


class Origin(NamedTuple):
    """What a file says of the gateway that has written it.

    offset  seconds from the axis of its limits to the wall clock
    begun   since when its limits have counted, for each time that it was started, and when the log first told of that
    common  whether they are counted in a store
    """

    offset: float
    begun: Mapping[float, float]
    common: bool = False


def machines(origins: Sequence[Origin]) -> list[int]:
    """Of each the number of what counts as one: those of one clock that name the same memory, or share a store.

    One that names none is of the only memory that others of its clock name; where there are several, nobody knows of which.
    """
    clocks = _clocks([origin.offset for origin in origins])
    memories = [_memories(origin, clocks[origin.offset]) for origin in origins]
    same: dict[_Memory, _Memory] = {}
    for several in memories:
        for memory in several:
            same[_of(several[0], same)] = _of(memory, same)
    for clock in set(clocks.values()):
        named = {_of(memory, same) for memory in same if memory[0] == clock and memory[1] != _UNKNOWN}
        if len(named) == 1:
            same[_of((clock, _UNKNOWN), same)] = named.pop()
    numbers: dict[_Memory, int] = {}
    return [numbers.setdefault(_of(several[0], same), len(numbers)) for several in memories]


def _memories(origin: Origin, clock: int) -> list[_Memory]:
    if origin.common:
        return [(clock, _STORE)]
    return [(clock, since) for since in sorted(origin.begun) if since > 0] or [(clock, _UNKNOWN)]


def _of(memory: _Memory, same: dict[_Memory, _Memory]) -> _Memory:
    """The one that stands for all that are the same."""
    while (other := same.setdefault(memory, memory)) != memory:
        memory = other
    return memory


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
