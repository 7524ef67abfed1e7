"""What goes on at the moment, for those who watch: a summary each second, and the records that each of them asks for.

While nobody watches nothing is asked of the workers, and nothing is kept.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from gateway.admin.service import Service
from gateway.api.bucket import Selection
from gateway.buckets import told
from gateway.inspect.field import BY_NAME, Field
from gateway.inspect.predicate import Predicate
from gateway.task import spawn

if TYPE_CHECKING:
    from prometheus_client.core import Metric

TICK: Final = 1.0
"""Seconds between two summaries."""
MOST: Final = 200
"""Records that a watcher is told at once; of more it is told how many."""
_WAITING: Final = 30  # events that may wait for a watcher who is slow
_EDGE: Final = 5  # ticks between two looks at the limits
_LIMITS: Final = 10

SHOWN: Final[Sequence[Field]] = tuple(
    BY_NAME[name]
    for name in (
        *(
            "time",
            "request_id",
            "method",
            "path",
            "status",
            "decision",
            "reason",
            "filter",
            "source",
            "route",
        ),
        *("duration", "project_id", "user_id", "client", "upstream", "endpoint", "shadow"),
    )
)
"""Of a record, in a list of many."""

Event = tuple[str, Any]
"""Its name, and what it says as JSON has it."""

_Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


class Watcher:
    """One who watches. `wanted` says which records, and `hides` the fields that are not told."""

    def __init__(self, wanted: Predicate, hides: frozenset[str] = frozenset()) -> None:
        self._wanted = wanted
        self._hides = hides
        self._events: deque[Event] = deque(maxlen=_WAITING)
        self._there = asyncio.Event()

    def tell(self, event: Event) -> None:
        """The oldest goes where there are too many: who is slow sees less, and holds nobody up."""
        self._events.append(event)
        self._there.set()

    def tell_records(self, records: Sequence[Mapping[str, Any]]) -> None:
        wanted = [record for record in records if self._wanted(record)]
        if wanted:
            shown = [brief(record, self._hides) for record in wanted[-MOST:]]
            self.tell(("records", {"records": shown, "more": len(wanted) - len(shown)}))

    async def events(self) -> AsyncIterator[Event]:
        while True:
            await self._there.wait()
            self._there.clear()
            while self._events:
                yield self._events.popleft()


def brief(record: Mapping[str, Any], hides: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What a list tells of a record."""
    found: dict[str, Any] = {}
    for field in SHOWN:
        if field.name not in hides:
            value = record.get(field.key) if field.kind == "time" else field.value(record)
            if value not in (None, []):
                found[field.name] = value
    return found


class Live:
    """What goes on in a gateway."""

    def __init__(self, service: Service, *, tick: float = TICK) -> None:
        self._service = service
        self._tick = tick
        self._watchers: set[Watcher] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self, watcher: Watcher) -> None:
        self._watchers.add(watcher)
        if self._task is None:
            self._task = spawn(self._run(), name="live")

    def leave(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)
        if not self._watchers:
            self.close()

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        former: _Samples | None = None
        after: Mapping[int, int] = {}
        limits: list[dict[str, Any]] = []
        began = time.monotonic()
        number = 0
        while True:
            try:
                lines, after = await self._service.recent_lines(after)
                records = [record for record in map(_parsed, lines) if record is not None]
                samples = _samples(await self._service.families())
                now = time.monotonic()
                if number % _EDGE == 0:
                    buckets = await self._service.fullest_buckets(Selection(), _LIMITS)
                    limits = [told(bucket, time.time()) for bucket in buckets.found]
                summary = {
                    "time": time.time(),
                    **(rates(former, samples, now - began) if former is not None else {}),
                    "limits": limits,
                    "upstreams": await self._service.upstreams(),
                    "workers": await self._service.workers(),
                }
                former, began = samples, now
                number += 1
                for watcher in self._watchers:
                    watcher.tell(("summary", summary))
                    watcher.tell_records(records)
            except Exception as error:  # noqa: BLE001 - a look that fails must not end those that come
                structlog.get_logger("gateway").error("live_failed", error=repr(error))
            await asyncio.sleep(self._tick)


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    with suppress(orjson.JSONDecodeError):
        record = orjson.loads(line)
        if isinstance(record, dict) and record.get("kind") == "request":
            return record
    return None


