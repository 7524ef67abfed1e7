import json
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.verdict import Fault, Response
from gateway.faults import FAULT_NAMES, NAMESPACE, Renderer

REQUEST_ID = "req-00000000-0000-4000-8000-00000000000a"
CLOCK = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def render(
    fault: Fault, style: str = "compute", path: str = "/v2/p/images", accept: tuple[str, ...] = ()
) -> Response:
    return Renderer(style).render(fault, path=path, accept=accept, request_id=REQUEST_ID, clock=CLOCK)


def text(response: Response) -> str:
    assert response.body.complete is not None
    return response.body.complete.decode("utf-8")


def body(fault: Fault, style: str = "compute") -> Any:
    return json.loads(text(render(fault, style)))


RATE = Fault(
    413,
    "rate_limited",
    "This request was rate-limited.",
    details="Only 10 POST request(s) can be made to * every minute.",
    retry_after=6,
    rule=("limits", 2),
)


def test_the_rate_limit_fault_in_json_to_the_letter() -> None:
    response = render(RATE)
    assert text(response) == (
        '{"overLimit": {"code": 413, "message": "This request was rate-limited.", '
        '"details": "Only 10 POST request(s) can be made to * every minute.", '
        '"retryAfter": "6", "retryAt": "2023-11-14T22:13:26Z"}}'
    )
    assert list(response.headers) == [
        (b"Content-Type", b"application/json; charset=UTF-8"),
        (b"Vary", b"Accept"),
        (b"Retry-After", b"6"),
    ]


def test_the_rate_limit_fault_in_xml_to_the_letter() -> None:
    response = render(RATE, path="/v2/p/images.xml")
    assert text(response) == (
        '<overLimit code="413" retryAfter="6" xmlns="http://docs.openstack.org/compute/api/v1.1">'
        "<message>This request was rate-limited.</message>"
        "<details>Only 10 POST request(s) can be made to * every minute.</details></overLimit>"
    )
    assert list(response.headers) == [
        (b"Content-Type", b"application/xml; charset=UTF-8"),
        (b"Retry-After", b"6"),
    ]


def test_plain_faults_to_the_letter() -> None:
    scram = Fault(400, "malformed_request", "scram")
    assert text(render(scram)) == '{"badRequest": {"code": 400, "message": "scram"}}'
    assert text(render(scram, accept=("application/xml",))) == (
        '<badRequest code="400" xmlns="http://docs.openstack.org/compute/api/v1.1"><message>scram</message></badRequest>'
    )
    sorry = Fault(413, "rate_limited", "sorry", retry_after=4)
    assert text(render(sorry, accept=("application/xml",))) == (
        '<overLimit code="413" xmlns="http://docs.openstack.org/compute/api/v1.1">'
        "<message>sorry</message><retryAfter>4</retryAfter></overLimit>"
    )


def test_a_body_that_is_too_large_says_nothing_of_a_retry() -> None:
    response = render(Fault(413, "body_too_large", "Request body is too large.", details="At most 9 bytes."))
    assert json.loads(text(response)) == {
        "overLimit": {"code": 413, "message": "Request body is too large.", "details": "At most 9 bytes."}
    }
    assert not response.headers.has("Retry-After")


def test_a_retry_after_of_zero_is_said() -> None:
    response = render(Fault(413, "rate_limited", "Over quota.", retry_after=0))
    assert json.loads(text(response))["overLimit"]["retryAfter"] == "0"
    assert response.headers.get("Retry-After") == "0"


@pytest.mark.parametrize(
    ("status", "name"),
    [
        *FAULT_NAMES.items(),
        *((status, "computeFault") for status in (406, 408, 411, 414, 431, 500, 502, 504, 508, 499)),
    ],
)
def test_the_status_names_the_root(status: int, name: str) -> None:
    fault = Fault(status, "answered", "m")
    assert body(fault) == {name: {"code": status, "message": "m"}}
    root = ET.fromstring(text(render(fault, path="/x.xml")))
    assert root.tag == f"{{{NAMESPACE}}}{name}"
    assert root.attrib == {"code": str(status)}


