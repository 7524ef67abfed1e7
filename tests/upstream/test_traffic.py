"""The metrics of retries, limits and mirrors, as they are scraped."""

import asyncio

from gateway.config.model import Upstream
from gateway.config.traffic import Concurrency
from gateway.config.traffic import Mirror as MirrorOptions
from gateway.metrics import Metrics
from gateway.upstream.concurrency import Limiter
from gateway.upstream.mirror import Mirror
from gateway.upstream.pool import Pool
from gateway.upstream.traffic import observe_traffic


async def test_tells_of_those_in_force() -> None:
    plain = Pool("plain", Upstream.model_validate({"endpoints": ["http://a:1"]}))
    retried = Pool("main", Upstream.model_validate({"endpoints": ["http://a:1"], "retries": {}}))
    assert retried.retry is not None
    retried.retry.made, retried.retry.over_budget = 3, 2
    limiter = Limiter("route", "images", Concurrency(limit=7), asyncio.get_running_loop().time)
    limiter.enter()
    limiter.refused["displaced"] = 4
    mirror = Mirror("upstream", "main", MirrorOptions(upstream="b"))
    mirror.sent, mirror.results["5xx"], mirror.dropped["body_too_large"] = 5, 4, 6
    metrics = Metrics()
    observe_traffic(metrics, lambda: [plain, retried], lambda: [limiter], lambda: [mirror])
    text = metrics.render().decode()
    for line in (
        'gateway_upstream_retries_total{result="made",upstream="main"} 3.0',
        'gateway_upstream_retries_total{result="over_budget",upstream="main"} 2.0',
        'gateway_concurrency_limit{name="images",scope="route"} 7.0',
        'gateway_concurrency_active{name="images",scope="route"} 1.0',
        'gateway_concurrency_waiting{name="images",scope="route"} 0.0',
        'gateway_concurrency_refused_total{cause="displaced",name="images",scope="route"} 4.0',
        'gateway_mirror_in_flight{name="main",scope="upstream"} 0.0',
        'gateway_mirror_sent_total{name="main",scope="upstream"} 5.0',
        'gateway_mirror_dropped_total{cause="body_too_large",name="main",scope="upstream"} 6.0',
        'gateway_mirror_results_total{name="main",result="5xx",scope="upstream"} 4.0',
    ):
        assert line in text, line
    assert 'upstream="plain"' not in text
    for pool in (plain, retried):
        pool.close()
