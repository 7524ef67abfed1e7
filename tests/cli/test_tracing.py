"""Traces of `weir run` as a process, and what is left of them when it ends."""

import asyncio
import json
import signal
import urllib.request
from pathlib import Path

import pytest
import yaml

from tests.cli.process import weir
from tests.support.otlp import Receiver
from tests.support.upstream import Upstream, closed_port, echo

TRACE = "12345678901234567890123456789012"
SPAN = "1234567890123456"


def written(directory: Path, upstream: str, collector: str, **options: object) -> Path:
    path = directory / "gateway.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "listen": "127.0.0.1:0",
                "admin": "127.0.0.1:0",
                "upstreams": {"compute": {"endpoints": [upstream]}},
                "filters": [{"methods": {"allow": ["GET"]}}],
                "routes": [{"name": "any", "path": "/{rest*}", "upstream": "compute"}],
                "log": {"path": "requests.log"},
                "tracing": {"endpoint": collector, "headers": {"Api-Key": "sesame-open-wide"}},
                **options,
            }
        )
    )
    return path


def asked(url: str) -> int:
    request = urllib.request.Request(url, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        status: int = response.status
        return status


async def test_a_process_tells_the_collector_of_every_exchange_before_it_ends(tmp_path: Path) -> None:
    with Receiver() as receiver:
        async with Upstream(echo) as upstream:
            path = written(tmp_path, upstream.url, receiver.url)
            async with weir("run", path, directory=tmp_path) as process:
                listening = await process.listens()
                for _ in range(3):
                    assert await asyncio.to_thread(asked, f"{listening.url}/images") == 200
                process.signal(signal.SIGTERM)
                assert await process.ends() == 0
                assert "sesame-open-wide" not in process.stdout + process.stderr
        servers = [span for span in receiver.spans if span.kind == "server"]
        clients = [span for span in receiver.spans if span.kind == "client"]
        assert len(servers) == len(clients) == 3
        assert {span.trace_id for span in receiver.spans} == {TRACE}
        assert {span.parent for span in servers} == {SPAN}
        assert {span.parent for span in clients} == {span.span_id for span in servers}
        assert [event["gateway.filter.name"] for span in servers for _, _, event in span.events] == [
            "methods"
        ] * 3
        assert {resource["service.name"] for resource in receiver.resources} == {"weir"}
        assert {fields["Api-Key"] for _, fields in receiver.requests} == {"sesame-open-wide"}
        records = [
            fields
            for line in (tmp_path / "requests.log").read_text().splitlines()
            if (fields := json.loads(line))["kind"] == "request"
        ]
        assert {record["span_id"] for record in records} == {span.span_id for span in servers}
        upstreams = {
            request.get("traceparent") for told in upstream.conversations for request in told.requests
        }
        assert upstreams == {f"00-{TRACE}-{span.span_id}-01" for span in clients}


@pytest.mark.parametrize("hung", [True, False])
async def test_a_collector_that_does_not_answer_holds_up_neither_requests_nor_the_end(
    tmp_path: Path, hung: bool
) -> None:
    with Receiver() as receiver:
        receiver.gate.clear()
        collector = receiver.url if hung else f"http://127.0.0.1:{closed_port()}"
        async with Upstream(echo) as upstream:
            path = written(tmp_path, upstream.url, collector, workers=1)
            async with weir("run", path, directory=tmp_path) as process:
                listening = await process.listens()
                for _ in range(3):
                    assert await asyncio.to_thread(asked, f"{listening.url}/images") == 200
                if not hung:
                    await process.prints("traces_failing", to="stderr")
                process.signal(signal.SIGTERM)
                assert await process.ends() == 0
                assert process.stderr.count("traces_failing") == (0 if hung else 1)
