"""What there is to measure of retries, limits and mirrors."""

from collections.abc import Callable, Iterable

from gateway.metrics import Metrics
from gateway.upstream.concurrency import Limiter
from gateway.upstream.mirror import Mirror
from gateway.upstream.pool import Pool


def observe_traffic(
    metrics: Metrics,
    pools: Callable[[], Iterable[Pool]],
    limiters: Callable[[], Iterable[Limiter]],
    mirrors: Callable[[], Iterable[Mirror]],
) -> None:
    """Adds them to `metrics`, of those in force when it is asked."""
    metrics.counters(
        "gateway_upstream_retries",
        "Failed attempts, by whether another was made, or the budget did not allow it.",
        ("upstream", "result"),
        lambda: [
            ((pool.name, result), float(count))
            for pool in pools()
            if pool.retry is not None
            for result, count in (("made", pool.retry.made), ("over_budget", pool.retry.over_budget))
        ],
    )
    labels = ("scope", "name")
    metrics.gauges(
        "gateway_concurrency_limit",
        "Requests that may be under way at once.",
        labels,
        lambda: [((one.scope, one.name), float(one.limit)) for one in limiters()],
    )
    metrics.gauges(
        "gateway_concurrency_active",
        "Requests under way that are counted against a limit.",
        labels,
        lambda: [((one.scope, one.name), float(one.active)) for one in limiters()],
    )
    metrics.gauges(
        "gateway_concurrency_waiting",
        "Requests that wait for their turn.",
        labels,
        lambda: [((one.scope, one.name), float(one.waiting)) for one in limiters()],
    )
    metrics.counters(
        "gateway_concurrency_refused",
        "Requests that were refused for a limit.",
        (*labels, "cause"),
        lambda: [
            ((one.scope, one.name, cause), float(count))
            for one in limiters()
            for cause, count in one.refused.items()
        ],
    )
    metrics.gauges(
        "gateway_mirror_in_flight",
        "Copies that are under way.",
        labels,
        lambda: [((one.scope, one.name), float(one.in_flight)) for one in mirrors()],
    )
    metrics.counters(
        "gateway_mirror_sent",
        "Copies that have been sent.",
        labels,
        lambda: [((one.scope, one.name), float(one.sent)) for one in mirrors()],
    )
    metrics.counters(
        "gateway_mirror_dropped",
        "Requests that were to be copied and were not.",
        (*labels, "cause"),
        lambda: [
            ((one.scope, one.name, cause), float(count))
            for one in mirrors()
            for cause, count in one.dropped.items()
        ],
    )
    metrics.counters(
        "gateway_mirror_results",
        "What became of copies: the class of the answer's status, timeout, or failed.",
        (*labels, "result"),
        lambda: [
            ((one.scope, one.name, result), float(count))
            for one in mirrors()
            for result, count in one.results.items()
        ],
    )
