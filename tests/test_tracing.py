import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from gateway import exporter
from gateway.config.load import loads
from gateway.config.model import Tracing
from gateway.plan import build_plan
from gateway.record import Record
from gateway.registry import Registry
from gateway.state import StateStore
from gateway.trace import TraceSource
from gateway.tracing import Tracer, Tracers
from tests.support.deadline import until
from tests.support.gateway import configuration
from tests.support.otlp import Receiver, partial
from tests.support.records import Entry, attempt, record, step
from tests.support.upstream import closed_port

TRACES = TraceSource("always", 1.0)


def traced(**changes: object) -> Record:
    made = record(attempts=[attempt()], **changes)
    made.trace = TRACES.trace({}, False)
    return made


@contextmanager
def begun(url: str, **options: object) -> Iterator[Tracer]:
    tracer = Tracer(Tracing.model_validate({"endpoint": url, **options}))
    tracer.start()
    try:
        yield tracer
    finally:
        tracer.close()
        tracer.join()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "INTERVAL", 0.005)
    monkeypatch.setattr(exporter, "_PAUSE", 0.005)
    monkeypatch.setattr(exporter, "_LONGEST", 0.02)


async def test_spans_of_what_is_observed_reach_the_collector() -> None:
    with Receiver() as receiver, begun(receiver.url) as tracer:
        for _ in range(300):
            tracer.observe(traced())
        await receiver.server_spans(300)
        await until(lambda: tracer.exported == 600, "all are counted")
        assert len(receiver.spans) == 600
        assert tracer.dropped == 0
        assert len(receiver.requests) >= 3


async def test_the_resource_says_which_gateway_it_is() -> None:
    with (
        Receiver() as receiver,
        begun(receiver.url, service_name="edge", resource={"deployment.environment.name": "lab"}) as tracer,
    ):
        tracer.observe(traced())
        await receiver.server_spans(1)
        (resource,) = receiver.resources
        assert resource["service.name"] == "edge"
        assert resource["deployment.environment.name"] == "lab"
        assert resource["service.version"]


async def test_what_waits_is_sent_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "INTERVAL", 60.0)
    with Receiver() as receiver:
        tracer = Tracer(Tracing.model_validate({"endpoint": receiver.url}))
        tracer.start()
        tracer.observe(traced())
        tracer.close()
        tracer.join()
        assert tracer.ended
        assert len(receiver.spans) == 2
        tracer.observe(traced())
        assert (tracer.exported, tracer.dropped) == (2, 2)


async def test_a_full_queue_drops_and_counts() -> None:
    with Receiver() as receiver:
        receiver.gate.clear()
        with begun(receiver.url, queue=2) as tracer:
            tracer.observe(traced())
            await until(lambda: len(receiver.requests) == 1, "the collector is asked, and hangs")
            for _ in range(5):
                tracer.observe(traced())
            assert tracer.dropped == 6
            receiver.gate.set()
            await receiver.server_spans(3)


async def test_a_collector_that_is_away_is_tried_again_and_the_log_says_so_once() -> None:
    with Receiver() as receiver, structlog.testing.capture_logs() as logs:
        receiver.answers += [(503, {}, b""), (429, {"Retry-After": "1"}, b""), (502, {}, b"")]
        with begun(receiver.url) as tracer:
            tracer.observe(traced())
            await receiver.server_spans(1)
            await until(lambda: tracer.exported == 2, "they are counted")
        assert tracer.dropped == 0
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("traces_failing", "warning"),
        ("traces_recovered", "warning"),
    ]
    assert logs[0]["error"] == "it answered 503"


async def test_what_a_collector_refuses_is_dropped() -> None:
    with Receiver() as receiver, begun(receiver.url) as tracer:
        receiver.answers.append((400, {}, b""))
        tracer.observe(traced())
        await until(lambda: tracer.dropped == 2, "it is counted")
        receiver.answers.append(partial(1))
        tracer.observe(traced())
        await until(lambda: (tracer.exported, tracer.dropped) == (1, 3), "one of two was taken")


async def test_a_dead_collector_holds_up_neither_an_exchange_nor_the_end() -> None:
    with structlog.testing.capture_logs() as logs:
        with begun(f"http://127.0.0.1:{closed_port()}", queue=10) as tracer:
            for _ in range(100):
                tracer.observe(traced())
            await until(lambda: bool(logs), "the first failure is told")
        assert tracer.ended
    assert tracer.dropped == 200
    assert [entry["event"] for entry in logs] == ["traces_failing"]


async def test_a_hung_collector_holds_up_the_end_no_longer_than_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporter, "CLOSE", 0.05)
    with Receiver() as receiver:
        receiver.gate.clear()
        with begun(receiver.url) as tracer:
            tracer.observe(traced())
            await until(lambda: len(receiver.requests) == 1, "the collector is asked, and hangs")
        assert not tracer.ended
        receiver.gate.set()
        await until(lambda: tracer.ended, "it ends when the collector answers")


async def test_a_record_that_cannot_be_told_costs_no_other_its_spans() -> None:
    class Odd(Entry):
        def source(self, rule: object) -> str:
            raise RuntimeError("odd")

    with (
        Receiver() as receiver,
        begun(receiver.url) as tracer,
        structlog.testing.capture_logs() as logs,
    ):
        tracer.observe(traced(decider=step(Odd("odd"), "refuse")))
        tracer.observe(traced())
        await receiver.server_spans(1)
        await until(lambda: tracer.exported == 2, "they are counted")
        assert tracer.dropped == 2
        assert [entry["event"] for entry in logs] == ["span_failed"]


# ---- several plans


def test_plans_that_name_a_collector_alike_share_a_tracer_until_the_last_is_gone() -> None:
    state = StateStore()
    tracers = Tracers(state)
    url = f"http://127.0.0.1:{closed_port()}"

    def plan(**options: object) -> TraceSource:
        text = configuration("http://127.0.0.1:9", tracing={"endpoint": url, **options})
        registry = Registry()
        built = build_plan(loads(text, "gateway.yaml", registry=registry), registry, state=state)
        tracers.attach(built, (holder := object()))
        holders.append(holder)
        assert built.traces is not None
        return built.traces

    def threads() -> int:
        return sum(thread.name == "traces" for thread in threading.enumerate())

    holders: list[object] = []
    first, second, other = plan(), plan(), plan(service_name="other")
    assert first.export == second.export
    assert first.export != other.export
    assert threads() == 2
    state.release(holders[0])
    tracers.join()
    assert threads() == 2
    assert other.export is not None
    for _ in range(2):
        other.export(traced())
    for holder in holders[1:]:
        state.release(holder)
    tracers.join()
    assert threads() == 0
    assert tracers.dropped == 4
    plan()
    assert tracers.dropped == 4
    state.release(holders[-1])
    tracers.join()


def test_a_plan_without_tracing_has_no_tracer() -> None:
    registry = Registry()
    built = build_plan(
        loads(configuration("http://127.0.0.1:9"), "gateway.yaml", registry=registry), registry
    )
    state = StateStore()
    Tracers(state).attach(built, object())
    assert built.traces is None
    assert len(state) == 0
