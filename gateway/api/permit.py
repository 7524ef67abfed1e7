"""Permits that all worker processes share, as far as filters have them: so many at once for each key, given back in any case."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from gateway.api.table import Place

Demand: TypeAlias = tuple[Place, int]
"""One permit of those at a place, of which there are so many."""


class Claim(Protocol):
    """What one exchange demands, and has or waits for.

    full  the first of the demands for which there is no permit; -1 once it has all of them. It has all or none
    used  how many permits of that one are taken; of the first demand when there are enough
    shed  whether it has come to need one for which too many wait already, and so waits no longer
    """

    full: int
    used: int
    shed: bool

    @abstractmethod
    def queue(self, *most: int) -> bool:
        """Takes a place among those who wait for the full one, of which there are at most so many; False when there is none.

        With one number for each demand, that of the full one counts, and later that of whichever it comes to wait for.
        """

    @abstractmethod
    async def turn(self, timeout: float) -> bool:
        """Waits, at most so many seconds: True when it has all permits. To be cancelled at will; then, and when it is False,
        it waits no longer."""

    @abstractmethod
    def amend(self, *most: int) -> None:
        """There are so many at the place of each demand now: for one that waits, whose turn may have come by that."""

    @abstractmethod
    def release(self) -> None:
        """Gives back all that it has, its place among those who wait too. Harmless a second time."""


class Permits(Protocol):
    """Permits by key. To be used in the event loop's thread.

    Those of a process that is killed are free at once for whoever would otherwise be refused. While one that has stopped is in
    the midst of a change, claims have all that they demand, and are not counted.
    """

    @abstractmethod
    def place(self, key: bytes) -> Place:
        """Where the permits of a key are. Worth keeping for keys that come again; it takes some microseconds."""

    @abstractmethod
    def claim(self, demands: Sequence[Demand]) -> Claim:
        """Takes one permit for each demand, or none where there is not one for each, or others wait for it.

        Whoever claims must see to it that `release` is called: `exchange.defer(claim.release)`.
        """
