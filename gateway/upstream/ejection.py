"""Endpoints that fail several requests in a row are left out for a while, each time a longer one, but never too many.

What others call outlier detection, or passive checks.
"""

from collections.abc import Sequence

from gateway.config.model import Ejection
from gateway.upstream.member import Member


class Ejector:
    """Decides on the members of one pool."""

    def __init__(self, options: Ejection, members: Sequence[Member]) -> None:
        self._options = options
        self._members = members
        self._most = int(len(members) * options.max_ejected_percent // 100)

    def failed(self, member: Member, now: float) -> float:
        """Counts a failure; the seconds for which the member is left out from now on, 0 where it is not."""
        if member.ejected:
            return 0.0
        member.failures += 1
        options = self._options
        if member.failures < options.failures or self.count() >= self._most:
            return 0.0
        if now - member.ejected_until >= options.max_time:
            member.ejected_row = 0
        member.ejected_row += 1
        seconds = min(options.time * member.ejected_row, options.max_time)
        member.ejected = True
        member.ejected_until = now + seconds
        member.ejections += 1
        return seconds

    def succeeded(self, member: Member) -> None:
        member.failures = 0

    def count(self) -> int:
        """How many are left out."""
        return sum(1 for member in self._members if member.ejected)

    def take_back(self, member: Member, now: float) -> bool:
        """Whether the member's time is up, and it is back in."""
        if not member.ejected or now < member.ejected_until:
            return False
        member.ejected = False
        member.failures = 0
        return True
