"""What one worker process has learned and others may use, as far as filters have it: bytes by key, each with an end.

It is a help and no promise: what was put there may be gone at any time, but never comes back once it has been withdrawn.
"""

from abc import abstractmethod
from collections.abc import Sequence
from math import inf
from typing import Final, NamedTuple, Protocol

TAGS: Final = 64
"""Tags that one value may have."""


class Shelved(NamedTuple):
    """A value, and the monotonic instant of which what it says was true."""

    made: float
    value: bytes


class Shelf(Protocol):
    """Bytes by key, with tags by which they can be withdrawn. To be used in the event loop's thread; no call waits or fails.

    Instants are on the monotonic clock, which the machine's processes have in common.
    """

    @abstractmethod
    def get(self, key: bytes, now: float, since: float = -inf) -> Shelved | None:
        """The value of a key that was made after `since`; None where there is none, or none to be had at the moment."""

    @abstractmethod
    def put(
        self, key: bytes, value: bytes, *, tags: Sequence[bytes], made: float, until: float, now: float
    ) -> None:
        """Has others find the value until `until`, in place of one that was made before.

        One that is too long, or has more than `TAGS`, is not put there. The oldest make room.
        """

    @abstractmethod
    def withdraw(self, tag: bytes | None, now: float, until: float) -> None:
        """Takes away what has the tag and was made at `now` or before, also where it has yet to be put there; everything
        for None.

        until  when nothing that was made before would be there any more, withdrawn or not
        """
