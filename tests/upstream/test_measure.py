"""What the metrics say of pools."""

from prometheus_client.parser import text_string_to_metric_families

from gateway.config.model import Upstream as Options
from gateway.metrics import Metrics
from gateway.upstream.measure import observe_pools
from gateway.upstream.pool import Endpoint, Pool

OPTIONS = {
    "endpoints": ["http://192.0.2.1:1", "unix:///run/b.sock"],
    "ejection": {"failures": 1},
    "breaker": {"endpoint": {"requests": 1}, "pool": {"requests": 100}},
    "max_connections": 1,
    "max_pending": 0,
}


async def test_endpoints_breakers_connections_and_refusals_are_told() -> None:
    pools = [Pool("main", Options.model_validate(OPTIONS))]
    metrics = Metrics()
    observe_pools(metrics, lambda: pools)
    (pool,) = pools
    first, other = pool.endpoints
    pool.over(pool.begun(first), "upstream_closed")
    pool.begun(other)
    assert not isinstance(pool.choose(), Endpoint)
    told = {
        (
            sample.name.removeprefix("gateway_upstream_"),
            *(sample.labels[name] for name in ("endpoint", "reason", "state") if name in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.labels.get("upstream") == "main"
    }
    assert told == {
        ("endpoint_up", "192.0.2.1:1"): 0,
        ("endpoint_up", "unix:///run/b.sock"): 1,
        ("ejections_total", "192.0.2.1:1"): 1,
        ("ejections_total", "unix:///run/b.sock"): 0,
        ("breaker_state", ""): 0,
        ("breaker_state", "192.0.2.1:1"): 2,
        ("breaker_state", "unix:///run/b.sock"): 0,
        ("connections", "192.0.2.1:1", "idle"): 0,
        ("connections", "192.0.2.1:1", "used"): 0,
        ("connections", "unix:///run/b.sock", "idle"): 0,
        ("connections", "unix:///run/b.sock", "used"): 0,
        ("pending",): 0,
        ("refused_total", "upstream_circuit_open"): 0,
        ("refused_total", "upstream_pool_exhausted"): 1,
        ("refused_total", "upstream_unavailable"): 0,
    }
    pool.close()


async def test_the_pools_of_the_moment_are_asked() -> None:
    pools = [Pool("main", Options.model_validate({"endpoints": ["http://192.0.2.1:1"]}))]
    metrics = Metrics()
    observe_pools(metrics, lambda: pools)
    assert b'upstream="main"' in metrics.render()
    pools.pop().close()
    assert b'upstream="main"' not in metrics.render()
