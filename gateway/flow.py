"""What many exchanges have in common: a flow.

Most exchanges differ from one that went before in nothing but who asked, for what, when, and how long it took. All
the rest (the plan, the route, the status, what each filter said and why) makes their flow. So an exchange is counted
by one look-up and a few additions, and its line in the request log is that of its flow with the differences put in.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from gateway.api.exchange import Note
from gateway.record import Attempt, Record, Step

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

_REASON_AND_RULE: Final = itemgetter(0, 1)


def _attempt(attempt: Attempt) -> tuple[Any, ...]:
    """What an attempt has in common with others: all but how long it took, and whether it got so far."""
    return attempt[:5], attempt[5] is None, attempt[6] is None


class Layout(NamedTuple):
    """Where in a trail what stands, for trails of passes only.

    notes   gives the notes in order; None when there are none
    stamps  gives the instants, the first of which is that of the beginning; None for a trail that is empty
    noted   of each pass that was noted: its place among the passes, its first note's place and that behind its last
    """

    notes: Callable[[Sequence[Any]], tuple[Note, ...]] | None
    stamps: Callable[[Sequence[Any]], tuple[int, ...]] | None
    noted: tuple[tuple[int, int, int], ...]


def _layout(kinds: Sequence[type]) -> Layout | None:
    """The layout of a trail whose items have these types; None when there are steps among them."""
    notes: list[int] = []
    stamps: list[int] = []
    noted: list[tuple[int, int, int]] = []
    taken = 0
    for place, kind in enumerate(kinds):
        if kind is int:
            if len(notes) > taken:
                noted.append((len(stamps) - 1, taken, len(notes)))
                taken = len(notes)
            stamps.append(place)
        elif kind is Note:
            notes.append(place)
        else:
            return None
    if taken < len(notes):  # a filter that never finished
        return None
    return Layout(_getter(notes), _getter(stamps), tuple(noted))


def _getter(places: Sequence[int]) -> Callable[[Sequence[Any]], Any] | None:
    if not places:
        return None
    if len(places) == 1:  # for one place, itemgetter gives the item and no tuple
        (place,) = places
        return lambda items: (items[place],)
    return itemgetter(*places)


class Flow:
    """The exchanges of one flow, and what they have in common.

    cell      how many they were, how long they took, and what they carried
    filters   name, mode, verdict and reason of each step
    attempts  upstream, and reason of the failure or "ok"
    template  of their lines, the serializer's own; None until there is one
    """

    __slots__ = (
        "attempts",
        "cell",
        "decision",
        "filters",
        "layout",
        "method",
        "reason",
        "route",
        "status",
        "template",
    )

    def __init__(self, record: Record, layout: Layout | None) -> None:
        """The flow of `record`; `layout` is that of its trail."""
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
        self.layout = layout
        self.cell: list[float] = list(EMPTY_CELL)
        self.template: Any = None


def _reason(step: Step) -> str:
    return str(step.reason or (step.note[0].reason if step.note else "passed"))


class Flows:
    """Finds the flow of a record. `on_full` is called before all are forgotten because they have become too many."""

    def __init__(self, on_full: Callable[[], None] = lambda: None) -> None:
        self._flows: dict[tuple[Any, ...], Flow] = {}
        self._layouts: dict[tuple[type, ...], Layout | None] = {}
        self._on_full = on_full

    def of(self, record: Record) -> Flow:
        exchange = record.exchange
        trail = exchange.trail
        kinds = tuple(map(type, trail))
        try:
            layout = self._layouts[kinds]
        except KeyError:
            layout = self._learn(kinds)
        said: tuple[Any, ...]
        if layout is None:
            said = _said(record)
        elif layout.notes is None:
            said = kinds
        else:
            said = (kinds, *map(_REASON_AND_RULE, layout.notes(trail)))
        key: tuple[Any, ...] = (
            record.plan,
            exchange.route,
            exchange.method,
            exchange.scheme,
            exchange.http_version,
            record.status,
            record.decision,
            record.reason,
            said,
            *map(_attempt, record.attempts),
        )
        try:
            flow = self._flows.get(key)
        except TypeError:  # a plugin's rule or reason that cannot be a key must cost no exchange its end
            key = (repr(key),)
            flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= MAX_FLOWS:
                self._on_full()
                self._flows.clear()
            flow = self._flows[key] = Flow(record, layout)
        return flow

    def __iter__(self) -> Iterator[Flow]:
        return iter(self._flows.values())

    def _learn(self, kinds: tuple[type, ...]) -> Layout | None:
        if len(self._layouts) >= MAX_FLOWS:
            self._layouts.clear()
        layout = self._layouts[kinds] = _layout(kinds)
        return layout


def _said(record: Record) -> tuple[Any, ...]:
    """What tells apart the flows of trails with whole steps in them."""
    decider = record.decider
    return (
        None if decider is None else (decider.entry, decider.rule),
        *[
            (
                step.entry,
                step.verdict,
                step.reason,
                step.rule,
                step.status,
                step.phase,
                None if step.note is None else tuple(map(_REASON_AND_RULE, step.note)),
            )
            for step in record.steps
        ],
    )
