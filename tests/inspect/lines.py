"""A request log of a few lines."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.serializer import Serializer
from tests.support.records import ALICE, Entry, attempt, record, refused, step

_SERIALIZER = Serializer(b"key", 0)


def line(number: int, **changes: Any) -> dict[str, Any]:
    """The fields of a record, with an id of its own."""
    made = refused if "filter" in changes else record
    told = made(request_id=f"req-{number:08d}-0000-4000-8000-000000000000", **changes)
    fields: dict[str, Any] = json.loads(_SERIALIZER.line(told, number))
    return fields


RECORDS: Sequence[Mapping[str, Any]] = (
    line(1, principal=ALICE, attempts=[attempt()], wall=1_700_000_000.25),
    line(2, principal=ALICE, reason="method_not_allowed", filter="methods", status=405, wall=1_700_000_060.0),
    line(
        3,
        method="POST",
        target=b"/v2/p-2/images/7/metadata?a=%27",
        attempts=[attempt(status=503, total=0.004), attempt(total=0.0035)],
        wall=1_700_003_600.5,
    ),
    line(
        4, status=0, decision="abort", reason="client_disconnected", target=b"/100%25_b", route_template=None
    ),
    line(
        5,
        target=b"/a'b",
        steps=[step(Entry("rate_limit", mode="shadow"), "refuse", "rate_limited", status=413)],
    ),
)


def write(path: Path, records: Iterable[Mapping[str, Any]], *, odd: bool = True) -> None:
    """A log with these records, and with lines between them that are none where `odd`."""
    lines = [json.dumps(record) for record in records]
    if odd:
        lines[1:1] = [
            '{"kind": "plan", "timestamp": "2023-11-14T22:13:20.250Z"}',
            '{"kind": "mark", "timestamp": "2023-11-14T22:13:20.250Z", "gateway.worker": 0, "gateway.workers": [0], "gateway.sequence": 1}',
            '{"kind": "end", "timestamp": "2023-11-14T22:13:20.250Z", "gateway.worker": 0, "gateway.sequence": 1}',
            "garbage",
            '{"kind": "req',
            "[1]",
            "",
        ]
    path.write_text("".join(f"{line}\n" for line in lines))