def test_the_names_are_those_of_the_contract() -> None:
    assert FAULT_NAMES == {
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


def test_the_response_carries_the_faults_headers_reason_and_rule() -> None:
    fault = Fault(405, "method_not_allowed", "No.", rule=("allow",), headers=(("Allow", "GET, POST"),))
    response = render(fault)
    assert (response.status, response.reason, response.rule) == (405, "method_not_allowed", ("allow",))
    assert response.headers.all("allow") == ["GET, POST"]


def test_retry_after_is_one_line() -> None:
    fault = Fault(
        503, "upstream_unavailable", "No.", headers=(("retry-after", "9"), ("X-A", "b")), retry_after=2
    )
    assert render(fault).headers.all("Retry-After") == ["2"]
    assert render(fault).headers.all("X-A") == ["b"]
    fault.retry_after = None
    assert render(fault).headers.all("Retry-After") == ["9"]


def test_vary_is_said_only_where_accept_could_matter() -> None:
    fault = Fault(404, "route_not_found", "m")
    assert render(fault).headers.get("Vary") == "Accept"
    assert render(fault, accept=("application/xml",)).headers.get("Vary") == "Accept"
    assert render(fault, path="/x.json").headers.get("Vary") is None
    for style in ("keystone", "errors", "problem"):
        assert render(fault, style).headers.get("Vary") is None


@pytest.mark.parametrize("style", ["keystone", "errors", "problem"])
def test_the_other_styles_have_no_xml(style: str) -> None:
    response = render(Fault(404, "route_not_found", "m"), style, "/x.xml", ("application/xml",))
    assert json.loads(text(response))
    assert "json" in str(response.headers.get("Content-Type"))


def test_keystone_style() -> None:
    assert text(render(Fault(401, "token_missing", "The request carries no token."), "keystone")) == (
        '{"error": {"code": 401, "title": "Unauthorized", "message": "The request carries no token."}}'
    )
    assert body(RATE, "keystone")["error"] == {
        "code": 413,
        "title": "Content Too Large",
        "message": RATE.message,
        "details": RATE.details,
    }


def test_errors_style() -> None:
    assert body(RATE, "errors") == {
        "errors": [
            {
                "request_id": REQUEST_ID,
                "code": "gateway.rate_limited",
                "status": 413,
                "title": "Content Too Large",
                "detail": f"{RATE.message} {RATE.details}",
                "links": [{"rel": "help", "href": "https://www.rfc-editor.org/rfc/rfc9110.html#section-15"}],
            }
        ]
    }
    assert render(RATE, "errors").headers.get("Retry-After") == "6"


def test_problem_style() -> None:
    response = render(Fault(499, "answered", "m"), "problem")
    assert response.headers.get("Content-Type") == "application/problem+json"
    assert json.loads(text(response)) == {
        "type": "about:blank",
        "title": "Client Error",
        "status": 499,
        "detail": "m",
        "instance": "urn:uuid:00000000-0000-4000-8000-00000000000a",
        "request_id": REQUEST_ID,
        "reason": "answered",
    }


def test_an_unknown_style_is_an_error() -> None:
    with pytest.raises(ValueError, match="keystone"):
        Renderer("xml")


def test_json_is_ascii_and_xml_is_escaped_utf_8() -> None:
    fault = Fault(400, "json_invalid", 'ž <a href="x"> & %(seconds)b \x00\ud800\uffff\x0b.')
    assert text(render(fault)).isascii()
    assert body(fault)["badRequest"]["message"] == fault.message
    written = text(render(fault, path="/x.xml"))
    assert "<message>ž &lt;a href=&quot;x&quot;&gt; &amp; %(seconds)b .</message>" in written


def test_one_renderer_keeps_apart_what_differs() -> None:
    renderer = Renderer("errors")
    fault = Fault(404, "route_not_found", "m")
    for request_id in ("req-1", "req-2"):
        made = renderer.render(fault, path="/", accept=(), request_id=request_id, clock=CLOCK)
        assert json.loads(text(made))["errors"][0]["request_id"] == request_id
    renderer = Renderer("compute")
    seen = {
        text(renderer.render(made, path=path, accept=(), request_id=REQUEST_ID, clock=CLOCK + late))
        for made in (
            fault,
            Fault(400, "a", "m"),
            Fault(404, "a", "n"),
            Fault(404, "a", "m", details="d"),
            RATE,
        )
        for path in ("/", "/x.xml")
        for late in (0, 1)
    }
    # Five faults in two formats, and the one with an instant in it differs by the second in JSON.
    assert len(seen) == 11


def test_an_answer_is_edited_without_a_trace_on_the_next() -> None:
    renderer = Renderer("compute")
    first, second = (
        renderer.render(Fault(404, "a", "m"), path="/", accept=(), request_id=REQUEST_ID, clock=CLOCK)
        for _ in "ab"
    )
    first.headers.add("X-A", "1")
    first.headers.remove("Vary")
    assert not second.headers.has("X-A")
    assert second.headers.has("Vary")


def test_retry_after_may_be_a_date_for_those_who_know_no_seconds() -> None:
    fault = Fault(413, "rate_limited", "No.", details="Only 1.", retry_after=6, retry_date=True)
    response = Renderer("compute").render(
        fault, path="/", accept=(), request_id=REQUEST_ID, clock=CLOCK + 0.25
    )
    assert response.headers.all("Retry-After") == ["Tue, 14 Nov 2023 22:13:27 GMT"]
    inner = json.loads(text(response))["overLimit"]
    assert (inner["retryAfter"], inner["retryAt"]) == ("6", "2023-11-14T22:13:27Z")


def test_header_fields_that_differ_each_time_cost_no_new_form() -> None:
    renderer = Renderer("compute")
    for number in range(100):
        made = renderer.render(
            Fault(413, "a", "m", headers=(("X-Left", str(number)),)),
            path="/",
            accept=(),
            request_id=REQUEST_ID,
            clock=CLOCK,
        )
        assert made.headers.get("X-Left") == str(number)
    assert len(renderer._memo) == 1


def test_the_memo_is_bounded() -> None:
    renderer = Renderer("compute")
    for number in range(2000):
        renderer.render(Fault(404, "a", f"{number}"), path="/", accept=(), request_id=REQUEST_ID, clock=CLOCK)
    renderer.render(Fault(404, "a", "x" * 10_000), path="/", accept=(), request_id=REQUEST_ID, clock=CLOCK)
    assert len(renderer._memo) <= 512
    assert all(len(form.body) <= 4096 for form in renderer._memo.values())


def test_the_instant_of_a_retry_is_never_too_early() -> None:
    made = Renderer("compute").render(RATE, path="/", accept=(), request_id=REQUEST_ID, clock=CLOCK + 0.25)
    assert json.loads(text(made))["overLimit"]["retryAt"] == "2023-11-14T22:13:27Z"


TEXT = st.text(max_size=30) | st.text("%()sbd{}<&>\"'\\secondsat", max_size=30)


@given(st.integers(400, 599), TEXT, st.none() | TEXT, st.none() | st.integers(0, 10**6))
def test_both_formats_say_what_the_fault_says(
    status: int, message: str, details: str | None, retry_after: int | None
) -> None:
    fault = Fault(status, "answered", message, details=details, retry_after=retry_after)
    ((name, inner),) = body(fault).items()
    assert inner["message"] == message
    assert inner.get("details", "") == (details or "")
    assert inner.get("retryAfter") == (None if retry_after is None else str(retry_after))
    root = ET.fromstring(text(render(fault, path="/x.xml")))
    assert root.tag == f"{{{NAMESPACE}}}{name}"
    spelled = root.findtext(f"{{{NAMESPACE}}}message") or ""
    assert [char for char in spelled if char > "\x7f"] == [
        char
        for char in message
        if char > "\x7f" and not 0xD800 <= ord(char) < 0xE000 and char not in "\ufffe\uffff"
    ]
    wait = root.get("retryAfter") or root.findtext(f"{{{NAMESPACE}}}retryAfter")
    assert wait == (None if retry_after is None else str(retry_after))


@given(st.sampled_from(["keystone", "errors", "problem"]), TEXT, st.none() | TEXT)
def test_every_style_holds_the_message(style: str, message: str, details: str | None) -> None:
    made = body(Fault(403, "address_denied", message, details=details), style)
    whole = f"{message} {details}" if details else message
    if style == "keystone":
        assert made["error"]["message"] == message
        assert made["error"].get("details", "") == (details or "")
    else:
        assert (made["errors"][0] if style == "errors" else made)["detail"] == whole
