"""What the gateway counts, in plain numbers; made into Prometheus text only when it is scraped.

Labels come from bounded sets: routes' templates, names of filters and upstreams, the endpoints of the configuration,
reason codes, known methods. A path, a user or a client's address is never one. Should a set grow beyond bounds all the
same (an upstream that makes up statuses, a plugin that makes up reasons), what is new is counted under `_OTHER`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Final

from gateway import __version__, form
from gateway.flow import BUCKETS, Cell, Flow, Flows
from gateway.record import METHODS, Record

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from prometheus_client.samples import Sample

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

TIMED_OF: Final = 16
"""One exchange of so many has the time of its filters added up."""
_MAX_SERIES = 4096
_OTHER = "_OTHER"

Labelled = Iterable[tuple[tuple[str, ...], float]]
"""The values of some labels, each with its number."""

_Requests = dict[tuple[str, str | None, int], Cell]
_Counts = dict[tuple[str, ...], int]


class Metrics:
    """Counters of one worker. `observe` is called once per exchange, in the event loop's thread."""

    def __init__(self) -> None:
        self._flows = Flows(self._fold)
        self._requests: _Requests = {}
        self._outcomes: _Counts = {}
        self._filters: _Counts = {}
        self._attempts: _Counts = {}
        self._times: dict[tuple[str, ...], list[float]] = {}
        self._untimed = 0
        self._upstreams: dict[str, Cell] = {}
        self._reads: list[Callable[[], Metric]] = []
        self.info("gateway_build", "The running version.", lambda: {"version": __version__, "form": form()})

    def observe(self, record: Record) -> None:
        """Counts an exchange that is over."""
        flow = record.flow = self._flows.of(record)
        cell = flow.cell
        cell.add(record.duration)
        cell.bytes_in += record.bytes_in
        cell.bytes_out += record.bytes_out
        for attempt in record.attempts:
            tried = self._upstreams.get(attempt.upstream)
            if tried is None:
                tried = self._upstreams[attempt.upstream] = Cell()
            tried.add(attempt.total)
        if self._untimed:
            self._untimed -= 1
        else:
            self._time(flow, record)

    def _time(self, flow: Flow, record: Record) -> None:
        """Adds up what each filter has taken of this exchange, which stands for those after it that are not looked at."""
        self._untimed = TIMED_OF - 1
        for entry, seconds in flow.spent(record):
            key = (entry.name, entry.type)
            total = self._times.get(key)
            if total is None:
                if len(self._times) >= _MAX_SERIES:
                    continue
                total = self._times[key] = [0, 0.0]
            total[0] += 1
            total[1] += seconds

    def _fold(self) -> None:
        """Adds what each flow has counted to the numbers that have labels, and empties its cell."""
        for flow in self._flows:
            counted, flow.cell = flow.cell, Cell()
            number = counted.number
            if not number:
                continue
            self._cell((flow.method if flow.method in METHODS else _OTHER, flow.route, flow.status)).take(
                counted
            )
            if flow.decision != "forward":
                _count(self._outcomes, (flow.decision, flow.reason), number)
            for told in flow.filters:
                _count(self._filters, told, number)
            for tried in flow.attempts:
                _count(self._attempts, tried, number)

    def forget_flows(self) -> None:
        """For a new plan: flows hold the one that they ran under."""
        self._fold()
        self._flows.clear()

    def gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """A number that `read` tells when it is scraped. Those of several processes are added up, see `merged`."""

        def metric() -> "Metric":
            from prometheus_client.core import GaugeMetricFamily

            return GaugeMetricFamily(name, documentation, value=read())

        self._reads.append(metric)

    def counter(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """A number that only grows, kept elsewhere; `_total` is added to the name where it is missing."""

        def metric() -> "Metric":
            from prometheus_client.core import CounterMetricFamily

            return CounterMetricFamily(name, documentation, value=read())

        self._reads.append(metric)

    def counters(
        self, name: str, documentation: str, labels: tuple[str, ...], read: Callable[[], Labelled]
    ) -> None:
        """Numbers that only grow, one for each set of labels; `read` tells them when they are scraped."""
        self._reads.append(lambda: _counters(name, documentation, labels, read()))

    def gauges(
        self, name: str, documentation: str, labels: tuple[str, ...], read: Callable[[], Labelled]
    ) -> None:
        """Numbers that `read` tells when they are scraped, one for each set of labels."""

        def metric() -> "Metric":
            from prometheus_client.core import GaugeMetricFamily

            family = GaugeMetricFamily(name, documentation, labels=labels)
            for values, number in read():
                family.add_metric(values, number)
            return family

        self._reads.append(metric)

    def info(self, name: str, documentation: str, read: Callable[[], Mapping[str, str]]) -> None:
        """Labels that `read` tells when it is scraped, on the number 1; `_info` is added to the name."""

        def metric() -> "Metric":
            from prometheus_client.core import InfoMetricFamily

            return InfoMetricFamily(name, documentation, value=dict(read()))

        self._reads.append(metric)

    def families(self) -> "list[Metric]":
        """The metric families as they stand, those of the process included."""
        from prometheus_client import ProcessCollector

        return [*self.collect(), *ProcessCollector(registry=None).collect()]

    def render(self) -> bytes:
        """Everything in the Prometheus text format 0.0.4."""
        return render(self.families())

    @property
    def requests(self) -> int:
        """Exchanges that are over."""
        self._fold()
        return sum(cell.number for cell in self._requests.values())

    def collect(self) -> Iterator["Metric"]:
        """The metric families as they stand."""
        self._fold()
        yield from self._request_families()
        yield from self._filter_families()
        yield _counters(
            "gateway_decisions",
            "Exchanges that were not simply forwarded.",
            ("decision", "reason"),
            self._outcomes.items(),
        )
        yield _counters(
            "gateway_upstream_attempts",
            "Attempts to forward an exchange; the result is ok, or the reason of the failure.",
            ("upstream", "result"),
            self._attempts.items(),
        )
        yield _histogram(
            "http_client_request_duration_seconds",
            "Seconds from the begin of an attempt to the end of the upstream's answer, or to its failure.",
            "upstream",
            self._upstreams,
        )
        for read in self._reads:
            yield read()

    def _cell(self, key: tuple[str, str | None, int]) -> Cell:
        if key not in self._requests and len(self._requests) >= _MAX_SERIES:
            key = (_OTHER, _OTHER, 0)
        return self._requests.setdefault(key, Cell())

    def _request_families(self) -> Iterator["Metric"]:
        by_route: dict[str, Cell] = {}
        counts: list[tuple[tuple[str, ...], float]] = []
        for (method, template, status), cell in self._requests.items():
            route = template or ""
            by_route.setdefault(route, Cell()).take(cell)
            counts.append(((method, route, str(status)), cell.number))
        yield _counters("gateway_requests", "Exchanges that are over.", ("method", "route", "status"), counts)
        yield _histogram(
            "http_server_request_duration_seconds",
            "Seconds from the head of a request to the end of its answer.",
            "http_route",
            by_route,
        )
        yield _counters(
            "gateway_request_body_bytes",
            "Bytes of request bodies.",
            ("route",),
            [((route,), cell.bytes_in) for route, cell in by_route.items()],
        )
        yield _counters(
            "gateway_response_body_bytes",
            "Bytes of response bodies.",
            ("route",),
            [((route,), cell.bytes_out) for route, cell in by_route.items()],
        )

    def _filter_families(self) -> Iterator["Metric"]:
        enforced: list[tuple[tuple[str, ...], float]] = []
        shadow: list[tuple[tuple[str, ...], float]] = []
        for (name, mode, verdict, reason), number in self._filters.items():
            (shadow if mode == "shadow" else enforced).append(((name, verdict, reason), number))
        labels = ("filter", "verdict", "reason")
        yield _counters(
            "gateway_filter_decisions",
            "Verdicts of filters, and their reasons.",
            labels,
            enforced,
        )
        yield _counters(
            "gateway_filter_shadow_decisions", "What filters in shadow mode would have said.", labels, shadow
        )
        yield _summary(
            "gateway_filter_duration_seconds",
            f"Seconds that filters took, on the way in and on the way out, of one exchange in {TIMED_OF}.",
            ("filter", "type"),
            self._times,
        )


_LEAST: Final = frozenset(
    (
        "process_start_time_seconds",
        "process_max_fds",
        "gateway_start_time_seconds",
        "gateway_certificate_expiry_timestamp_seconds",
        "gateway_upstream_endpoint_up",
    )
)
"""Gauges that are no amounts: of several processes the least counts."""
_MOST: Final = frozenset(("gateway_upstream_breaker_state",))
"""And those of which the most counts."""


def merged(processes: "Sequence[Sequence[Metric]]") -> "list[Metric]":
    """The metrics of several processes as one, which stay as they are: amounts added up, label by label."""
    found: dict[str, Metric] = {}
    samples: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], Sample]] = {}
    for families in processes:
        for family in families:
            if family.name not in found:
                found[family.name] = copy(family)
            known = samples.setdefault(family.name, {})
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                other = known.get(key)
                if other is None or family.type == "info":
                    value = sample.value
                elif family.name in _LEAST:
                    value = min(sample.value, other.value)
                elif family.name in _MOST:
                    value = max(sample.value, other.value)
                else:
                    value = sample.value + other.value
                known[key] = sample._replace(value=value)
    for name, family in found.items():
        family.samples = list(samples[name].values())
    return list(found.values())


