"""Refuses requests beyond a rate: 413 or 429 with Retry-After (RFC 6585 section 4, RFC 9110 section 10.2.3).

All limits that match a request are decided at once, and none is charged when one refuses, so that a refused
request costs its sender nothing. Each worker counts for itself.
"""

import re
from collections.abc import Callable, Hashable
from math import ceil
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from filters.rate_limit.algorithm import TOLERANCE, Algorithm, Cell, FixedWindow, Gcra, SlidingWindow
from filters.rate_limit.key import KeyFunction, key_function
from filters.rate_limit.option import UNITS, LimitOptions, RateLimitConfig
from filters.rate_limit.store import Charge, MemoryStore, Store
from gateway.api import Exchange, Fault, Filter, Note, Rule, Services, Verdict

_HASHES_MAX = 16_384
_LIMITS: Rule = ("limits",)

_CellFact: TypeAlias = tuple[str, str, int, Cell | None]
"""For the record: the limit, the hash of the key, the cost, and the cell as it was, whose first number is told as the
seconds that it had to live."""

_note = tuple.__new__  # a Note in a third of the time that its constructor takes


class _Limit:
    """One limit, ready to use."""

    __slots__ = ("algorithm", "details", "index", "key", "label", "matches", "methods", "rule")

    def __init__(self, index: int, options: LimitOptions) -> None:
        rate = options.rate
        self.index = index
        self.label = options.name if options.name is not None else f"limits[{index}]"
        self.rule = ("limits", index)
        self.key: KeyFunction = key_function(options.key)
        self.methods = frozenset(options.methods)
        self.matches = None if options.path is None else _matcher(options.path)
        self.algorithm: Algorithm
        if options.algorithm == "gcra":
            burst = options.burst if options.burst is not None else rate.value
            self.algorithm = Gcra(rate.value, UNITS[rate.unit], burst)
        elif options.algorithm == "sliding_window":
            self.algorithm = SlidingWindow(rate.value, UNITS[rate.unit])
        else:
            self.algorithm = FixedWindow(rate.value, UNITS[rate.unit])
        uri = "*" if options.path is None else options.path.removeprefix("regex:")
        # The words of Nova's limiter: clients have patterns for them.
        self.details = (f"Only {rate.value} ", f" request(s) can be made to {uri} every {rate.unit}.")


class RateLimit(Filter[RateLimitConfig]):
    name = "rate_limit"
    counts = True
    Config = RateLimitConfig

    def __init__(self, config: RateLimitConfig, services: Services) -> None:
        super().__init__(config, services)
        limits = tuple(_Limit(index, options) for index, options in enumerate(config.limits))
        named = {method for limit in limits for method in limit.methods}
        self._by_method = {
            method: tuple(limit for limit in limits if not limit.methods or method in limit.methods)
            for method in named
        }
        self._for_all = tuple(limit for limit in limits if not limit.methods)
        self._by_path = any(limit.matches is not None for limit in limits)
        self._store: Store = services.state("limits", MemoryStore)
        self._hashes = _KeyHashes(services)

    def on_request(self, exchange: Exchange) -> Verdict:
        matching = self._by_method.get(exchange.method, self._for_all)
        if self._by_path:
            path = exchange.path
            matching = tuple([limit for limit in matching if limit.matches is None or limit.matches(path)])
        now = exchange.clock.monotonic
        if len(matching) == 1:
            (limit,) = matching
            key = limit.key(exchange)
            wait, refused, before, _ = self._store.decide(((limit.index, limit.algorithm, key, 1),), now)
            cell = before[0]
            cells: tuple[_CellFact, ...] = (
                (
                    limit.label,
                    self._hashes[key],
                    1,
                    None if cell is None else (cell[0] - now, cell[1], cell[2]),
                ),
            )
        elif matching:
            wait, refused, cells = self._decide_all(exchange, matching, now)
        else:
            return None
        facts = {"instant": now, "cells": cells}
        if refused < 0:
            exchange.trail.append(_note(Note, ("rate_counted", _LIMITS, facts)))
            return None
        limit = matching[refused]
        return Fault(
            self.config.status,
            "rate_limited",
            "This request was rate-limited.",
            rule=limit.rule,
            details=limit.details[0] + exchange.method + limit.details[1],
            retry_after=max(1, ceil(wait - TOLERANCE)),
            facts=facts,
        )

    def _decide_all(
        self, exchange: Exchange, limits: tuple[_Limit, ...], now: float
    ) -> tuple[float, int, tuple[_CellFact, ...]]:
        charges: list[Charge] = [(limit.index, limit.algorithm, limit.key(exchange), 1) for limit in limits]
        wait, refused, before, _ = self._store.decide(charges, now)
        cells: list[_CellFact] = []
        for limit, charge, cell in zip(limits, charges, before, strict=True):
            left = None if cell is None else (cell[0] - now, cell[1], cell[2])
            cells.append((limit.label, self._hashes[charge[2]], charge[3], left))
        return wait, refused, tuple(cells)


class _KeyHashes(dict[Hashable, str]):
    """A bounded memo from a key to the hash that stands for it in records."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services

    def __missing__(self, key: Hashable) -> str:
        if len(self) >= _HASHES_MAX:
            self.clear()
        hashed = self[key] = self._services.keyed_hash(repr(key).encode("utf-8", "backslashreplace"))
        return hashed


def _matcher(path: str) -> Callable[[str], bool]:
    """Whether a raw path is the one of the limit, as it came or percent-decoded."""
    if path.startswith("regex:"):
        pattern = re.compile(path.removeprefix("regex:"))
    else:
        pattern = re.compile(
            "".join(
                "[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", path)
            )
        )
    match = pattern.fullmatch

    def matches(raw: str) -> bool:
        if match(raw):
            return True
        return "%" in raw and match(unquote_to_bytes(raw).decode("utf-8", "replace")) is not None

    return matches
