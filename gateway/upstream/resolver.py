"""Names of upstreams to addresses, looked up again from time to time.

A lookup never holds the event loop up, and there is one at a time for each name, whoever asks. Where a name cannot
be looked up any more, the addresses that it had last go on being used.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog

from gateway.task import spawn

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""Gives the addresses of a name in order of preference, as text. Raises OSError."""

NEVER: Final = float("-inf")
PAUSE: Final = 1.0
"""Seconds after a lookup that failed in which the name is left alone."""
PATIENCE: Final = 0.5
"""Seconds that a lookup is waited for where the addresses of an earlier one are at hand."""


class ResolveError(Exception):
    """A name has no address that is known; the message says why."""


class _Name:
    """What is known of one name; instants are on the loop's clock."""

    __slots__ = ("addresses", "answered_at", "asked_at", "failed_at", "failure", "lookup")

    def __init__(self) -> None:
        self.addresses: tuple[str, ...] = ()
        self.answered_at = NEVER
        self.asked_at = NEVER
        self.failed_at = NEVER
        self.failure: str | None = None  # of the last lookup
        self.lookup: asyncio.Task[None] | None = None


class Resolver:
    """The addresses of names, for all upstreams of a gateway.

    lookup  asks the system by default
    clock   seconds; the event loop's by default
    """

    def __init__(self, lookup: Lookup | None = None, *, clock: Callable[[], float] | None = None) -> None:
        self._lookup: Lookup = lookup if lookup is not None else system_lookup
        self._clock: Callable[[], float] = clock if clock is not None else asyncio.get_running_loop().time
        self._names: dict[str, _Name] = {}
        self._log: Any = structlog.get_logger("upstream")

    def known(self, host: str) -> tuple[str, ...]:
        """The addresses of `host` by the last lookup that gave any."""
        name = self._names.get(host)
        return () if name is None else name.addresses

    def refresh(self, host: str, max_age: float) -> None:
        """Begins a lookup of `host` where the last one is more than `max_age` seconds ago."""
        name = self._name(host)
        if self._is_due(name, max_age):
            self._ask(host, name)

    async def addresses(self, host: str, max_age: float) -> tuple[str, ...]:
        """The addresses of `host`: those of a lookup at most `max_age` seconds ago, where that can be had.

        Raises ResolveError where there are none at all.
        """
        name = self._name(host)
        if self._is_due(name, max_age):
            lookup = self._ask(host, name)
            patience = None
            if name.addresses:
                patience = name.asked_at + PATIENCE - self._clock()
            if patience is None or patience > 0:
                await asyncio.wait((lookup,), timeout=patience)  # which leaves it alone when we are cancelled
        if not name.addresses:
            raise ResolveError(name.failure or "no answer")
        return name.addresses

    def _name(self, host: str) -> _Name:
        name = self._names.get(host)
        if name is None:
            name = self._names[host] = _Name()
        return name

    def _is_due(self, name: _Name, max_age: float) -> bool:
        now = self._clock()
        return now - name.answered_at >= max_age and now - name.failed_at >= PAUSE

    def _ask(self, host: str, name: _Name) -> "asyncio.Task[None]":
        if name.lookup is None:
            name.asked_at = self._clock()
            name.lookup = spawn(self._looked_up(host, name), name=f"lookup of {host}")
        return name.lookup

    async def _looked_up(self, host: str, name: _Name) -> None:
        try:
            found = tuple(dict.fromkeys(await self._lookup(host)))
            failure = None if found else "no address"
        except (OSError, UnicodeError) as error:
            found, failure = (), _plain(error)
        finally:
            name.lookup = None
        if failure is not None:
            if name.failure is None:
                self._log.warning("name_not_resolved", name=host, error=failure, using=list(name.addresses))
            name.failed_at = self._clock()
        else:
            if name.failure is not None:
                self._log.info("name_resolved_again", name=host)
            if name.addresses and set(found) != set(name.addresses):
                self._log.info("addresses_changed", name=host, addresses=list(found))
            name.answered_at = self._clock()
            name.addresses = found
        name.failure = failure


async def system_lookup(host: str) -> list[str]:
    """Asks as the system is configured (hosts file, DNS), in a thread. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]


def in_turn(addresses: Sequence[str], turn: int) -> list[str]:
    """The addresses in the order in which the connection number `turn` tries them (RFC 8305 section 4).

    Each family begins one further with each turn, so that all addresses get their share; families take turns,
    the preferred one first.
    """
    preferred = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    others = [address for address in addresses if (":" in address) != (":" in addresses[0])]
    return [
        family[(place + turn) % len(family)]
        for place in range(max(len(preferred), len(others)))
        for family in (preferred, others)
        if place < len(family)
    ]


def _plain(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return reason[:1].lower() + reason[1:]
