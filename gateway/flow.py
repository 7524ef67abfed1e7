"""What many exchanges have in common: a flow.

Most exchanges differ from one that went before in nothing but who asked, for what, when, and how long it took. All
the rest (the plan, the route, the status, what each filter said and why) makes their flow. So an exchange is counted
by one look-up and a few additions, and its line in the request log is that of its flow with the differences put in.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from gateway.api.exchange import Note
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

# A cell counts exchanges: one place per bucket and one beyond the last, then the sum of their seconds and the bytes
# of their bodies, in and out.
SECONDS: Final = len(BUCKETS) + 1
BYTES_IN: Final = SECONDS + 1
BYTES_OUT: Final = BYTES_IN + 1
EMPTY_CELL: Final = (*([0] * SECONDS), 0.0, 0, 0)

MAX_FLOWS: Final = 4096


class Flow:
    """The exchanges of one flow, and what they have in common.

    cell      how many they were, how long they took, and what they carried
    filters   name, mode, verdict and reason of each step
    attempts  upstream, and reason of the failure or "ok"
    ordinary  whether there is nothing to say of them: forwarded at the first attempt, answered below 400, and no filter in shadow minds
    spans     where each step stands in their trails, and whose it is: the instants at which a pass began and ended, between which is
              what it noted, or twice the place of a whole step; None where a note stands elsewhere
    template  the pieces of their lines, the serializer's own; None until there is one
    """

    __slots__ = (
        "attempts",
        "cell",
        "decision",
        "filters",
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
        self.cell: list[float] = list(EMPTY_CELL)
        self.template: list[bytes] | None = None


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
    """Finds the flow of a record. `on_full` is called before all are forgotten because they have become too many."""

    def __init__(self, on_full: Callable[[], None] = lambda: None) -> None:
        self._flows: dict[tuple[Any, ...], Flow] = {}
        self._on_full = on_full

    def of(self, record: Record) -> Flow:
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
            if type(item) is int:
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
            if len(self._flows) >= MAX_FLOWS:
                self._on_full()
                self._flows.clear()
            flow = self._flows[key] = Flow(record)
        return flow

    def clear(self) -> None:
        self._flows.clear()

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
