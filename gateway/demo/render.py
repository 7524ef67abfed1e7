"""Metadata and faults as bytes, in JSON as Nova writes it and in the XML of the v1.1 and v2 API.

Which of the two is the client's choice by Accept (RFC 9110 section 12.5.1); JSON when it has none that we
know. The vendor types `application/vnd.openstack.compute+json` and `+xml` choose the same two forms.
"""

import enum
import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

NAMESPACE: Final = "http://docs.openstack.org/compute/api/v1.1"

FAULT_NAMES: Final = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    503: "serviceUnavailable",
}


class Form(enum.Enum):
    JSON = "application/json"
    XML = "application/xml"


_OFFERS: Final = (
    ("application/json", Form.JSON),
    ("application/vnd.openstack.compute+json", Form.JSON),
    ("application/xml", Form.XML),
    ("application/vnd.openstack.compute+xml", Form.XML),
)
_WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def negotiated(accept: Iterable[str]) -> Form:
    """The form that the lines of Accept weigh highest; of equals, and when none fits, JSON."""
    weights = _weights(accept)
    best, best_weight = Form.JSON, 0.0
    for name, form in _OFFERS:
        for media_range in (name, "application/*", "*/*"):  # the most specific range counts
            if media_range in weights:
                if weights[media_range] > best_weight:
                    best, best_weight = form, weights[media_range]
                break
    return best


def _weights(accept: Iterable[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for member in ",".join(accept).split(","):
        media_range, *parameters = (part.strip().lower() for part in member.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name == "q":
                weight = float(value) if _WEIGHT.fullmatch(value) else 0.0
        weights[media_range] = weight
    return weights


def metadata(items: Mapping[str, str], form: Form) -> bytes:
    """The whole set: the answer to the operations on `metadata`."""
    if form is Form.JSON:
        return _json({"metadata": dict(items)})
    if not items:
        return _xml(f'<metadata xmlns="{NAMESPACE}"/>')
    lines = "".join(
        f'  <meta key="{_escaped(key)}">{_escaped(value)}</meta>\n' for key, value in items.items()
    )
    return _xml(f'<metadata xmlns="{NAMESPACE}">\n{lines}</metadata>')


def meta(key: str, value: str, form: Form) -> bytes:
    """One item: the answer to the operations on `metadata/{key}`."""
    if form is Form.JSON:
        return _json({"meta": {key: value}})
    return _xml(f'<meta xmlns="{NAMESPACE}" key="{_escaped(key)}">{_escaped(value)}</meta>')


def fault(status: int, message: str, retry_after: int | None, form: Form) -> bytes:
    """A fault under the name that its status has; `retry_after` is shown with overLimit only, as in Nova."""
    name = FAULT_NAMES.get(status, "computeFault")
    shown = str(retry_after) if retry_after is not None and name == "overLimit" else None
    if form is Form.JSON:
        members: dict[str, object] = {"code": status, "message": message}
        if shown is not None:
            members["retryAfter"] = shown
        return _json({name: members})
    wait = f"<retryAfter>{shown}</retryAfter>" if shown is not None else ""
    return (
        f'<{name} code="{status}" xmlns="{NAMESPACE}"><message>{_escaped(message)}</message>{wait}</{name}>'
    ).encode()


def _json(value: object) -> bytes:
    return json.dumps(value).encode("ascii")


def _xml(root: str) -> bytes:
    return f"<?xml version='1.0' encoding='UTF-8'?>\n{root}\n".encode()


# XML 1.0 section 2.2: what is outside this range cannot be written in a document, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A bare CR would be read back as LF (XML 1.0 section 2.11).
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"})


def _escaped(text: str) -> str:
    return _ILLEGAL.sub("", text).translate(_ESCAPES)
