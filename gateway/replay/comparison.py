"""Holds two answers against each other, but for what differs each time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.api.json_path import Path, places

VOLATILE: Final = frozenset(
    (
        *("age", "connection", "content-length", "date", "keep-alive", "server-timing", "set-cookie"),
        *("transfer-encoding", "via", "x-compute-request-id", "x-openstack-request-id"),
    )
)
"""Header fields that are other in each answer."""
MOST: Final = 20
"""Differences of two bodies that are told."""


class Answer(NamedTuple):
    """headers have lower-case names; None where they are not known. So is a body."""

    status: int
    headers: Mapping[str, str] | None
    body: bytes | None


class Difference(NamedTuple):
    """One thing that is other. `what` is status, a header field, or a place in the body."""

    what: str
    before: str
    after: str


def differences(
    before: Answer, after: Answer, *, headers: frozenset[str] = VOLATILE, paths: Sequence[Path] = ()
) -> list[Difference]:
    """What is other, but for the header fields `headers`, and for what stands at `paths` in JSON."""
    found: list[Difference] = []
    if before.status != after.status:
        found.append(Difference("status", str(before.status), str(after.status)))
    if before.headers is not None and after.headers is not None:
        for name in sorted({*before.headers, *after.headers} - headers):
            one, other = before.headers.get(name, ""), after.headers.get(name, "")
            if one != other:
                found.append(Difference(name, one, other))
    if before.body is not None and after.body is not None and before.body != after.body:
        found += _bodies(before.body, after.body, paths)
    return found


def _bodies(before: bytes, after: bytes, paths: Sequence[Path]) -> list[Difference]:
    try:
        one, other = json.loads(before), json.loads(after)
    except (ValueError, RecursionError):
        return [Difference("body", f"{len(before)} bytes", f"{len(after)} other bytes")]
    for path in paths:
        for root in ([one], [other]):
            for container, key in places(root, path):
                container[key] = None
    found: list[Difference] = []
    try:
        for difference in _values("$", one, other):
            found.append(difference)
            if len(found) >= MOST:
                break
    except RecursionError:
        return [Difference("body", "nested too deep", "nested too deep")]
    return found


def _values(place: str, one: Any, other: Any) -> Iterator[Difference]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            if name not in other:
                yield Difference(f"{place}.{name}", _text(one[name]), "none")
            elif name not in one:
                yield Difference(f"{place}.{name}", "none", _text(other[name]))
            else:
                yield from _values(f"{place}.{name}", one[name], other[name])
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _values(f"{place}[{number}]", left, right)
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield Difference(place, _text(one), _text(other))


def _text(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