def _samples(families: "Iterable[Metric]") -> _Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        if family.name in _FAMILIES
        for sample in family.samples
    }


_FAMILIES: Final = (
    "gateway_requests",
    "gateway_filter_decisions",
    "gateway_filter_shadow_decisions",
    "gateway_decisions",
    "http_server_request_duration_seconds",
    "http_server_active_requests",
    "gateway_connections",
    "gateway_log_dropped",
)


def rates(former: _Samples, now: _Samples, seconds: float) -> dict[str, Any]:
    """What has come between two looks, by the second; durations in milliseconds."""
    seconds = max(seconds, 1e-3)
    new = {key: value - former.get(key, 0.0) for key, value in now.items()}
    classes: Counter[str] = Counter()
    routes: Counter[str] = Counter()
    refusals: Counter[tuple[str, str]] = Counter()
    shadow: Counter[tuple[str, str]] = Counter()
    passed: Counter[str] = Counter()
    buckets: Counter[float] = Counter()
    for (name, labels), count in new.items():
        if count <= 0:
            continue
        label = dict(labels)
        match name:
            case "gateway_requests_total":
                status = label["status"]
                classes[f"{status[0]}xx" if status != "0" else "none"] += count  # type: ignore[assignment]
                routes[label["route"]] += count  # type: ignore[assignment]
            case "gateway_filter_decisions_total":
                passed[label["filter"]] += count  # type: ignore[assignment]
                if label["verdict"] != "pass":
                    refusals[label["filter"], label["reason"]] += count  # type: ignore[assignment]
            case "gateway_filter_shadow_decisions_total" if label["verdict"] not in ("pass", "skip"):
                shadow[label["filter"], label["reason"]] += count  # type: ignore[assignment]
            case "http_server_request_duration_seconds_bucket":
                buckets[float(label["le"])] += count  # type: ignore[assignment]
    return {
        "requests": round(sum(classes.values()) / seconds, 2),
        "classes": {name: round(count / seconds, 2) for name, count in sorted(classes.items())},
        "routes": {name: round(count / seconds, 2) for name, count in routes.most_common(10)},
        "filters": {name: round(count / seconds, 2) for name, count in passed.items()},
        "refusals": _listed(refusals, seconds),
        "shadow": _listed(shadow, seconds),
        "quantiles": {name: quantile(buckets, part) for name, part in _QUANTILES.items()},
        "active": _sum(now, "http_server_active_requests"),
        "connections": _sum(now, "gateway_connections"),
        "dropped": _sum(now, "gateway_log_dropped_total"),
    }


_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def _listed(counts: "Counter[tuple[str, str]]", seconds: float) -> list[dict[str, Any]]:
    return [
        {"filter": name, "reason": reason, "rate": round(count / seconds, 2)}
        for (name, reason), count in counts.most_common(10)
    ]


def _sum(samples: _Samples, name: str) -> float:
    return sum(value for (sample, _), value in samples.items() if sample == name)


def quantile(buckets: Mapping[float, float], part: float) -> float | None:
    """Milliseconds, of cumulative counts by their upper bounds in seconds; in a bucket they are taken to be spread evenly.

    None where nothing has come; beyond the last bound it is that bound.
    """
    bounds = sorted(buckets)
    if not bounds or not buckets[bounds[-1]]:
        return None
    wanted = part * buckets[bounds[-1]]
    below, least = 0.0, 0.0
    for bound in bounds:
        count = buckets[bound]
        if count >= wanted:
            if bound == float("inf"):
                return round(least * 1000, 2)
            share = (wanted - below) / (count - below) if count > below else 1.0
            return round((least + (bound - least) * share) * 1000, 2)
        below, least = count, bound
    return round(least * 1000, 2)
