"""The request log's records reach a collector, and what does not is counted."""

from typing import Any

import orjson
import pytest

from gateway import exporter
from gateway.config.load import loads
from gateway.log_export import LogExporters
from gateway.plan import Plan, build_plan
from gateway.registry import Registry
from gateway.state import StateStore
from tests.support.client import get
from tests.support.deadline import until
from tests.support.gateway import configuration, proxy
from tests.support.otlp import Receiver, partial
from tests.support.upstream import Upstream, closed_port, echo


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "INTERVAL", 0.005)
    monkeypatch.setattr(exporter, "_PAUSE", 0.005)


def plan(**log: Any) -> Plan:
    text = configuration("http://127.0.0.1:9", log={"path": None, **log})
    registry = Registry()
    return build_plan(loads(text, "gateway.yaml", registry=registry), registry)


async def test_every_exchange_is_told_to_the_collector() -> None:
    with Receiver() as receiver:
        async with (
            Upstream(echo) as upstream,
            proxy(
                upstream,
                filters=[{"methods": {"allow": ["GET"]}}],
                log={"path": None, "otlp": {"endpoint": receiver.url, "service_name": "edge"}},
            ) as gateway,
        ):
            client = await gateway.connect()
            assert (await client.ask(get("/a?token=secret"))).status == 200
            assert (await client.ask(get("/b", method="DELETE"))).status == 405
            await until(lambda: len(receiver.logs) == 2, "both are told")
            records = await gateway.records(2)
        assert [record.severity for record in receiver.logs] == ["INFO", "WARN"]
        for record, told in zip(records, receiver.logs, strict=True):
            assert told.attributes["gateway.request_id"] == record["gateway.request_id"]
            assert told.attributes["gateway.filters"] == record["gateway.filters"]
        assert b"secret" not in orjson.dumps([record.attributes for record in receiver.logs])
        assert receiver.logs[1].body == "DELETE /b 405 methods: method_not_allowed"
        assert receiver.requests[0][0] == "/v1/logs"
        (resource, *_) = receiver.resources
        assert resource["service.name"] == "edge"
        assert resource["service.instance.id"]


async def test_what_comes_last_is_sent_before_the_end_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "INTERVAL", 60.0)
    with Receiver() as receiver:
        receiver.answers.append(partial(1))
        async with (
            Upstream(echo) as upstream,
            proxy(upstream, log={"path": None, "otlp": {"endpoint": receiver.url}}) as gateway,
        ):
            client = await gateway.connect()
            for _ in range(3):
                assert (await client.ask(get())).status == 200
        assert len(receiver.logs) == 3
        exporters = gateway.gateway._log_exporters
        assert (exporters.exported, exporters.dropped) == (2, 1)


async def test_a_dead_collector_changes_nothing_for_a_client() -> None:
    dead = {"endpoint": f"http://127.0.0.1:{closed_port()}", "queue": 2}
    async with Upstream(echo) as upstream, proxy(upstream, log={"path": None, "otlp": dead}) as gateway:
        client = await gateway.connect()
        for _ in range(20):
            assert (await client.ask(get())).status == 200
        await gateway.records(20)
        await until(lambda: gateway.gateway._log_exporters.dropped > 0, "what does not fit is counted")


def test_plans_that_name_a_collector_alike_share_an_exporter() -> None:
    state = StateStore()
    exporters = LogExporters(state)
    url = f"http://127.0.0.1:{closed_port()}"
    holders = [object(), object()]
    first, second = (exporters.attach(plan(otlp={"endpoint": url}), holder) for holder in holders)
    assert first is not None
    assert first == second
    for holder in holders:
        state.release(holder)
    first(b"{}")
    exporters.join()
    assert exporters.dropped == 1


def test_a_plan_without_it_has_none() -> None:
    assert LogExporters(StateStore()).attach(plan(), object()) is None
