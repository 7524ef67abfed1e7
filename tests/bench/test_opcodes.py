"""The counter of instructions runs a whole exchange, and counts the same each time."""

import asyncio
from pathlib import Path

from tests.bench.opcodes import BARE, POLICY, ROUNDS, count


def test_an_exchange_is_counted_by_function() -> None:
    counts = asyncio.run(count(BARE, None))
    assert counts["gateway.listener.handler.Handler.begin_again"] > 0
    assert counts["gateway.upstream.connection.UpstreamConnection.data_received"] > 0
    assert not any(name.startswith("filters.") for name in counts)


def test_a_policy_costs_its_filters_and_its_lines(tmp_path: Path) -> None:
    bare = sum(asyncio.run(count(BARE, None)).values())
    counts = asyncio.run(count(POLICY, str(tmp_path / "requests.log")))
    assert counts["filters.uuid.UUID.on_request"] % ROUNDS == 0
    assert counts["gateway.serializer.Serializer._line"] > 0
    assert sum(counts.values()) > bare
