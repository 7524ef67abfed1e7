"""An outcome for people, and for programs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.console import printable
from gateway.http.secret import is_secret_header
from gateway.redaction import Redaction
from gateway.trial.outcome import Judged, Message, Outcome

MOST: Final = 2000
"""Bytes of a body that are shown."""
MOST_ROUTES: Final = 8
"""Routes that are shown beside the one that takes the request."""


class Line(NamedTuple):
    """One line of a report. `style` is what it is about: good, bad, doubtful, dim, or nothing of these."""

    text: str
    style: str = ""


class Sources:
    """The lines of a configuration, to be shown beside what they decide."""

    def __init__(self, text: bytes) -> None:
        self._lines = text.decode("utf-8", "replace").splitlines()

    def line(self, source: str) -> str:
        """The line at `file:line:column`; empty for a place that is none."""
        _, _, rest = source.rpartition(":")[0].rpartition(":")
        if not rest.isdigit() or not 0 < int(rest) <= len(self._lines):
            return ""
        return printable(self._lines[int(rest) - 1].strip())


def as_text(outcome: Outcome, sources: Sources, redaction: Redaction) -> Iterator[Line]:
    """The way of a request, from its route to what both sides see."""
    yield _verdict(outcome)
    yield Line("")
    yield Line("route", "title")
    yield from _routes(outcome)
    if outcome.steps:
        yield Line("filters", "title")
        for number, step in enumerate(outcome.steps, 1):
            yield from _step(number, step, sources, redaction)
    if outcome.forwarded is not None:
        yield Line(
            f"the upstream gets{', if all that is undecidable passes' if outcome.undecided else ''}", "title"
        )
        yield from _message(outcome.forwarded, redaction)
    yield Line("the client gets", "title")
    if outcome.answer is not None:
        yield from _message(outcome.answer, redaction)
    elif outcome.undecided:
        yield Line("  that depends on what cannot be decided", "doubtful")
    else:
        yield Line("  what the upstream answers; say what that is to see what filters make of it", "dim")


def _verdict(outcome: Outcome) -> Line:
    record = outcome.record
    asked = f"{record['http.request.method']} {record['url.path']}"
    if outcome.undecided:
        names = ", ".join(outcome.undecided)
        told = f"undecidable: {names}"
        if record.get("gateway.filter") is not None:
            told += f"; if that passes: {record.get('http.response.status_code')} {record['gateway.reason']}"
            told += f" by {record['gateway.filter']}"
        return Line(printable(f"{asked}  {told}"), "doubtful")
    parts = [str(outcome.status) if outcome.status is not None else "", outcome.decision, outcome.reason]
    if outcome.filter is not None:
        parts += [f"by {outcome.filter}", str(record.get("gateway.source", ""))]
    passed = outcome.decision == "forward" or (outcome.status or 0) < 400
    return Line(printable(f"{asked}  {'  '.join(filter(None, parts))}"), "good" if passed else "bad")


def _routes(outcome: Outcome) -> Iterator[Line]:
    if not outcome.record["url.path"]:
        yield Line("  none was looked for: the request is malformed", "bad")
        return
    others = list(outcome.routes)
    if outcome.route is not None:
        taken = others.pop(0)
        yield Line(printable(f"  {taken.name}  {taken.template}  {taken.source}"))
        for name, value in outcome.params.items():
            yield Line(printable(f"    {name} = {value}"), "dim")
    else:
        yield Line("  none", "bad")
    for other in others[:MOST_ROUTES]:
        yield Line(printable(f"  not {other.name}  {other.template}: {other.because}"), "dim")
    if len(others) > MOST_ROUTES:
        yield Line(f"  and {len(others) - MOST_ROUTES} others", "dim")


_STYLES: Final = {"refuse": "bad", "error": "bad", "answer": "good", "undecided": "doubtful", "skip": "dim"}


def _step(number: int, step: Judged, sources: Sources, redaction: Redaction) -> Iterator[Line]:
    told = step.told
    verdict = "undecidable" if step.undecided else str(told["verdict"])
    parts = [
        f"{number:>3} {told['name']}" + (f" ({told['type']})" if told["type"] != told["name"] else ""),
        "on the answer" if told["phase"] == "response" else "",
        "in shadow" if told["mode"] == "shadow" else "",
        " ".join(filter(None, (verdict, str(told.get("status", ""))))),
        str(told.get("reason", "")) if not step.undecided else step.undecided,
        str(told["source"]),
    ]
    style = "doubtful" if step.undecided else _STYLES.get(verdict, "")
    yield Line(printable("  ".join(filter(None, parts))), style)
    text = sources.line(str(told["source"]))
    if text:
        yield Line(f"      | {text}", "dim")
    if step.supposed:
        yield Line(f"      {step.supposed}", "dim")
    if not step.undecided:
        for name, fact in (told.get("facts") or {}).items():
            if name == "cells":
                labels = ", ".join(f"{cell[0]} (cost {cell[2]})" for cell in fact)
                yield Line(printable(f"      counted by {labels}"), "dim")
            elif name != "instant":
                yield Line(printable(f"      {name}: {_plain(fact)}"), "dim")
    for kind, name, value in step.changes:
        mark = {"added": "+", "removed": "-"}.get(kind, "=")
        yield Line(printable(f"      {mark} {name}: {_shown(name, value, redaction)}"))


def _message(message: Message, redaction: Redaction) -> Iterator[Line]:
    yield Line(printable(f"  {message.line}"))
    for name, value in message.headers:
        yield Line(printable(f"  {name}: {_shown(name, value, redaction)}"))
    if message.body:
        yield Line("")
        text = message.body[:MOST].decode("utf-8", "backslashreplace")
        for line in text.splitlines():
            yield Line(printable(f"  {line}"))
        if len(message.body) > MOST:
            yield Line(f"  and {len(message.body) - MOST} bytes more", "dim")


_CHALLENGES: Final = frozenset(("www-authenticate", "proxy-authenticate"))


def _shown(name: str, value: str, redaction: Redaction) -> str:
    lower = name.lower()
    secret = (is_secret_header(lower) or redaction.is_secret_header(lower)) and lower not in _CHALLENGES
    return "[redacted]" if secret else value


def _plain(fact: object) -> str:
    if isinstance(fact, Mapping):
        return ", ".join(f"{name} {_plain(value)}" for name, value in fact.items())
    if isinstance(fact, (list, tuple)):
        return ", ".join(_plain(item) for item in fact)
    return str(fact)


def as_json(outcome: Outcome, redaction: Redaction) -> dict[str, Any]:
    """All of it, with the names that records have."""
    return {
        "decision": outcome.decision,
        "reason": outcome.reason,
        "status": outcome.status,
        "filter": outcome.filter,
        "source": outcome.record.get("gateway.source") if not outcome.undecided else None,
        "undecidable": dict(outcome.undecided),
        "route": outcome.route,
        "params": dict(outcome.params),
        "routes": [route._asdict() for route in outcome.routes],
        "filters": [
            {
                **({**step.told, "verdict": "undecidable"} if step.undecided else step.told),
                "because": step.undecided or None,
                "supposed": step.supposed or None,
                "changes": [
                    {**change._asdict(), "value": _shown(change.name, change.value, redaction)}
                    for change in step.changes
                ],
            }
            for step in outcome.steps
        ],
        "forwarded": _message_fields(outcome.forwarded, redaction),
        "answer": _message_fields(outcome.answer, redaction),
    }


def _message_fields(message: Message | None, redaction: Redaction) -> dict[str, Any] | None:
    if message is None:
        return None
    headers: Sequence[Sequence[str]] = [
        [name, _shown(name, value, redaction)] for name, value in message.headers
    ]
    return {
        "line": message.line,
        "headers": headers,
        "body": message.body.decode("utf-8", "backslashreplace"),
    }
