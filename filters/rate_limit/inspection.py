"""How full the buckets are, for operators: those of all keys that this process knows, or was told of, looked at a few at a time."""

from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from filters._key import GLOBAL, PROJECT, Counted, is_one_key, may_fit, whole_key
from filters.rate_limit.algorithm import Algorithm
from filters.rate_limit.key import Keys
from filters.rate_limit.limit import Limit, Terms
from filters.rate_limit.remote import RemoteStore
from filters.rate_limit.script import EPOCH
from filters.rate_limit.store import Cells, Charge, Store
from gateway.api import Bucket, Instant, Selection, Services, StoreError, TableBusy, Unreadable

_BATCH: Final = 64


class _Chosen(NamedTuple):
    """A key of a limit, with the terms that hold for it and how it is counted at the moment."""

    limit: Limit
    key: Hashable
    parts: dict[str, Hashable]
    terms: Terms
    algorithm: Algorithm


class Inspection:
    """The buckets of `limits`, kept in `common` where there is one, else in `store`; `hashed` is the hash of a key."""

    def __init__(
        self,
        limits: Sequence[Limit],
        store: Store,
        common: RemoteStore | None,
        keys: Keys,
        hashed: Callable[[Hashable], str],
        services: Services,
        *,
        local: bool = False,
    ) -> None:
        """`local` says that `store` counts while `common` gives no decision."""
        self._limits = {limit.index: limit for limit in limits}
        self._store = store
        self._common = common
        self._keys = keys
        self._hashed = hashed
        self._services = services
        self._local = local

    async def buckets(self, selection: Selection) -> AsyncIterator[Sequence[Bucket]]:
        """See `gateway.api.bucket`."""
        away: Unreadable | None = None
        for batch in self._batches(selection):
            if away is None:
                try:
                    yield await self._looked_at(batch)
                    continue
                except Unreadable as error:
                    if not self._local:
                        raise
                    away = error
            yield self._looked_at_here(batch)
        if away is not None:
            raise Unreadable(f"{away}; what this machine counts by itself meanwhile is shown")

    async def reset(self, selection: Selection) -> AsyncIterator[Sequence[Bucket]]:
        """See `gateway.api.bucket`."""
        away: Unreadable | None = None
        for batch in self._batches(selection, unasked=True):
            # By whatever terms they were counted: one that is blocked, and soon is not, is not to have what it had before.
            whose = [(limit.index, cell) for limit, key, *_ in batch for cell in limit.alike(key)]
            found: list[Bucket] | None = None
            if away is None:
                try:
                    found = await self._looked_at(batch)
                    await self._forget(whose)
                except Unreadable as error:
                    if not self._local:
                        raise
                    away, found = error, None
            if found is None:
                found = self._looked_at_here(batch)
            try:
                for some in _few(whose):
                    self._store.forget(some, self._services.now().monotonic)
            except TableBusy:
                raise Unreadable("a process that has the counts has stopped") from None
            for limit, key, *_ in batch:
                if limit.consumers is not None:
                    limit.consumers.forget(key, self._services.now().monotonic)
            yield found
        if away is not None:
            raise Unreadable(
                f"{away}; what this machine counts by itself meanwhile is emptied, and nothing in the store"
            )

    async def _forget(self, whose: Sequence[Counted]) -> None:
        """In the store that machines have in common. Raises Unreadable."""
        if self._common is not None:
            try:
                for some in _few(whose):
                    await self._common.forget(some)
            except StoreError as error:
                raise _away(error) from None

    def meant(self, selection: Selection) -> bool:
        """See `gateway.api.bucket`."""
        return any(_named(limit, selection) for limit in self._limits.values())

    def unseen(self, selection: Selection) -> str | None:
        """See `gateway.api.bucket`."""
        told: list[str] = []
        method = selection.parts.get("method", "")
        if method != method.upper():
            told.append(
                f"methods are told apart by case: requests with {method.upper()} are not counted as {method}"
            )
        whole = all(
            self._is_one(limit, selection) for limit in self._limits.values() if _named(limit, selection)
        )
        if self._common is not None and not whole:
            told.append(
                "what only gateways on other machines, or this one before it was started, have counted in the store, and who has "
                "filled it there, is not known here; a key that is named whole, with a value for each part of the limit's `key`, is "
                "found there all the same"
            )
        elif not whole and selection != Selection() and self._counts_unknown():
            told.append(
                "more is counted than one worker has keys of: where others that were killed have counted it, some of it may be missing "
                "here; a key that is named whole, with a value for each part of the limit's `key`, is found all the same"
            )
        return "; ".join(told) or None

    def _counts_unknown(self) -> bool:
        """Whether there are cells in this machine's table of which this process does not know the keys."""
        known = len({*self._store.known(), *self._keys.known()})
        return self._store.in_use(self._services.now().monotonic) > known

    def _is_one(self, limit: Limit, selection: Selection) -> bool:
        """Whether no key of a limit fits but one that the selection says whole."""
        given = selection.parts
        if PROJECT in given and PROJECT not in limit.parts:
            terms = limit.terms_for(given[PROJECT])
            if terms is None or not terms.apart:
                return True  # nothing is counted by the project, which no key says then
            given = {part: value for part, value in given.items() if part != PROJECT}
        return not may_fit(limit.parts, given) or is_one_key(limit.parts, given)

    def _batches(self, selection: Selection, *, unasked: bool = False) -> Iterator[list[_Chosen]]:
        known = self._store.known()
        if self._common is not None:
            known += self._common.known()
        whose = list(dict.fromkeys((*self._whole(selection, unasked), *known, *self._keys.known())))
        for start in range(0, len(whose), _BATCH):
            yield [
                chosen
                for limit, key in whose[start : start + _BATCH]
                if limit in self._limits  # and is no former one
                and (chosen := self._chosen(self._limits[limit], key, selection)) is not None
            ]

    def _whole(self, selection: Selection, unasked: bool) -> Iterator[tuple[int, Hashable]]:
        """Keys that the selection says whole, whether anybody has been counted by them or not. Those of projects that are counted
        apart, where the key says none, are among them where the selection says the project, or with `unasked`."""
        for limit in self._limits.values():
            given = selection.parts
            key = whole_key(limit.parts, given)
            if PROJECT in limit.parts:
                terms = limit.terms_for(given.get(PROJECT))
                if key is not None and terms is not None:
                    yield limit.index, terms.cell(key)
                continue
            if key is not None:
                yield limit.index, key
            each: Iterable[Terms | None] = ()
            if PROJECT in given:
                key = whole_key(limit.parts, {part: given[part] for part in given if part != PROJECT})
                each = (limit.terms_for(given[PROJECT]),)
            elif unasked and limit.overridden is not None:
                each = limit.overridden.values()
            if key is not None:
                yield from (
                    (limit.index, terms.cell(key)) for terms in each if terms is not None and terms.apart
                )

    def _chosen(self, limit: Limit, key: Hashable, selection: Selection) -> _Chosen | None:
        if not _named(limit, selection):
            return None
        parts = limit.described(key)
        if not parts and GLOBAL in limit.parts:
            parts = {GLOBAL: True}
        if not selection.fits(parts) or selection.key_hash not in (None, self._hashed(key)):
            return None
        project = parts.get(PROJECT)
        terms = limit.terms_for(project if isinstance(project, str) else None)
        if terms is None or terms.apart != limit.opened(key)[0]:  # nothing is counted so any more
            return None
        return _Chosen(limit, key, parts, terms, terms.counting(self._clock()))

    def _clock(self) -> Instant:
        """The present, on the axis of the cells."""
        now = self._services.now()
        return now if self._common is None else Instant(now.wall, now.wall - EPOCH)

    async def _looked_at(self, batch: Sequence[_Chosen]) -> list[Bucket]:
        """As they are counted. Raises Unreadable."""
        if self._common is None or not batch:
            return self._looked_at_here(batch)
        clock = self._clock()
        try:
            answer = await self._common.decide(_charges(batch))
        except StoreError as error:
            raise _away(error) from None
        return self._told(batch, answer.decision[2], clock, answer.now)

    def _looked_at_here(self, batch: Sequence[_Chosen]) -> list[Bucket]:
        """As this machine counts them by itself."""
        if not batch:
            return []
        clock = self._services.now()
        here = [chosen._replace(algorithm=chosen.terms.counting(clock)) for chosen in batch]
        cells = self._store.decide(_charges(here), clock.monotonic)[2]
        return self._told(here, cells, clock, clock.monotonic)

    def _told(self, batch: Sequence[_Chosen], cells: Cells, clock: Instant, now: float) -> list[Bucket]:
        """What the cells say, on the axis of `now`."""
        return [
            Bucket(
                limit.label,
                limit.rule,
                parts,
                self._hashed(key),
                algorithm.spec[0],
                terms.quota(clock)[0],
                terms.unit,
                algorithm.capacity,
                algorithm.remaining(cell, now),
                limit.wait(algorithm, cell, now, _method(parts)),
                algorithm.reset(cell, now),
                terms.source,
                limit.consumers.top(key) if limit.consumers is not None else (),
                0 if terms.apart else _exceptions(limit),
            )
            for (limit, key, parts, terms, algorithm), cell in zip(batch, cells, strict=True)
        ]


def _charges(batch: Sequence[_Chosen]) -> list[Charge]:
    """Such as only look."""
    return [(limit.index, algorithm, key, 0) for limit, key, _, _, algorithm in batch]


def _few(whose: Sequence[Counted]) -> Iterator[Sequence[Counted]]:
    """A few at a time."""
    for start in range(0, len(whose), _BATCH):
        yield whose[start : start + _BATCH]


def _away(error: StoreError) -> Unreadable:
    return Unreadable(f"the store: {error.reason}")


def _exceptions(limit: Limit) -> int:
    """How many projects have buckets of their own, where the key says no project."""
    return len(limit.overridden) if limit.overridden is not None and PROJECT not in limit.parts else 0


def _method(parts: dict[str, Hashable]) -> str | None:
    method = parts.get("method")
    return method if isinstance(method, str) else None


def _named(limit: Limit, selection: Selection) -> bool:
    return selection.limit in (None, limit.label, limit.name)
