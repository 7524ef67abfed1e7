"""What all exporters do: batches, patience with a collector, and counts. Tracers and log exporters have tests of their own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
import structlog

from gateway import exporter
from gateway.config.model import LogExport
from gateway.exporter import BATCH, Encoder, Exporter
from tests.support.deadline import until
from tests.support.otlp import Receiver
from tests.support.upstream import closed_port


class Joined:
    """Joins texts."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def __len__(self) -> int:
        return sum(map(len, self._texts))

    def add(self, item: str) -> None:
        if item == "odd":
            raise ValueError(item)
        self._texts.append(item)

    def take(self) -> bytes:
        texts, self._texts = self._texts, []
        return ",".join(texts).encode()


class Texts(Exporter[str]):
    """Counts characters."""

    signal = "texts"

    def _encoder(self, resource: Mapping[str, str]) -> Encoder[str]:
        return Joined()

    def _weight(self, item: str) -> int:
        return len(item)

    def _odd(self, item: str, error: Exception) -> None:
        self._tell("odd_text", text=item)


@contextmanager
def begun(url: str, **options: object) -> Iterator[Texts]:
    texts = Texts(LogExport.model_validate({"endpoint": url, **options}))
    texts.start()
    try:
        yield texts
    finally:
        texts.close()
        texts.join()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter, "INTERVAL", 0.005)
    monkeypatch.setattr(exporter, "_PAUSE", 0.005)
    monkeypatch.setattr(exporter, "_LONGEST", 0.02)


async def test_items_go_in_batches_and_are_counted_by_weight() -> None:
    with Receiver() as receiver, begun(receiver.url) as texts:
        for _ in range(2 * BATCH + 1):
            texts.observe("ab")
        await until(lambda: texts.exported == 2 * (2 * BATCH + 1), "all are taken")
        assert len(receiver.requests) >= 3
        assert texts.dropped == 0


async def test_an_odd_one_is_left_out_and_told() -> None:
    with (
        Receiver() as receiver,
        structlog.testing.capture_logs() as logs,
        begun(receiver.url) as texts,
    ):
        for text in ("a", "odd", "b"):
            texts.observe(text)
        await until(lambda: (texts.exported, texts.dropped) == (2, 3), "the others are taken")
    assert [line["event"] for line in logs] == ["odd_text"]


async def test_a_collector_that_is_away_is_told_of_once_a_minute_at_most() -> None:
    with structlog.testing.capture_logs() as logs:
        with begun(f"http://127.0.0.1:{closed_port()}", queue=3) as texts:
            for _ in range(50):
                texts.observe("abc")
            await until(lambda: texts._trouble._times > 3, "it is tried again and again")
        assert texts.dropped == 150
    assert [line["event"] for line in logs] == ["texts_failing"]
