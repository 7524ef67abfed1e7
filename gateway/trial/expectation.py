"""What is expected of an outcome, held against it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import JsonValue

from gateway.trial.case import Expected, pattern_of
from gateway.trial.outcome import Message, Outcome


class Mismatch(NamedTuple):
    """One thing that is other than it was to be. `what` is as the test names it; both sides are as people read them."""

    what: str
    expected: str
    got: str


def mismatches(expected: Expected, outcome: Outcome) -> list[Mismatch]:
    """All that is other than expected; of an undecidable outcome also why it is."""
    found: list[Mismatch] = []
    said = expected.model_fields_set
    plain: dict[str, Any] = {
        "decision": outcome.decision,
        "status": outcome.status,
        "reason": outcome.reason,
        "filter": outcome.filter,
        "rule": _rule(outcome),
        "route": outcome.route,
    }
    for name, got in plain.items():
        if name in said and getattr(expected, name) != got:
            found.append(Mismatch(name, _text(getattr(expected, name)), _text(got)))
    answer = outcome.answer
    if answer is None and ("headers" in said or "body" in said):
        found.append(Mismatch("answer", "an answer", "none is known: given.upstream does not say it"))
    elif answer is not None:
        found += _message("", expected.headers, expected.body, "body" in said, answer)
    if "forwarded" in said:
        found += _forwarded(expected, outcome)
    if found and outcome.undecided and expected.decision != "undecidable":
        why = "; ".join(f"{name} {because}" for name, because in outcome.undecided.items())
        found.insert(0, Mismatch("decision", "one that can be known", f"undecidable: {why}"))
    return found


def _rule(outcome: Outcome) -> str | None:
    for step in reversed(outcome.steps):
        if step.told["name"] == outcome.filter and step.told["verdict"] in ("refuse", "answer", "error"):
            rule = step.told.get("rule")
            return rule if isinstance(rule, str) else None
    return None


def _forwarded(expected: Expected, outcome: Outcome) -> Iterable[Mismatch]:
    wanted, got = expected.forwarded, outcome.forwarded
    if wanted is False or wanted is None:
        if got is not None:
            yield Mismatch("forwarded", "nothing", got.line)
        return
    if got is None:
        yield Mismatch("forwarded", "a request", f"nothing: {outcome.decision} {outcome.reason}")
        return
    request = got.line.rpartition(" ")[0]
    if wanted.request is not None and wanted.request != request:
        yield Mismatch("forwarded.request", wanted.request, request)
    yield from _message("forwarded.", wanted.headers, wanted.body, "body" in wanted.model_fields_set, got)


def _message(
    prefix: str,
    headers: Mapping[str, str | list[str] | None],
    body: JsonValue,
    has_body: bool,
    got: Message,
) -> Iterable[Mismatch]:
    for name, wanted in headers.items():
        values = [value for key, value in got.headers if key.lower() == name.lower()]
        place = f"{prefix}headers.{name}"
        if wanted is None:
            if values:
                yield Mismatch(place, "none", ", ".join(values))
        elif isinstance(wanted, list):
            if len(values) != len(wanted) or not all(map(fits, wanted, values)):
                yield Mismatch(place, _text(wanted), _text(values))
        elif len(values) != 1 or not fits(wanted, values[0]):
            yield Mismatch(place, wanted, ", ".join(values) or "none")
    if has_body:
        yield from _body(f"{prefix}body", body, got.body)


def fits(wanted: str, got: str) -> bool:
    """Whether a text is the one that is wanted, or fits the pattern between two slashes."""
    pattern = pattern_of(wanted)
    return wanted == got if pattern is None else pattern.fullmatch(got) is not None


def _body(place: str, wanted: JsonValue, got: bytes) -> Iterable[Mismatch]:
    text = got.decode("utf-8", "backslashreplace")
    if wanted is None:
        if got:
            yield Mismatch(place, "none", text)
    elif isinstance(wanted, str):
        if not fits(wanted, text):
            yield Mismatch(place, wanted, text)
    else:
        try:
            value = json.loads(got)
        except ValueError:
            yield Mismatch(place, _text(wanted), text or "none")
            return
        yield from _within(place, wanted, value)


def _within(place: str, wanted: Any, got: Any) -> Iterable[Mismatch]:
    """Where `got` lacks something of `wanted`; members that are not wanted may be there."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        for name, value in wanted.items():
            if name in got:
                yield from _within(f"{place}.{name}", value, got[name])
            else:
                yield Mismatch(f"{place}.{name}", _text(value), "none")
    elif isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
        for number, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from _within(f"{place}[{number}]", one, other)
    elif isinstance(wanted, str) and isinstance(got, str):
        if not fits(wanted, got):
            yield Mismatch(place, wanted, got)
    elif wanted != got or isinstance(wanted, bool) != isinstance(got, bool):
        yield Mismatch(place, _text(wanted), _text(got))


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)
