"""The tightest limit that history would have borne: one limit of a configuration is tried at other rates.

Only that limit is counted, for the requests that come so far by all that does not count. Whether others would have been refused
before, by other limits, is left aside: a limit that bears all of them bears fewer.
"""

from array import array
from collections.abc import Callable, Hashable, Sequence
from math import inf
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.api.filter import Filter
from gateway.api.meter import Spec
from gateway.api.table import Cell
from gateway.backtest.judge import Count, Judge
from gateway.backtest.line import UNREADABLE
from gateway.backtest.machine import Origin, machines
from gateway.backtest.sealed import Spelling
from gateway.backtest.source import Heard, parts_of, records
from gateway.chain import Entry
from gateway.plan import Plan

GREATEST: Final = 1_000_000_000
"""Requests in the unit of time beyond which no limit is looked for."""
POINTS: Final = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
"""Where the curve is told, as parts of the proposed rate."""

_SAMPLE: Final = "the log is a sample: what else the limit would have counted is not known"
_LATE: Final = "the limit charges more by the answer, which no request is refused for"
_UNTOLD: Final = "whom the limit counts is secret, and the log does not tell it in the same way throughout"


class FitError(ValueError):
    """The limit cannot be fitted. The message says why."""


class Point(NamedTuple):
    """A rate, and how many it would have refused."""

    value: int
    refused: int


class Fit(NamedTuple):
    """unit of the rates, such as `minute`; requests that the limit counts; what is configured, and what is proposed; files that
    could not be read to their end; how many records of workers are missing between others."""

    limit: str
    unit: str
    requests: int
    configured: Point
    proposed: Point
    curve: Sequence[Point]
    damaged: Sequence[str] = ()
    missing: int = 0


class _Numbers(NamedTuple):
    """Of the records of a worker: the first, the last, and the number of them."""

    first: int
    last: int
    number: int

    def with_one(self, one: int) -> "_Numbers":
        return _Numbers(min(self.first, one), max(self.last, one), self.number + 1)


class _Stream:
    """What a limit would have charged, in the order of time: instants, keys by number, costs."""

    def __init__(self) -> None:
        self._charges: list[tuple[float, int, int, int, float]] = []
        self._keys: dict[tuple[int, Hashable], int] = {}
        self._spelled: set[tuple[int, int, str]] = set()
        self._named: set[tuple[int, str]] = set()
        self.spec: Spec | None = None
        self.at = array("d")
        self.whose = array("q")
        self.cost = array("q")

    def add(self, turn: float, at: float, number: int, origin: int, key: Hashable, cost: int) -> None:
        whose = self._keys.setdefault((origin, key), len(self._keys))
        self._charges.append((turn, number, whose, cost, at))

    def spell(self, origin: int, spelling: Spelling | None, hashed_by: str) -> None:
        """Notes how header fields are spelled in a key; None where it is no more than its hash."""
        self._named.add((origin, hashed_by if spelling is None else ""))
        for place, part in enumerate(spelling or ()):
            if part is not None:
                self._spelled.add((origin, place, part))

    def close(self, machines: Sequence[int]) -> None:
        """For after the last charge: which machine each origin is of. Raises FitError where callers cannot be told apart."""
        spelled = {(machines[origin], place, part) for origin, place, part in self._spelled}
        named = {(machines[origin], hashed_by) for origin, hashed_by in self._named}
        if len(spelled) > len({each[:2] for each in spelled}) or len(named) > len(
            {each[0] for each in named}
        ):
            raise FitError(_UNTOLD)
        numbers: dict[Hashable, int] = {}
        whose_of = [numbers.setdefault((machines[origin], key), len(numbers)) for origin, key in self._keys]
        self._charges.sort()
        for _, _, whose, cost, at in self._charges:
            self.at.append(at)
            self.whose.append(whose_of[whose])
            self.cost.append(cost)
        self._charges.clear()


