"""A record as one readable line, for people at a terminal.

    12:00:00.250  DELETE /v2/p/images   405  methods: method_not_allowed       0.3 ms  req-...

What a client wrote is escaped before it is shown: a path must not be able to move the cursor, change colours
or turn the direction of the text. The time is UTC, as in the log.
"""

from collections.abc import Mapping
from typing import Any, Final

_RESET: Final = "\x1b[0m"
_DIM: Final = "\x1b[2m"
_COLOURS: Final = {0: "\x1b[35m", 1: "\x1b[36m", 2: "\x1b[32m", 3: "\x1b[36m", 4: "\x1b[33m", 5: "\x1b[31m"}


def line(fields: Mapping[str, Any], *, colour: bool) -> str:
    """One line, without its end, of a record's fields; what is missing shows as a dash."""
    time = printable(_text(fields, "timestamp"))[11:23]
    method = printable(_text(fields, "http.request.method_original") or _text(fields, "http.request.method"))
    path = printable(_text(fields, "url.path"))
    if query := _text(fields, "url.query"):
        path = f"{path}?{printable(query)}"
    status = fields.get("http.response.status_code")
    status = status if isinstance(status, int) else 0
    duration = fields.get("gateway.duration_ms")
    elapsed = f"{duration:.1f} ms" if isinstance(duration, (int, float)) else "-"
    request_id = printable(_text(fields, "gateway.request_id"))
    shown = f"{status:>3}" if status else "---"
    if colour:
        paint = _COLOURS.get(status // 100, _COLOURS[5])
        shown, time, request_id = (
            f"{paint}{shown}{_RESET}",
            f"{_DIM}{time}{_RESET}",
            f"{_DIM}{request_id}{_RESET}",
        )
    return f"{time}  {method or '-':<6} {path or '-':<48} {shown}  {decision(fields):<34} {elapsed:>9}  {request_id}"


def decision(fields: Mapping[str, Any]) -> str:
    """Who decided and why, and what a filter in shadow mode would have decided instead."""
    reason = printable(_text(fields, "gateway.reason")) or "-"
    name = printable(_text(fields, "gateway.filter"))
    told = f"{name}: {reason}" if name else reason
    upstream = printable(_text(fields, "gateway.upstream.address"))
    if upstream and not name:
        told = f"{told} -> {upstream}"
    for step in steps(fields):
        if step.get("shadow") and step.get("verdict") in ("refuse", "answer"):
            would = f"{_text(step, 'name')}: {step.get('status', '-')} {_text(step, 'reason')}"
            told = f"{told} (shadow {printable(would)})"
    return told


def steps(fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The filters' parts in the exchange, as far as they are what they should be."""
    found = fields.get("gateway.filters")
    return [step for step in found if isinstance(step, Mapping)] if isinstance(found, list) else []


def printable(text: str) -> str:
    """`text` with everything that does not print escaped, as in a Python literal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
