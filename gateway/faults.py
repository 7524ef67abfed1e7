"""Writes a refusal in the form that the clients of a compute API parse: JSON or XML, in one of four styles.

compute    {"itemNotFound": {"code": 404, "message": "..."}}, and the same as XML
keystone   {"error": {"code": 404, "title": "Not Found", "message": "..."}}
errors     {"errors": [{"request_id": "...", "code": "gateway.route_not_found", ...}]}, of the API-SIG
problem    application/problem+json (RFC 9457)
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from http import HTTPStatus
from time import gmtime
from typing import Any, Final, NamedTuple

from gateway.api.body import Body
from gateway.api.verdict import Fault, Response
from gateway.http.date import http_date
from gateway.http.fields import Fields, RawField, encoded
from gateway.http.negotiation import fault_format

FAULT_NAMES: Final[dict[int, str]] = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}
"""Status -> root of the body. Every other status has `OTHER_FAULT`."""

OTHER_FAULT: Final = "computeFault"

NAMESPACE: Final = "http://docs.openstack.org/compute/api/v1.1"

_VARY: Final = (b"Vary", b"Accept")

_MEMO_MAX = 512
_MEMO_BODY_MAX = 4096


class _Form(NamedTuple):
    """A fault written once.

    `body` is the body itself, or where `varies` is set a template with places for what differs from one
    exchange to the next: %(seconds)b, %(at)b, %(request_id)b, %(uuid)b.
    """

    lines: tuple[RawField, ...]
    body: bytes
    varies: bool


class Renderer:
    """Renders faults in one style; what two faults have in common is written once and kept."""

    def __init__(self, style: str) -> None:
        if style not in _STYLES:
            raise ValueError(f"expected one of {', '.join(_STYLES)}, got {style!r}")
        self.style = style
        self._negotiates = style == "compute"
        self._memo: dict[tuple[object, ...], _Form] = {}

    def render(
        self, fault: Fault, *, path: str, accept: Sequence[str], request_id: str, clock: float
    ) -> Response:
        """The answer to the client.

        `path` and the values of `accept` choose the format; `clock` is the present moment, in seconds since
        the epoch. Fields that every answer has (Via, ids, Date, Content-Length) are left to the caller.
        """
        written_as, depends = fault_format(path, accept) if self._negotiates else (self.style, False)
        retry_after = fault.retry_after
        key = (
            fault.status,
            fault.reason,
            fault.message,
            fault.details,
            retry_after is None,
            written_as,
            depends,
        )
        form = self._memo.get(key) or self._written(key, fault, written_as, depends)
        lines, body, varies = form
        if fault.headers:
            # Retry-After is a singleton, and `retry_after` is where a fault says it.
            lines += tuple(
                [
                    encoded(name, value)
                    for name, value in fault.headers
                    if retry_after is None or name.lower() != "retry-after"
                ]
            )
        if retry_after is not None:
            seconds_or_date = (
                http_date(math.ceil(clock) + retry_after) if fault.retry_date else b"%d" % retry_after
            )
            lines = (*lines, (b"Retry-After", seconds_or_date))
        if varies:
            seconds = retry_after or 0
            body %= {
                b"seconds": b"%d" % seconds,
                b"at": _instant(math.ceil(clock) + seconds),
                b"request_id": request_id.encode("latin-1"),
                b"uuid": request_id.removeprefix("req-").encode("latin-1"),
            }
        return Response(fault.status, Fields(lines), Body(body), reason=fault.reason, rule=fault.rule)

    def _written(self, key: tuple[object, ...], fault: Fault, written_as: str, depends: bool) -> _Form:
        write, content_type = _WRITERS[written_as]
        lines: list[RawField] = [(b"Content-Type", content_type)]
        if depends:
            lines.append(_VARY)
        template = write(fault).encode("utf-8")
        varies = _PLACE.search(template) is not None
        form = _Form(tuple(lines), template if varies else template % {}, varies)
        if len(form.body) <= _MEMO_BODY_MAX:
            if len(self._memo) >= _MEMO_MAX:
                self._memo.clear()
            self._memo[key] = form
        return form


_PLACE = re.compile(rb"(?<!%)(?:%%)*%\(")


@lru_cache(maxsize=64)
def _instant(second: int) -> bytes:
    """ISO 8601 in UTC, as xsd:dateTime."""
    year, month, day, hour, minute, sec, *_ = gmtime(second)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{sec:02}Z".encode()


def _name(fault: Fault) -> str:
    return FAULT_NAMES.get(fault.status, OTHER_FAULT)


# RFC 9110 renamed these; which name the standard library has depends on its version.
_RENAMED = {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}


def _title(status: int) -> str:
    if status in _RENAMED:
        return _RENAMED[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Error" if status < 500 else "Server Error"


def _literal(text: str) -> str:
    """Text to stand in a template as it is."""
    return text.replace("%", "%%")


def _whole(fault: Fault) -> str:
    return _literal(f"{fault.message} {fault.details}" if fault.details else fault.message)


# The writers: each returns a template in which every "%" of the fault's own text is doubled.


def _compute_json(fault: Fault) -> str:
    inner: dict[str, Any] = {"code": fault.status, "message": _literal(fault.message)}
    if fault.details:
        inner["details"] = _literal(fault.details)
    if fault.retry_after is not None:
        # Seconds, as text, is what clients parse; an instant under another name is what the schema has.
        inner["retryAfter"] = "%(seconds)b"
        inner["retryAt"] = "%(at)b"
    return json.dumps({_name(fault): inner})


def _compute_xml(fault: Fault) -> str:
    name, attribute, element = _name(fault), "", ""
    if fault.retry_after is not None and fault.details:
        attribute = ' retryAfter="%(seconds)b"'  # the form of Nova's rate-limit fault
    elif fault.retry_after is not None:
        element = "<retryAfter>%(seconds)b</retryAfter>"  # the form of its plain faults
    details = f"<details>{_xml_text(fault.details)}</details>" if fault.details else ""
    return (
        f'<{name} code="{fault.status}"{attribute} xmlns="{NAMESPACE}">'
        f"<message>{_xml_text(fault.message)}</message>{details}{element}</{name}>"
    )


# XML 1.0 section 2.2: what is left out here cannot stand in a document, escaped or not.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"})


def _xml_text(text: str) -> str:
    return _literal(_NOT_XML.sub("", text).translate(_XML_ESCAPES))


def _keystone(fault: Fault) -> str:
    inner: dict[str, Any] = {
        "code": fault.status,
        "title": _title(fault.status),
        "message": _literal(fault.message),
    }
    if fault.details:
        inner["details"] = _literal(fault.details)
    return json.dumps({"error": inner})


def _errors(fault: Fault) -> str:
    return json.dumps(
        {
            "errors": [
                {
                    "request_id": "%(request_id)b",
                    "code": _literal(f"gateway.{fault.reason}"),
                    "status": fault.status,
                    "title": _title(fault.status),
                    "detail": _whole(fault),
                    # The schema asks for a link of help: what the status means.
                    "links": [
                        {"rel": "help", "href": "https://www.rfc-editor.org/rfc/rfc9110.html#section-15"}
                    ],
                }
            ]
        }
    )


def _problem(fault: Fault) -> str:
    return json.dumps(
        {
            "type": "about:blank",  # RFC 9457 section 4.2.1: the title is then the status phrase
            "title": _title(fault.status),
            "status": fault.status,
            "detail": _whole(fault),
            "instance": "urn:uuid:%(uuid)b",
            "request_id": "%(request_id)b",
            "reason": _literal(fault.reason),
        }
    )


_WRITERS: Final[dict[str, tuple[Callable[[Fault], str], bytes]]] = {
    "json": (_compute_json, b"application/json; charset=UTF-8"),
    "xml": (_compute_xml, b"application/xml; charset=UTF-8"),
    "keystone": (_keystone, b"application/json; charset=UTF-8"),
    "errors": (_errors, b"application/json; charset=UTF-8"),
    "problem": (_problem, b"application/problem+json"),
}

_STYLES: Final = ("compute", "keystone", "errors", "problem")