def fit(
    plan: Plan,
    files: Sequence[Path],
    name: str,
    share: float,
    *,
    period: tuple[float, float] = (float("-inf"), float("inf")),
    progress: Callable[[float], None] = lambda share: None,
) -> Fit:
    """The lowest rate of the limit `name` (ENTRY.LIMIT, or LIMIT where there is one of that name) at which no more than `share`
    of the requests that it counts would have been refused. Others than those of `period` are left aside.

    Raises FitError and OSError.
    """
    entry, limit = _named(plan, name)
    options = _options(entry, limit)
    parts, pasts = parts_of(files)
    stream = _Stream()
    origins: dict[Origin, int] = {}
    damaged: set[str] = set()
    numbers: dict[tuple[float, int], _Numbers] = {}
    for done, part in enumerate(parts):
        heard = Heard()
        judge = Judge(plan, offset=part.offset)
        for recorded in records(part, pasts, heard):
            if recorded is None:
                continue
            try:
                number, writer = recorded.sequence, (recorded.since, recorded.worker)
                numbers[writer] = numbers.get(writer, _Numbers(number, number, 0)).with_one(number)
                if not period[0] <= recorded.at < period[1]:
                    continue
                trace = judge.trace(recorded)
                origin = origins.setdefault(
                    Origin(part.offset, recorded.since, common=part.common), len(origins)
                )
            except (ValueError, KeyError, TypeError, AttributeError, *UNREADABLE):
                continue
            if recorded.sampled:
                raise FitError(_SAMPLE)
            for count in trace.parts:
                if isinstance(count, Count) and count.place == entry.index:
                    for tariff, key, cost, *_, spelling in count.draws:
                        placed = judge.tariffs.all[tariff]
                        if placed.limit == limit:
                            if placed.late:
                                raise FitError(_LATE)
                            stream.spec = placed.spec
                            turn = count.instant + count.waited
                            if key is None:
                                raise FitError(_UNTOLD)
                            stream.spell(origin, spelling, count.hashed_by)
                            stream.add(turn, count.instant, number, origin, key, cost)
        damaged.update(heard.damaged)
        if any(generations.left_out(lambda _: inf) for generations in heard.generations.values()):
            raise FitError(_SAMPLE)
        progress(0.5 * (done + 1) / len(parts))
    stream.close(machines(list(origins)))
    if stream.spec is None:
        raise FitError(f"no request of the log comes to the limit {limit!r}")
    found = _fitted(entry, limit, options, stream, share, progress)
    missing = sum(max(0, each.last - each.first + 1 - each.number) for each in numbers.values())
    return found._replace(damaged=sorted(damaged), missing=missing)


def _fitted(
    entry: Entry, limit: str, options: Any, stream: _Stream, share: float, progress: Callable[[float], None]
) -> Fit:
    known: dict[int, int] = {}

    def refused(value: int) -> int:
        if value not in known:
            known[value] = _refused(entry.filter, _spec(stream.spec, options, value), stream)
            progress(min(0.99, 0.5 + 0.015 * len(known)))
        return known[value]

    bound = int(share * len(stream.at))
    high = max(1, int(options.rate.value))
    while refused(high) > bound:
        if high >= GREATEST:
            raise FitError("no rate refuses so few: a single request costs more than there is room for")
        high = min(GREATEST, high * 2)
    low = 0  # a rate that refuses too many, or none at all
    while high - low > 1:
        middle = (low + high) // 2
        if refused(middle) > bound:
            low = middle
        else:
            high = middle
    values = sorted({max(1, round(high * part)) for part in POINTS})
    return Fit(
        limit,
        options.rate.unit,
        len(stream.at),
        Point(options.rate.value, refused(options.rate.value)),
        Point(high, refused(high)),
        [Point(value, refused(value)) for value in values],
    )


def _refused(filter: Filter[Any], spec: Spec, stream: _Stream) -> int:
    meter = filter.meter(spec)
    charge = meter.charge
    cells: dict[int, Cell] = {}
    refused = 0
    for at, whose, cost in zip(stream.at, stream.whose, stream.cost, strict=True):
        wait, cell = charge(cells.get(whose), at, cost)
        if wait:
            refused += 1
        else:
            cells[whose] = cell
    return refused


def _spec(spec: Spec | None, options: Any, value: int) -> Spec:
    """The arithmetic of the same limit at another rate. Where no burst is given it is as great as the rate."""
    assert spec is not None
    name, numbers = spec
    if name == "gcra":
        interval, span, debt = numbers[:3]
        unit = interval * options.rate.value
        burst = round(span / interval) if options.burst is not None else value
        return name, (unit / value, unit / value * burst, debt / interval * unit / value)
    return name, (float(value), *numbers[1:])


def _named(plan: Plan, name: str) -> tuple[Entry, str]:
    found = [
        (entry, limit)
        for entry in plan.entries
        for limit in entry.filter.limits
        if name in (limit, f"{entry.name}.{limit}")
    ]
    if len(found) != 1:
        known = ", ".join(f"{entry.name}.{limit}" for entry in plan.entries for limit in entry.filter.limits)
        raise FitError(
            f"{'no' if not found else 'more than one'} limit is named {name!r}: there are {known or 'none'}"
        )
    return found[0]


def _options(entry: Entry, limit: str) -> Any:
    options: Any = entry.filter.config
    for part in entry.filter.limits[limit]:
        options = options[part] if isinstance(part, int) else getattr(options, part)
    if not hasattr(options, "rate") or getattr(options, "algorithm", "") == "calendar_window":
        raise FitError(f"{limit!r} has no rate that could be another")
    return options
