"""The fields by which one trace goes through many services: W3C Trace Context, traceparent and tracestate.

A `traceparent` that is no valid one says nothing, and then `tracestate` says nothing either (sections 3.2 and 3.3); a
`tracestate` that is no valid one is dropped alone.
"""

import os
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

MAX_MEMBERS: Final = 32
"""Members of a tracestate; one with more is no valid one (section 3.3.1.1)."""

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MEMBER = re.compile(
    rb"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    rb"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_NO_TRACE: Final = b"0" * 32
_NO_SPAN: Final = b"0" * 16
_SAMPLED: Final = 1

_IDS_PER_BLOCK: Final = 256


class Parent(NamedTuple):
    """The span that a request was sent from; ids in lower-case hexadecimal digits, 32 and 16."""

    trace_id: str
    span_id: str
    sampled: bool


def parse_parent(value: bytes) -> Parent | None:
    """A traceparent; None for one that is not valid.

    Of a version to come only what it shares with version 00 is read, and no more may stand behind that than a
    dash sets apart (section 3.2.4).
    """
    match = _PARENT.fullmatch(value.strip(b" \t"))
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Parent(trace_id.decode("ascii"), span_id.decode("ascii"), int(flags, 16) & _SAMPLED != 0)


def parse_state(values: Iterable[bytes]) -> bytes:
    """The lines of a tracestate as one list, in order; empty when there is nothing in them, or one member is not valid."""
    members = [member for value in values for part in value.split(b",") if (member := part.strip(b" \t"))]
    if len(members) > MAX_MEMBERS:
        return b""
    keys: set[bytes] = set()
    for member in members:
        match = _MEMBER.fullmatch(member)
        if match is None or match[1] in keys:
            return b""
        keys.add(match[1])
    return b",".join(members)


def parent_line(trace_id: str, span_id: str, sampled: bool) -> bytes:
    """A traceparent as it goes on the wire, with its end. Of the flags none but `sampled` is ours to set."""
    return f"traceparent: 00-{trace_id}-{span_id}-{'01' if sampled else '00'}\r\n".encode("ascii")


class SpanIds:
    """A source of ids of spans and traces from blocks of entropy.

    Each process makes its own: two that share a block after a fork would give the same ids.
    """

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy
        self._ready: list[str] = []

    def span(self) -> str:
        """16 digits that were not given before."""
        ready = self._ready
        if not ready:
            self._refill()
        return ready.pop()

    def trace(self) -> str:
        """32 digits that were not given before; any of them is as random as another."""
        return self.span() + self.span()

    def _refill(self) -> None:
        digits = self._entropy(8 * _IDS_PER_BLOCK).hex()
        nothing = _NO_SPAN.decode("ascii")
        for start in range(0, len(digits), 16):
            id = digits[start : start + 16]
            self._ready.append(id if id != nothing else f"{1:016x}")
