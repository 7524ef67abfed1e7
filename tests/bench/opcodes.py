"""Counts the interpreter's instructions in one exchange, by function: a cost that no busy machine can blur.

    python -m tests.bench.opcodes [--policy] [--top 30]

An exchange runs between a client and an upstream that are only byte strings, so sockets and the kernel are left out;
what remains goes with the CPU time of a whole exchange closely enough to compare two versions of the code by.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, Final

import click

from gateway.config.load import loads
from gateway.listener.connection import Connection
from gateway.listener.generation import Generation
from gateway.listener.listener import Listener
from gateway.metrics import Metrics
from gateway.plan import build_plan
from gateway.record import Record
from gateway.registry import Registry
from gateway.request_log import RequestLog
from gateway.serializer import Serializer
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.pool import Pool

TOKEN: Final = "a-token-of-the-benchmark"
REQUEST: Final = (
    b"GET /v2/images/70a599e0-31e7-49b7-b260-868f441e862b/metadata HTTP/1.1\r\n"
    b"Host: 127.0.0.1:8080\r\nX-Auth-Token: " + TOKEN.encode() + b"\r\n\r\n"
)
RESPONSE: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 24 Nov 2026 05:50:13 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 870\r\nConnection: keep-alive\r\n\r\n" + b"x" * 870
)
BARE: Final = """
upstreams: { compute: { endpoints: ["http://127.0.0.1:8774"] } }
routes: [ { name: any, path: "/{rest*}", upstream: compute } ]
"""
POLICY: Final = f"""
upstreams: {{ compute: {{ endpoints: ["http://127.0.0.1:8774"] }} }}
filters:
  - token_auth:
      providers: [ {{ static: {{ tokens: [ {{ token: {TOKEN}, user: u, user_id: i, project_id: p }} ] }} }} ]
  - rate_limit: {{ limits: [ {{ name: all, rate: 1000000000/second, burst: 1000000000, key: [project_id] }} ] }}
routes:
  - name: image-metadata
    path: /v2/images/{{image_id}}/metadata
    upstream: compute
    filters:
      - methods: {{ allow: [GET, POST, PUT] }}
      - uuid: {{ params: [image_id] }}
      - body_size: {{ max: 112KiB }}
"""
ROUNDS: Final = 64
"""Exchanges counted: two slices of the request log, so that every line is made in them."""


class _Transport:
    """Takes everything and does nothing."""

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 5) if name == "peername" else None

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None: ...
    def write(self, data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def abort(self) -> None: ...
    def close(self) -> None: ...


async def count(text: str, log_path: str | None) -> Counter[str]:
    """Instructions by function, for `ROUNDS` exchanges under the configuration `text`."""
    registry = Registry()
    plan = build_plan(loads(text, "opcodes.yaml", registry=registry), registry)
    metrics = Metrics()
    # Not started: no thread makes lines behind the count's back.
    log = RequestLog(log_path, serializer=Serializer(b"k" * 32, 0), max_size=0, max_files=1, queue=1_000_000)

    def publish(record: Record) -> None:
        metrics.observe(record)
        log.put(record)

    def report_bug(where: str, exchange: object, error: BaseException) -> None:
        raise error

    pool = Pool("compute", plan.configuration.upstreams["compute"])
    listener = Listener(Generation(plan, {"compute": pool}), publish=publish, report_bug=report_bug)
    transport: Any = _Transport()
    upstream = UpstreamConnection()
    upstream.connection_made(transport)
    upstream.keep_alive = True
    pool.endpoints[0].idle.append(upstream)
    client = Connection(listener)
    client.connection_made(transport)

    def exchange() -> None:
        client.data_received(REQUEST)
        upstream.data_received(RESPONSE)

    for _ in range(ROUNDS * 4):
        exchange()
    counts: Counter[str] = Counter()

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            counts[f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"] += 1
        return trace

    sys.settrace(trace)
    try:
        for _ in range(ROUNDS):
            exchange()
    finally:
        sys.settrace(None)
    pool.close()
    listener.wheel.close()
    return counts


@click.command()
@click.option("--policy", is_flag=True, help="With five filters and the request log.")
@click.option(
    "--top", default=30, show_default=True, type=click.IntRange(1), help="How many functions to list."
)
def main(policy: bool, top: int) -> None:
    """Count instructions per exchange, by function."""
    with tempfile.TemporaryDirectory() as directory:
        log_path = str(Path(directory) / "requests.log") if policy else None
        counts = asyncio.run(count(POLICY if policy else BARE, log_path))
    click.echo(f"{sum(counts.values()) / ROUNDS:8.0f}  all")
    for name, number in counts.most_common(top):
        click.echo(f"{number / ROUNDS:8.1f}  {name}")


if __name__ == "__main__":
    main()
