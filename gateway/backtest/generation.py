"""Which configurations a gateway may have had in force while something was counted of which there is no record.

Configurations are numbered as they come into force, for all workers of a gateway. Lines that are no records say which one is in force
in their worker, and those of kind `plan` describe it. So it is seen where a log lacks one: what was charged by that nobody knows, nor
whether there are records of it at all. And where a configuration leaves records out of the log, these have no numbers: what has none
may have been charged for as long as it was in force.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple, TypeAlias

from gateway.backtest.recorded import ENDLESS, instant_of

_HANDOVER: Final = 60.0
"""Seconds within which all workers have a configuration that one of them has."""
_GRAIN: Final = 1.0
"""Seconds that are allowed for who comes to a configuration later than another."""

Revisions: TypeAlias = AbstractSet[str] | None
"""Of configurations; None for any."""


class Period(NamedTuple):
    """Something may have been charged after `since` and not after `until`, by one of these."""

    since: float
    until: float
    by: Revisions


class _Begun(NamedTuple):
    """A worker has put a configuration in force. `under_way` are the seconds for which an exchange had been under way then."""

    at: float
    under_way: float


class Generations:
    """The configurations of one gateway, as far as lines tell of them."""

    def __init__(self) -> None:
        # By worker and number: from when until when it said so. By number: what describes it, and since when it is in force.
        self._stated: dict[int | None, dict[int, tuple[float, float]]] = {}
        self._begun: dict[int | None, dict[int, _Begun]] = {}
        self._revisions: dict[int, frozenset[str]] = {}
        self._slow: dict[int, float] = {}
        self._starts: dict[int, float] = {}
        self._unnumbered = False

    def learn(self, fields: Mapping[str, Any]) -> None:
        """What a line says that is no record. Of older gateways it has no number."""
        number, at = fields.get("gateway.generation"), instant_of(fields.get("timestamp"))
        plan, worker = fields.get("gateway.plan"), fields.get("gateway.worker")
        if type(number) is not int or number < 1 or not at:
            self._unnumbered = self._unnumbered or plan is not None
            return
        worker = worker if isinstance(worker, int) else None
        self._state(worker, number, at, at)
        if not isinstance(plan, Mapping):
            return
        under_way, sample = fields.get("gateway.under_way_ms", 0.0), plan.get("sample")
        self._begin(worker, number, _Begun(at, _number(under_way, ENDLESS) / 1000))
        revision = frozenset((str(fields.get("gateway.revision")),))
        self._revisions[number] = self._revisions.get(number, frozenset()) | revision
        if isinstance(sample, Mapping) and sample.get("passed") != 1:
            self._slow[number] = _number(sample.get("slow"), ENDLESS)

    def merge(self, other: "Generations") -> None:
        for worker, stated in other._stated.items():
            for number, (first, last) in stated.items():
                self._state(worker, number, first, last)
        for worker, begun in other._begun.items():
            for number, each in begun.items():
                self._begin(worker, number, each)
        for number, revisions in other._revisions.items():
            self._revisions[number] = self._revisions.get(number, frozenset()) | revisions
        self._slow.update(other._slow)
        self._unnumbered = self._unnumbered or other._unnumbered

    def _state(self, worker: int | None, number: int, first: float, last: float) -> None:
        stated = self._stated.setdefault(worker, {})
        known = stated.get(number, (first, last))
        stated[number] = min(first, known[0]), max(last, known[1])

    def _begin(self, worker: int | None, number: int, begun: _Begun) -> None:
        """A file repeats what was said; and a worker that comes later has nothing under way."""
        mine = self._begun.setdefault(worker, {})
        mine[number] = min(begun, mine.get(number, begun))
        self._starts[number] = min(begun.at, self._starts.get(number, begun.at))

    def between(self, worker: int, since: float, until: float) -> Revisions:
        """Which may have been in force in a worker for exchanges that came after `since`, and were charged until `until`."""
        return self._range(self._first(worker, since), self._last(worker, until))

    def before(self, worker: int, until: float) -> list[Period]:
        """The same of all that came before: apart of what was in force in the end, which may have been so for long."""
        first, last = self._earliest, self._last(worker, until)
        begun = self._begun.get(worker, {}).get(last)
        began = (self._starts.get(last, ENDLESS) if begun is None else begun.at) + _HANDOVER
        if began >= until or last <= first:
            return [Period(-ENDLESS, until, self._range(first, last))]
        return [
            Period(-ENDLESS, began, self._range(first, last - 1)),
            Period(began, until, self._range(last, last)),
        ]

    def unknown(self) -> list[Period]:
        """When configurations have been in force of which there is no line: by what they charged, and what of it they recorded,
        nobody knows."""
        found: list[Period] = []
        known = sorted(self._revisions)
        ahead = 0
        for number in [*known, self._latest + 1]:
            if number > ahead + 1:
                since = min(
                    (stated[ahead][1] for stated in self._stated.values() if ahead in stated),
                    default=-ENDLESS,
                )
                until = self._starts.get(number, ENDLESS) + _GRAIN
                found.append(Period(min(since, until), until, None))
            ahead = number
        return found

    def left_out(self, over: Callable[[int], float]) -> list[Period]:
        """When exchanges may have passed that the log was not to have records of.

        over  when a worker was over; infinity where nobody knows
        """
        found: list[Period] = []
        for number, slow in self._slow.items():
            at = self._starts[number]
            ends = [
                min((first for other, (first, _) in stated.items() if other > number), default=ENDLESS)
                if worker is None or any(other > number for other in stated)
                else over(worker)
                for worker, stated in self._stated.items()
                if number in stated
            ]
            found.append(Period(at, max(at, *ends), self._range(number, number)))
            under_way = max(
                begun[number].under_way
                for begun in self._begun.values()
                if number in begun and begun[number].at < at + _HANDOVER
            )
            if under_way:  # which came by the configuration before, and was soon over
                since = at - min(under_way, slow)
                first = max((other for other, start in self._starts.items() if start <= since), default=1)
                found.append(Period(since, at + slow, self._range(min(first, number), number)))
        return found

    @property
    def _earliest(self) -> int:
        """Before the first there was another where an older gateway was at work."""
        return 0 if self._unnumbered else 1

    @property
    def _latest(self) -> int:
        return max((number for stated in self._stated.values() for number in stated), default=0)

    def _first(self, worker: int, since: float) -> int:
        """The least number that may be in force in a worker at an instant."""
        stated = self._stated.get(worker, {})
        own = max((number for number, (first, _) in stated.items() if first <= since), default=0)
        started = (number for number, at in self._starts.items() if at + _HANDOVER <= since)
        return own or max(started, default=0) or self._earliest

    def _last(self, worker: int, until: float) -> int:
        """The greatest."""
        return min(
            (
                self._latest,
                *(number for number, (_, last) in self._stated.get(worker, {}).items() if last >= until),
                *(number - 1 for number, begun in self._begun.get(worker, {}).items() if begun.at >= until),
                *(number - 1 for number, at in self._starts.items() if at > until + _HANDOVER),
            )
        )

    def _range(self, first: int, last: int) -> Revisions:
        known = [revisions for number, revisions in self._revisions.items() if first <= number <= last]
        if not known or len(known) != last - first + 1:
            return None
        return frozenset().union(*known)


def _number(told: object, unknown: float) -> float:
    return float(told) if isinstance(told, (int, float)) else unknown