def render(families: "Sequence[Metric]", *, openmetrics: bool = False) -> bytes:
    """In the Prometheus text format 0.0.4, or that of OpenMetrics 1.0.0."""
    from prometheus_client import CollectorRegistry, exposition
    from prometheus_client.openmetrics import exposition as strict

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(families))
    # prometheus_client has no types for OpenMetrics.
    encode: Any = strict.generate_latest if openmetrics else exposition.generate_latest
    text: bytes = encode(registry)
    return text


class _Collector:
    """What the registry asks."""

    def __init__(self, families: "Sequence[Metric]") -> None:
        self._families = families

    def collect(self) -> "Iterator[Metric]":
        return iter(self._families)


def _count(counts: _Counts, key: tuple[str, ...], number: int) -> None:
    if key not in counts and len(counts) >= _MAX_SERIES:
        key = (_OTHER,) * len(key)
    counts[key] = counts.get(key, 0) + number


def _counters(name: str, documentation: str, labels: tuple[str, ...], samples: Labelled) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, documentation, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _summary(
    name: str, documentation: str, labels: tuple[str, ...], cells: Mapping[tuple[str, ...], Sequence[float]]
) -> "Metric":
    """Of cells with a count and a sum."""
    from prometheus_client.core import SummaryMetricFamily

    family = SummaryMetricFamily(name, documentation, labels=labels)
    for values, (count, total) in cells.items():
        family.add_metric(values, count_value=int(count), sum_value=total)
    return family


def _histogram(name: str, documentation: str, label: str, cells: Mapping[str, Cell]) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, documentation, labels=(label,))
    for value, cell in cells.items():
        below, buckets = 0.0, []
        for bound, number in zip((*map(str, BUCKETS), "+Inf"), cell.counts, strict=True):
            below += number
            buckets.append((bound, below))
        family.add_metric((value,), buckets, sum_value=cell.seconds)
    return family
