"""What many exchanges have in common: a flow.

Most exchanges differ from one that went before in nothing but who asked, for what, when, and how long it took. All
the rest (the plan, the route, the status, what each filter said and why) makes their flow. So an exchange is counted
by one look-up and a few additions, and its line in the request log is that of its flow with the differences put in.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from gateway.api.exchange import Note, Route
from gateway.record import Attempt, EntryInfo, Record, Step

BUCKETS: Final[tuple[float, ...]] = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
)
"""Upper bounds in seconds, as the OpenTelemetry conventions advise for http.server.request.duration."""

_SOON: Final = BUCKETS[0]
_tuple: Final[Any] = tuple.__new__

MAX_FLOWS: Final = 4096


class Cell:
    """Counts exchanges: how many they were, how long they took, and what they carried.

    counts               by the bucket of their duration, and one place more for what is beyond the last
    seconds              all of them together
    bytes_in, bytes_out  of their bodies
    """

    __slots__ = ("bytes_in", "bytes_out", "counts", "seconds")

    def __init__(self) -> None:
        self.counts: list[int] = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.bytes_in = 0
        self.bytes_out = 0

    def add(self, seconds: float) -> None:
        """One more, without its bytes."""
        self.counts[0 if seconds <= _SOON else bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def take(self, other: "Cell") -> None:
        """All that another has counted."""
        for place, number in enumerate(other.counts):
            self.counts[place] += number
        self.seconds += other.seconds
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out

    @property
    def number(self) -> int:
        return sum(self.counts)


class Flow:
    """The exchanges of one flow, and what they have in common.

    known_to  who finds it for records; None once it is forgotten
    cell      what they are counted in
    filters   name, mode, verdict and reason of each step
    attempts  upstream, and reason of the failure or "ok"
    ordinary  whether there is nothing to say of them: forwarded at the first attempt, answered below 400, and no filter in shadow minds
    spans     where each step stands in their trails, and whose it is: the instants at which a pass began and ended, between which is
              what it noted, or twice the place of a whole step; None where a note stands elsewhere
    template  the pieces of their lines, the serializer's own; None until there is one
    """

    __slots__ = (
        "_attempt",
        "_decider",
        "_plan",
        "_route",
        "_scheme",
        "_trail",
        "_version",
        "attempts",
        "cell",
        "decision",
        "filters",
        "known_to",
        "method",
        "ordinary",
        "reason",
        "route",
        "spans",
        "status",
        "template",
    )

    def __init__(self, record: Record) -> None:
        """The flow of `record`."""
        route = record.exchange.route
        self.method = record.exchange.method
        self.route = route.template if route is not None else None
        self.status = record.status
        self.decision = record.decision
        self.reason = record.reason
        self.filters = tuple(
            (step.entry.name, step.entry.mode, step.verdict, _reason(step)) for step in record.steps
        )
        self.attempts = tuple((attempt.upstream, attempt.error or "ok") for attempt in record.attempts)
        self.ordinary = (
            record.decision == "forward"
            and record.reason == "passed"
            and 0 < record.status < 400
            and all(outcome == "ok" for _, outcome in self.attempts)
            and not any(
                mode == "shadow" and verdict in ("refuse", "answer", "error")
                for _, mode, verdict, _ in self.filters
            )
        )
        self.spans = _spans(record.guards, record.exchange.trail)
        self.known_to: Flows | None = None
        self.cell = Cell()
        self.template: Any = None
        self._plan: object = record.plan
        self._route: object = route
        self._scheme = record.exchange.scheme
        self._version = record.exchange.http_version
        self._decider = None if record.decider is None else record.decider._replace(facts=None)
        self._attempt = record.attempts[0] if record.attempts else None
        self._trail = _likeness(record.exchange.trail) if len(record.attempts) < 2 else None

    def fits(self, record: Record) -> bool:
        """Whether the record is surely of this flow: of most that can be seen without their key, which is dear.

        It is not said of those that took several attempts, or one that failed, and seldom of those with steps in their trail.
        """
        exchange, trail, likeness = record.exchange, record.exchange.trail, self._trail
        if (
            likeness is None
            or len(trail) != len(likeness)
            or record.plan is not self._plan
            or exchange.route is not self._route
            or exchange.method != self.method
            or exchange.scheme != self._scheme
            or exchange.http_version != self._version
            or record.status != self.status
            or record.decision != self.decision
            or record.reason != self.reason
            or not _same_step(record.decider, self._decider)
            or not _same_attempt(record.attempts, self._attempt)
        ):
            return False
        place = 0
        for item in trail:
            said = likeness[place]
            place += 1  # noqa: SIM113 - enumerate() would make a pair for every item
            if type(item) is float:
                if said is not None:
                    return False
            elif type(item) is Note:
                if type(said) is not Note:
                    return False
                noted: tuple[Any, ...] = item  # of any types, see `_likeness`
                known: tuple[Any, ...] = said
                if noted[0] != known[0] or noted[1] != known[1]:
                    return False
            elif type(item) is not Step or type(said) is not Step or not _same_step(item, said):
                return False
        return True

    def spent(self, record: Record) -> list[tuple[EntryInfo, float]]:
        """How long each filter took of a record of this flow, in seconds."""
        if self.spans is None:
            return [(step.entry, step.seconds) for step in record.steps]
        trail = record.exchange.trail
        return [
            (entry, float(trail[end]) - float(trail[begin]) if begin < end else trail[end].seconds)
            for begin, end, entry in self.spans
        ]


def _likeness(trail: Sequence[object]) -> list[Any] | None:
    """What a trail has in common with those of its flow, None for each instant; None where that takes longer to see."""
    found: list[Any] = []
    for item in trail:
        if isinstance(item, float):
            found.append(None)
        elif isinstance(item, Note):
            noted: tuple[Any, ...] = item  # what a plugin has noted may be of any type
            found.append(_tuple(Note, (noted[0], noted[1], {})))
        elif isinstance(item, Step) and item.note is None:
            found.append(item._replace(facts=None))
        else:
            return None
    return found


def _same_step(one: Step | None, other: Step | None) -> bool:
    """Whether two steps differ in nothing but how long they took and their facts. Not said of those with notes."""
    if one is None or other is None:
        return one is other
    return (
        one.entry is other.entry
        and one.verdict == other.verdict
        and one.reason == other.reason
        and one.rule == other.rule
        and one.status == other.status
        and one.phase == other.phase
        and one.note is None
        and other.note is None
    )


def _same_attempt(attempts: Sequence[Attempt], other: Attempt | None) -> bool:
    """Whether there was the same one attempt, or none."""
    if other is None:
        return not attempts
    if len(attempts) != 1:
        return False
    one = attempts[0]
    return (
        one.upstream == other.upstream
        and one.address == other.address
        and one.reused == other.reused
        and one.status == other.status
        and one.error is None
        and other.error is None
        and one.detail == other.detail
        and one.peer == other.peer
        and (one.connect is None) is (other.connect is None)
        and (one.first_byte is None) is (other.first_byte is None)
    )


def _spans(guards: Sequence[EntryInfo], trail: Sequence[object]) -> list[tuple[int, int, EntryInfo]] | None:
    """As `gateway.record.steps` reads a trail."""
    found: list[tuple[int, int, EntryInfo]] = []
    guard = began = notes = 0
    begins = True
    for place, item in enumerate(trail):
        if isinstance(item, Step):
            if notes:
                return None
            found.append((place, place, item.entry))
            begins = True
            if guard < len(guards) and item.entry is guards[guard]:
                guard += 1
        elif isinstance(item, Note):
            notes += 1
        elif item is None:
            guard += 1
        else:
            if not begins:
                if notes != place - began - 1:
                    return None
                found.append((began, place, guards[guard]))
                guard += 1
                notes = 0
            elif notes:
                return None
            began, begins = place, False
    return found


def _reason(step: Step) -> str:
    return str(step.reason or (step.note[0].reason if step.note else "passed"))


class Flows:
    """Finds the flow of a record. `on_full` is called before all are forgotten because they have become too many: `most`."""

    def __init__(self, on_full: Callable[[], None] = lambda: None, most: int = MAX_FLOWS) -> None:
        self._most = most
        self._flows: dict[tuple[Any, ...], Flow] = {}
        self._last: dict[Route | None, Flow] = {}
        self._on_full = on_full

    def of(self, record: Record) -> Flow:
        likely = record.received.flow
        if likely is not None and likely.known_to is self and likely.fits(record):
            return likely
        # A header section that has not come before, or with another request: then as the last one on the route.
        route = record.exchange.route
        likely = self._last.get(route)
        if likely is None or not likely.fits(record):
            likely = self._last[route] = self._of(record)
        record.received.flow = likely
        return likely

    def _of(self, record: Record) -> Flow:
        exchange = record.exchange
        decider = record.decider
        said: list[Any] = [
            record.plan,
            exchange.route,
            exchange.method,
            exchange.scheme,
            exchange.http_version,
            record.status,
            record.decision,
            record.reason,
            None if decider is None else (decider.entry, decider.rule),
        ]
        for item in exchange.trail:
            if type(item) is float:
                said.append(_PASS)
            elif type(item) is Note:
                note: Any = item  # what a plugin has noted may be of any type
                said.append((note.reason, note.rule))
            else:
                said.append(None if item is None else _step(item))
        for attempt in record.attempts:
            said.append(_attempt(attempt))  # noqa: PERF401 - most exchanges have one
        key = tuple(said)
        try:
            flow = self._flows.get(key)
        except TypeError:  # a plugin's rule or reason that cannot be a key must cost no exchange its end
            key = (repr(key),)
            flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= self._most:
                self._on_full()
                self.clear()
            flow = self._flows[key] = Flow(record)
            flow.known_to = self
        return flow

    def clear(self) -> None:
        for flow in self._flows.values():
            flow.known_to = None
        self._flows.clear()
        self._last.clear()

    def __iter__(self) -> Iterator[Flow]:
        return iter(self._flows.values())


_PASS: Final = True
"""Stands for an instant in the key of a flow."""


def _attempt(attempt: Attempt) -> tuple[Any, ...]:
    """What an attempt has in common with others: all but how long it took, and whether it got so far."""
    return attempt[:7], attempt.connect is None, attempt.first_byte is None


def _step(step: Step) -> tuple[Any, ...]:
    """What tells apart two steps, beside how long they took."""
    notes = None if step.note is None else tuple([(note.reason, note.rule) for note in step.note])
    return step.entry, step.verdict, step.reason, step.rule, step.status, step.phase, notes
