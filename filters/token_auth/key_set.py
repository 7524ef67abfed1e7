"""An issuer's keys as they were last fetched: when they are fetched anew, and how long they are trusted.

They are fetched once in a period, and at most once in a cooldown because of a token that no known key is for: that many
questions can clients who invent key ids bring about, and no more. While the issuer cannot be asked the keys that were
there go on for a time.
"""

from collections.abc import Awaitable, Callable
from math import ceil, inf
from typing import NamedTuple

from filters.token_auth.issuer import Issuer
from filters.token_auth.key import Key
from filters.token_auth.option import FetchOptions
from filters.token_auth.remote import Trouble
from gateway.api import HttpError, Services, SingleFlight, Timer


class Reader(NamedTuple):
    """Somebody who verifies with the keys: whom to ask for new ones, and whom to tell.

    changed  called when the keys are others; with True where one that was trusted is so no more
    """

    issuer: Issuer
    services: Services
    changed: Callable[[bool], None]


class KeySet:
    """Outlives a reload: of plans that share it, the last to have started fetches. Instants are monotonic seconds."""

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._keys: tuple[Key, ...] = ()
        self._fetched = -inf
        self._tried = -inf
        self._failures = 0
        self._readers: list[Reader] = []
        self._flight: SingleFlight[str, None] = SingleFlight()
        self._timer = Timer()

    def attach(self, reader: Reader) -> None:
        """Fetches for `reader` from now on, at once where there are no keys yet. Needs a running event loop."""
        self._readers.append(reader)
        if not self._keys:
            self.refresh(reader)
        elif not self._timer.is_set:
            self._schedule(reader)

    def detach(self, reader: Reader) -> None:
        if reader in self._readers:
            self._readers.remove(reader)
        if not self._readers:
            self._timer.cancel()

    def close(self) -> None:
        self._readers.clear()
        self._timer.cancel()
        self._flight.close()

    def trusted(self, now: float) -> tuple[Key, ...]:
        """The keys, none where there are none yet or they have not been fetched for too long."""
        options = self._options
        return self._keys if now < self._fetched + options.period + options.stale_for else ()

    @property
    def failing(self) -> bool:
        """Whether the last attempt to fetch has failed."""
        return self._failures > 0

    def may_ask(self, now: float) -> bool:
        """Whether a token may have the keys fetched, or wait for those that are being fetched."""
        return "" in self._flight or now >= self._next

    def wait(self, now: float) -> int:
        """Whole seconds until that, at least one."""
        return max(1, ceil(self._next - now))

    @property
    def _next(self) -> float:
        """Where no key is known nobody is served meanwhile: then it is tried again sooner, a little later each time."""
        pause = self._options.cooldown
        if not self._keys and self._failures:
            pause = min(pause, 2.0 ** min(self._failures - 1, 16))
        return self._tried + pause

    def refresh(self, reader: Reader) -> Awaitable[None]:
        """Fetches the keys, or joins those who do. Raises nothing: what has come of it is to be seen here."""
        return self._flight.join("", lambda: self._refreshed(reader))

    async def seek(self, reader: Reader) -> None:
        """As `refresh`, for a token that no key is for: where that may not have them fetched now, nothing is done.

        It is seen here, when the fetch would begin: what was out when the token was looked at may have ended since.
        """
        if self.may_ask(reader.services.now().monotonic):
            await self.refresh(reader)

    async def _refreshed(self, reader: Reader) -> None:
        services = reader.services
        self._tried = services.now().monotonic
        try:
            keys, left_out = await reader.issuer.keys()
        except BaseException as error:
            self._failures += 1
            if not isinstance(error, (Trouble, HttpError)):
                raise
            known = len(self.trusted(services.now().monotonic))
            services.warn("keys_unavailable", url=reader.issuer.url, because=str(error), known_keys=known)
        else:
            self._failures = 0
            self._fetched = services.now().monotonic
            self._take(tuple(keys), left_out, reader)
        finally:
            if self._readers:
                self._schedule(self._readers[-1])

    def _take(self, keys: tuple[Key, ...], left_out: list[str], reader: Reader) -> None:
        known, told = {key.identity for key in self._keys}, {key.identity for key in keys}
        news = {key.kid for key in keys} != {key.kid for key in self._keys}
        self._keys = keys
        if known == told and not news:
            return
        if left_out:
            reader.services.warn("keys_left_out", url=reader.issuer.url, because="; ".join(left_out))
        gone = not known <= told
        for one in self._readers:
            one.changed(gone)

    def _schedule(self, reader: Reader) -> None:
        now = reader.services.now().monotonic
        if self._failures:
            at = self._next
        else:
            # By chance up to a tenth earlier, so that workers that began together do not go on together.
            share = 1 - reader.services.entropy(1)[0] / 2550
            at = self._fetched + self._options.period * share
        self._timer.set(max(0.0, at - now), self._due)

    def _due(self) -> None:
        if self._readers:
            self.refresh(self._readers[-1])
