"""pydantic's errors in plain words: one table, and the choice of one error where a value could be several things."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import ErrorDetails

from gateway.api.verdict import Rule

# What was expected, for the errors that say a value is of the wrong kind altogether.
_KINDS = {
    "string_type": "text",
    "string_sub_type": "text",
    "is_instance_of": "text",
    "bytes_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "decimal_type": "a number",
    "decimal_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "iterable_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "none_required": "null",
    "string_pattern_mismatch": "text that matches {pattern}",
    "ip_any_address": "an IP address",
    "ip_v4_address": "an IPv4 address",
    "ip_v6_address": "an IPv6 address",
    "ip_any_network": "a network such as 10.0.0.0/8",
    "ip_v4_network": "a network such as 10.0.0.0/8",
    "ip_v6_network": "a network such as fd00::/8",
    "datetime_type": "a date and time such as 2030-01-31T12:00:00Z",
    "datetime_parsing": "a date and time such as 2030-01-31T12:00:00Z",
    "datetime_from_date_parsing": "a date and time such as 2030-01-31T12:00:00Z",
    "timezone_aware": "a date and time with its zone, such as 2030-01-31T12:00:00Z",
    "date_type": "a date such as 2030-01-31",
    "date_parsing": "a date such as 2030-01-31",
    "date_from_datetime_parsing": "a date such as 2030-01-31",
    "url_parsing": "a URL",
    "url_type": "a URL",
    "uuid_parsing": "a UUID",
    "uuid_type": "a UUID",
}

# Errors that no bare "expected" says.
_SENTENCES = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "string_unicode": "is not Unicode text",
    "string_too_long": "must be at most {max_length} characters long",
}

_QUOTED = re.compile(r"'([^']*)'")


class Failure(NamedTuple):
    """One error, located in the raw values.

    path      where it is
    code      a stable word for the kind
    message   in plain words, without the value that was given
    got       whether "got ..." makes the message clearer
    expected  for a value of the wrong kind: what was expected
    unions    places on the way where the model offers alternatives, and which one this error is of
    """

    path: Rule
    code: str
    message: str
    got: bool = False
    expected: str | None = None
    unions: tuple[tuple[int, str], ...] = ()


def failures(
    errors: Iterable[ErrorDetails], raw: Any, base: Rule, keys: Mapping[Rule, set[str]]
) -> list[Failure]:
    """The errors of one validation of `raw`, whose place is `base`; `keys` are those each mapping may have."""
    found = []
    for error in errors:
        if error["type"] == "too_short" and len(error["input"]) >= error["ctx"]["min_length"]:
            continue  # long enough as written: its items failed, and each says so itself
        path, unions = _located(error, raw, base)
        found.append(_translated(error, path, unions, keys))
    return _settled(found)


def _located(error: ErrorDetails, raw: Any, base: Rule) -> tuple[Rule, tuple[tuple[int, str], ...]]:
    """pydantic's `loc` names alternatives between real keys: told apart by walking along the value."""
    path = base
    unions = []
    loc = error["loc"]
    for place, part in enumerate(loc):
        last = place == len(loc) - 1
        in_list = isinstance(raw, list) and isinstance(part, int) and 0 <= part < len(raw)
        if in_list or (isinstance(raw, dict) and isinstance(part, str) and part in raw):
            raw = raw[part]
        elif not (last and error["type"] in ("missing", "extra_forbidden")):
            if part != "[key]":
                unions.append((len(path), str(part)))
            continue
        path = (*path, part)
    return path, tuple(unions)


def _translated(
    error: ErrorDetails, path: Rule, unions: tuple[tuple[int, str], ...], keys: Mapping[Rule, set[str]]
) -> Failure:
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "missing":
        return Failure(path[:-1], "missing_key", f"missing required key {path[-1]!r}", unions=unions)
    if kind == "extra_forbidden":
        near = did_you_mean(str(path[-1]), keys.get(path[:-1], ()))
        return Failure(path, "unknown_key", f"unknown key {path[-1]!r}{near}", unions=unions)
    if kind in _KINDS:
        expected = _KINDS[kind].format(**context)
        return Failure(path, "type", f"expected {expected}", True, expected, unions)
    if kind in ("literal_error", "enum"):
        known = str(context.get("expected", ""))
        expected = f"one of {known}" if len(_QUOTED.findall(known)) != 1 else known
        return Failure(path, "value", f"expected {expected}", True, expected, unions)
    if kind == "union_tag_invalid":
        expected = f"one of {context['expected_tags']}"
        return Failure(
            path,
            "value",
            f"{str(context['discriminator']).strip(chr(39))}: expected {expected}",
            unions=unions,
        )
    if kind == "union_tag_not_found":
        return Failure(path, "missing_key", f"missing required key {context['discriminator']}", unions=unions)
    return Failure(path, "value", _sentence(kind, context, error["msg"]), unions=unions)


def _sentence(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind in _SENTENCES:
        return _SENTENCES[kind].format(**{name: _plain(value) for name, value in context.items()})
    if kind in ("value_error", "assertion_error"):
        return _lines(str(context.get("error", message))) or "is not valid"
    if kind in ("too_short", "string_too_short"):
        least, unit = context["min_length"], "items" if kind == "too_short" else "characters"
        return "must not be empty" if least == 1 else f"must have at least {least} {unit}"
    if kind == "too_long":
        return f"must have at most {context['max_length']} items"
    return _lines(message.replace("Input should", "should"))


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _lines(text: str) -> str:
    return " ".join(text.split())


def _settled(found: list[Failure]) -> list[Failure]:
    """One error, or one set of errors, for each value that could be several things.

    The alternatives that are of another kind than the value say nothing about it; where all are, the error
    names them all.
    """
    settled = [failure for failure in found if not failure.unions]
    places: dict[Rule, dict[str, list[Failure]]] = {}
    for failure in found:
        if failure.unions:
            length, label = failure.unions[0]
            place = places.setdefault(failure.path[:length], {})
            place.setdefault(label, []).append(failure._replace(unions=failure.unions[1:]))
    for path, alternatives in places.items():
        fitting = [group for group in alternatives.values() if not _all_of_another_kind(group, path)]
        if fitting:
            settled += _settled(min(fitting, key=len))
        else:
            flat = [failure for group in alternatives.values() for failure in group]
            expected = list(dict.fromkeys(failure.expected for failure in flat if failure.expected))
            settled.append(Failure(path, flat[0].code, f"expected {' or '.join(expected)}", True))
    return settled


def _all_of_another_kind(group: list[Failure], path: Rule) -> bool:
    return all(failure.path == path and failure.expected is not None for failure in group)


def shown(value: Any) -> str:
    """A value as a message may show it."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"{value[:57]!r}..."
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)) and len(number := repr(value)) <= 40:
        return number
    return kind_of(value)


def kind_of(value: Any) -> str:
    """The kind of a value, for a message that must not show it."""
    if value is None:
        return "nothing"
    kinds: tuple[tuple[Any, str], ...] = (
        (str, "text"),
        (bool, "true or false"),
        ((int, float), "a number"),
        (list, "a list"),
        (dict, "a mapping"),
    )
    return next((word for kind, word in kinds if isinstance(value, kind)), "something else")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'limit'?)`, or nothing when no known word is near."""
    near: Sequence[str] = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""
