"""What Keystone tells of tokens that it has revoked (GET /v3/OS-REVOKE/events), and who is asked about anew for it.

An event says which tokens it takes by the ids of whom they are for, by the ids of the token itself, and by times. Here more
is forgotten rather than less: what an event says beyond what is known of a caller is not looked at.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from filters.token_auth.remote import Trouble
from filters.token_auth.token_document import list_of, mapping_of, text_of
from gateway.api import HttpAnswer, HttpError, Revocation, Services, SingleFlight, Timer

OVERLAP: Final = 60.0
"""Seconds that are asked for once more: clocks differ, and an event may be told of after its time."""
_MAX_SEEN: Final = 100_000

Ask = Callable[[str], Awaitable[HttpAnswer]]
"""Asks the identity service for a path below its API, with the gateway's own token."""


class Event(NamedTuple):
    """`identity` tells an event from all others."""

    identity: str
    revocation: Revocation


class Seen:
    """What outlives a reload: when Keystone was last heard, on the wall clock, and of what it has told since.

    heard  of how many events
    """

    def __init__(self) -> None:
        self.until: float | None = None
        self.events: frozenset[str] = frozenset()
        self.heard = 0

    def new(self, events: list[Event], now: float) -> list[Event]:
        """Those of which it had not been told yet; `events` are all since OVERLAP before `until`."""
        new = [event for event in events if event.identity not in self.events]
        self.events = frozenset(event.identity for event in events[-_MAX_SEEN:])
        self.until = now
        self.heard += len(new)
        return new


class EventReader:
    """Asks from time to time. An answer that does not come is told of, and changes nothing; one that is too long takes all."""

    def __init__(
        self,
        every: float,
        ask: Ask,
        seen: Seen,
        services: Services,
        revoked: Callable[[Revocation], object],
        inherited: float = 0.0,
    ) -> None:
        """`inherited`: seconds that what others have learned, and may be had from them, can be old."""
        self._every = every
        self._ask = ask
        self._seen = seen
        self._services = services
        self._revoked = revoked
        self._timer = Timer()
        self._flight: SingleFlight[str, None] = SingleFlight()
        self._inherited = inherited
        self._closed = False

    def start(self) -> None:
        """Begins to ask, at once. Needs a running event loop."""
        if self._seen.until is None:
            # What is had from others may have been revoked before this began, and those who have it may not have heard of it yet.
            self._seen.until = max(0.0, self._services.now().wall - self._inherited)
        self._begin()

    def close(self) -> None:
        self._closed = True
        self._timer.cancel()
        self._flight.close()

    def _begin(self) -> None:
        self._flight.join("", self.read)

    async def read(self) -> None:
        """Asks once, and passes on what is new. Raises nothing that the service can bring about."""
        seen, now = self._seen, self._services.now().wall
        since = datetime.fromtimestamp((now if seen.until is None else seen.until) - OVERLAP, UTC)
        try:
            answer = await self._ask(f"/OS-REVOKE/events?since={since:%Y-%m-%dT%H:%M:%S.%fZ}")
            if answer.status != 200:
                raise Trouble(f"it answered {answer.status}")
            events = read_events(answer.body)
        except (Trouble, HttpError, ValueError) as error:
            self._services.warn("revocation_events_unavailable", because=str(error))
            if isinstance(error, HttpError) and error.reason == "too_large":
                # There are too many to be told of, and next time there would be more.
                seen.new([], now)
                seen.heard += 1
                self._revoked(Revocation())
        else:
            for event in seen.new(events, now):
                self._revoked(event.revocation)
        finally:
            if not self._closed:
                # By chance up to a tenth earlier, so that workers that began together do not go on together.
                self._timer.set(self._every * (1 - self._services.entropy(1)[0] / 2550), self._begin)


def read_events(body: bytes) -> list[Event]:
    """The events of an answer. Raises ValueError, which names what is wrong and shows no value."""
    try:
        told = list_of(mapping_of(json.loads(body), "document"), "events")
    except RecursionError:
        raise ValueError("document") from None
    return [_event(mapping_of(event, "events")) for event in told]


def _event(told: dict[str, Any]) -> Event:
    audit_id = text_of(told, "audit_id", None) or text_of(told, "audit_chain_id", None)
    user_id, project_id = text_of(told, "user_id", None), text_of(told, "project_id", None)
    domain_id = text_of(told, "domain_id", None)
    identity = json.dumps(told, sort_keys=True)
    return Event(identity, Revocation(None, user_id, project_id, audit_id, domain_id))
