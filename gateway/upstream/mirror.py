"""Copies of requests for a second upstream: sent and forgotten.

A copy is what the first upstream gets, header section and body, with a field that says what it is. It begins when the
whole request is here, so that its body, which is bounded, is all that it holds; its answer is read and dropped. There is a
bound to the copies as well, and beyond it requests are not copied: the first upstream, and the client, wait for none of it.
"""

import asyncio
from typing import Final

from gateway.config.traffic import Mirror as Options
from gateway.http import message as wire
from gateway.upstream.leg import Leg, LegOwner
from gateway.upstream.pool import Pool

MARK: Final = b"X-Weir-Mirror: true\r\n"
"""By which the second upstream can tell a copy."""

TOO_MANY: Final = "in_flight"
TOO_LARGE: Final = "body_too_large"
INCOMPLETE: Final = "incomplete"
DROPS: Final = (TOO_MANY, TOO_LARGE, INCOMPLETE)
"""Why there is no copy of a request: too many are under way; its body is too large; its body never came to an end."""

TIMEOUT: Final = "timeout"
FAILED: Final = "failed"
RESULTS: Final = ("1xx", "2xx", "3xx", "4xx", "5xx", "other", TIMEOUT, FAILED)
"""What became of a copy: the class of the answer's status, or no answer in time, or none at all."""


class Mirror:
    """The copies of the requests of one route, or to one upstream.

    scope, name  "route" or "upstream", and which
    upstream     name of the one that gets the copies
    in_flight    copies that are under way, or whose bodies still arrive
    sent         copies that have begun
    dropped      requests without a copy, by cause
    results      what became of the copies
    """

    __slots__ = (
        "_copies",
        "_share",
        "dropped",
        "max_body",
        "max_in_flight",
        "name",
        "results",
        "scope",
        "sent",
        "timeout",
        "upstream",
    )

    def __init__(self, scope: str, name: str, options: Options) -> None:
        self.scope = scope
        self.name = name
        self.upstream = options.upstream
        self.max_in_flight = options.max_in_flight
        self.max_body = options.max_body
        self.timeout = options.timeout
        self._share = int(options.percent * 100)
        self._copies: set[Copy] = set()
        self.sent = 0
        self.dropped: dict[str, int] = dict.fromkeys(DROPS, 0)
        self.results: dict[str, int] = dict.fromkeys(RESULTS, 0)

    @property
    def in_flight(self) -> int:
        return len(self._copies)

    def takes(self, request_id: str) -> bool:
        """Whether the request is in the share: by its id, as with filters in shadow mode."""
        return self._share >= 10_000 or int(request_id[-8:], 16) % 10_000 < self._share

    def copy(
        self, pool: Pool, line: bytes, rest: bytes, *, host: bytes | None, method: str, chunked: bool
    ) -> "Copy | None":
        """A copy of a request as `Leg.start` takes it, whose body is to follow; None where there are too many."""
        if len(self._copies) >= self.max_in_flight:
            self.dropped[TOO_MANY] += 1
            return None
        copy = Copy(self, pool, line, rest, host, method, chunked)
        self._copies.add(copy)
        return copy

    def over(self, copy: "Copy") -> None:
        self._copies.discard(copy)

    def close(self) -> None:
        """Cuts off the copies that are under way."""
        for copy in list(self._copies):
            copy.cut()


class Copy(LegOwner):
    """One copy: collects the body, is sent, and reads the answer for nobody."""

    def __init__(
        self,
        mirror: Mirror,
        pool: Pool,
        line: bytes,
        rest: bytes,
        host: bytes | None,
        method: str,
        chunked: bool,
    ) -> None:
        self._mirror = mirror
        self._pool = pool
        self._line = line
        self._host = host
        self._method = method
        self._chunked = chunked
        self._pieces = [MARK, rest]
        self._left = mirror.max_body
        self._leg: Leg | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.collects = True
        """The end of the body has not come."""

    def add(self, chunk: bytes) -> None:
        """A piece of the body, which is not empty."""
        if not self.collects:
            return
        self._left -= len(chunk)
        if self._left < 0:
            self.drop(TOO_LARGE)
        else:
            self._pieces.append(wire.chunk(chunk) if self._chunked else chunk)

    def end(self) -> None:
        """The body is complete: the copy is sent, if it still is one."""
        if not self.collects:
            return
        self.collects = False
        if self._chunked:
            self._pieces.append(wire.LAST_CHUNK)
        data = b"".join(self._pieces)
        self._pieces = []
        mirror = self._mirror
        mirror.sent += 1
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(mirror.timeout, self._is_late)
        self._leg = leg = Leg(self._pool, self, loop)
        leg.once = True
        leg.start(self._line, data, host=self._host, method=self._method, whole=True, chunked=False)

    def drop(self, cause: str) -> None:
        """There will be no copy, because of `cause`; for one whose body has not come to its end."""
        self.collects = False
        self._pieces = []
        self._mirror.dropped[cause] += 1
        self._mirror.over(self)

    def cut(self) -> None:
        """Ends it, wherever it is."""
        if self.collects:
            self.drop(INCOMPLETE)
        elif self._leg is not None:
            self._leg.abort("gateway_stopped")
            self._over(FAILED)

    def _is_late(self) -> None:
        self._timer = None
        leg = self._leg
        assert leg is not None
        leg.abort("upstream_total_timeout")
        self._over(TIMEOUT)

    def _over(self, result: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._leg = None
        self._mirror.results[result] += 1
        self._mirror.over(self)

    # ---- LegOwner

    def on_leg_ready(self) -> None:
        pass

    def on_leg_writable(self) -> None:
        pass

    def on_leg_progress(self) -> None:
        leg = self._leg
        if leg is None or leg.connection is None:
            return
        connection = leg.connection
        connection.take()
        connection.interim = []
        if connection.complete:
            status = connection.status
            leg.done()
            self._over(f"{status // 100}xx" if status < 600 else "other")

    def on_leg_failure(self, reason: str) -> None:
        self._over(TIMEOUT if reason.endswith("_timeout") else FAILED)
