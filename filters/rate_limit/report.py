"""What a client is told when it asks for its limits: the documents of the compute API's GET /limits, and of Repose's.

`rate` are the limits that the gateway counts, `absolute` are the upstream's own, whatever they are. In XML the names are
those of http://docs.openstack.org/common/api/v1.0, and rates stand in `rates`, which is left out where there are none.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from xml.sax.saxutils import quoteattr

MAX_BODY: Final = 1 << 20
"""Bytes of an upstream's answer."""

NEVER: Final = 253_402_300_799
"""Said where no time is promised: clients must find one. The last second that can be written."""

Absolute = Mapping[str, Any]

_NAMESPACES: Final = (
    'xmlns:atom="http://www.w3.org/2005/Atom" xmlns="http://docs.openstack.org/common/api/v1.0"'
)
_NO_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class RateLine(NamedTuple):
    """Where a caller stands with one limit, for one verb or ALL of them.

    next_available  second of the wall clock from which one request more passes, at its cost
    """

    uri: str
    regex: str
    verb: str
    value: int
    remaining: int
    unit: str
    next_available: float


def absolute_of(body: bytes) -> Absolute:
    """The absolute limits of an upstream's answer, as they stand there. Raises ValueError."""
    try:
        limits = json.loads(body)["limits"]
        absolute = limits.get("absolute", {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError("not a document of limits") from None
    if not isinstance(absolute, dict):
        raise ValueError("not a document of limits")
    values = absolute.get("values")
    return values if isinstance(values, dict) and len(absolute) == 1 else absolute


def as_json(lines: Sequence[RateLine], absolute: Absolute) -> bytes:
    rates = [
        {
            "uri": uri,
            "regex": regex,
            "limit": [
                {
                    "verb": line.verb,
                    "value": line.value,
                    "remaining": line.remaining,
                    "unit": line.unit,
                    "next-available": _instant(line.next_available),
                }
                for line in group
            ],
        }
        for (uri, regex), group in _grouped(lines).items()
    ]
    return json.dumps({"limits": {"rate": rates, "absolute": absolute}}).encode()


def as_xml(lines: Sequence[RateLine], absolute: Absolute) -> bytes:
    """Absolute limits that are neither numbers nor texts cannot stand here, and are left out."""
    parts = [f"<?xml version='1.0' encoding='UTF-8'?>\n<limits {_NAMESPACES}>"]
    groups = _grouped(lines)
    if groups:
        parts.append("<rates>")
        for (uri, regex), group in groups.items():
            parts.append(f"<rate uri={_quoted(uri)} regex={_quoted(regex)}>")
            for line in group:
                told = {
                    "verb": line.verb,
                    "value": line.value,
                    "remaining": line.remaining,
                    "unit": line.unit,
                    "next-available": _instant(line.next_available),
                }
                parts.append(f"<limit {_attributes(told)}/>")
            parts.append("</rate>")
        parts.append("</rates>")
    parts.append("<absolute>")
    for name, value in absolute.items():
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            parts.append(f"<limit {_attributes({'name': name, 'value': value})}/>")
    parts.append("</absolute></limits>")
    return "".join(parts).encode("utf-8", "xmlcharrefreplace")


def _grouped(lines: Sequence[RateLine]) -> dict[tuple[str, str], list[RateLine]]:
    groups: dict[tuple[str, str], list[RateLine]] = {}
    for line in lines:
        groups.setdefault((line.uri, line.regex), []).append(line)
    return groups


def _instant(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _attributes(values: Mapping[str, object]) -> str:
    return " ".join(f"{name}={_quoted(str(value))}" for name, value in values.items())


def _quoted(text: str) -> str:
    return quoteattr(_NO_XML.sub("\ufffd", text))
