"""Metrics of the pools. Endpoints are those of the configuration: their number is bounded by it."""

from collections.abc import Callable, Iterable

from gateway.metrics import Labelled, Metrics
from gateway.upstream.pool import Pool

Pools = Callable[[], Iterable[Pool]]


def observe_pools(metrics: Metrics, pools: Pools) -> None:
    """Adds metrics of the pools that `pools` gives when they are scraped, each of which has a name of its own."""
    labels = ("upstream", "endpoint")
    metrics.gauges(
        "gateway_upstream_endpoint_up",
        "Whether requests are sent to the endpoint (1), or its checks or its failures leave it out (0).",
        labels,
        lambda: _each(pools, "up"),
    )
    metrics.counters(
        "gateway_upstream_ejections",
        "How often the endpoint was left out for failing requests.",
        labels,
        lambda: _each(pools, "ejections"),
    )
    metrics.gauges(
        "gateway_upstream_breaker_state",
        "Circuit breakers: 0 closed, 1 half open, 2 open; the endpoint is empty for that of the whole upstream.",
        labels,
        lambda: _breakers(pools),
    )
    metrics.gauges(
        "gateway_upstream_connections",
        "Connections that stand, by whether a request is on them.",
        (*labels, "state"),
        lambda: _connections(pools),
    )
    metrics.gauges(
        "gateway_upstream_pending",
        "Requests that wait for a connection.",
        ("upstream",),
        lambda: [((pool.name,), pool.pending) for pool in pools()],
    )
    metrics.counters(
        "gateway_upstream_refused",
        "Requests that no endpoint could take.",
        ("upstream", "reason"),
        lambda: [
            ((pool.name, reason), count)
            for pool in pools()
            for reason, count in pool.selection.refused.items()
        ],
    )


def _each(pools: Pools, what: str) -> Labelled:
    for pool in pools():
        for member in pool.selection.members:
            number = float(member.ejections) if what == "ejections" else float(member.well)
            yield (pool.name, member.address), number


def _breakers(pools: Pools) -> Labelled:
    for pool in pools():
        now = pool.now()
        if pool.selection.breaker is not None:
            yield (pool.name, ""), float(pool.selection.breaker.look(now))
        for member in pool.selection.members:
            if member.breaker is not None:
                yield (pool.name, member.address), float(member.breaker.look(now))


def _connections(pools: Pools) -> Labelled:
    for pool in pools():
        for endpoint in pool.endpoints:
            idle = len(endpoint.idle)
            yield (pool.name, endpoint.address, "idle"), float(idle)
            yield (pool.name, endpoint.address, "used"), float(len(endpoint.connections) - idle)
