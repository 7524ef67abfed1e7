"""Parts of a request in header fields."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.extract import Extract
from gateway.api import Exchange, Fault, Verdict
from gateway.api.testing import StreamBody, build, exchange, judge
from tests.trial.tried import given as request
from tests.trial.tried import outcome

JSON = {"Content-Type": "application/json"}


def extracted(field: dict[str, Any], target: str = "/", **options: Any) -> list[str] | Verdict:
    made = exchange("POST", target, **options)
    verdict = judge(build(Extract, {"fields": [{"header": "X-Part", **field}]}), made)
    return made.request.headers.all("x-part") if verdict is None else verdict


@pytest.mark.parametrize(
    ("field", "target", "values"),
    [
        ({"path": "/v2/([^/]+)/.*"}, "/v2/p1/servers", ["p1"]),
        ({"path": "/v2/([^/]+)/.*"}, "/v3/p1/servers", []),
        ({"path": "/v2/([^/]+)/.*", "default": "none"}, "/v3/p1/servers", ["none"]),
        ({"path": "/([^/]+)/([^/]+)"}, "/a/b", ["a", "b"]),
        ({"path": "/(?:(a)|(b))"}, "/b", ["b"]),
        ({"path": "/a/.*"}, "/a/b", ["/a/b"]),
        ({"path": "/(.*)"}, "/a%20b", ["a b"]),
        ({"path": "/(.*)", "quality": 0.5}, "/a", ["a;q=0.5"]),
        ({"path": "/(.*)"}, "/" + "a" * 2048, []),
        ({"query": "id"}, "/?id=7&x=8", ["7"]),
        ({"query": "id"}, "/?%69d=a%20b+c", ["a b c"]),
        ({"query": "id"}, "/?x=1", []),
        ({"query": "id"}, "/", []),
        ({"query": "id", "default": "0"}, "/?id=", [""]),
    ],
)
def test_of_the_target(field: dict[str, Any], target: str, values: list[str]) -> None:
    assert extracted(field, target) == values


def test_of_a_path_parameter() -> None:
    assert extracted({"param": "project_id"}, params={"project_id": "p1"}) == ["p1"]
    assert extracted({"param": "project_id", "default": "none"}) == ["none"]


@pytest.mark.parametrize(
    ("field", "body", "values"),
    [
        ({"json": "$.a.b"}, b'{"a": {"b": "c"}}', ["c"]),
        ({"json": "$.a[1]"}, b'{"a": [1, 2.5]}', ["2.5"]),
        ({"json": "$..id"}, b'{"a": {"id": true}, "b": {"id": 2}}', ["true"]),
        ({"json": "$"}, b'"x"', ["x"]),
        ({"json": "$.a"}, b'{"b": 1}', []),
        ({"json": "$.a", "default": "d"}, b'{"b": 1}', ["d"]),
        ({"json": "$.a", "default": "d"}, b'{"a": {}}', ["d"]),
        ({"json": "$.a", "default": "d"}, b'{"a": null}', ["d"]),
        ({"json": "$.a", "default": "d", "default_null": "n"}, b'{"a": null}', ["n"]),
        ({"json": "$.a", "default_null": "n"}, b'{"b": null}', []),
        ({"json": "$.a", "default": "d"}, b"{", ["d"]),
        ({"json": "$.a", "default": "d"}, b"[" * 5000, ["d"]),
        ({"json": "$.a", "default": "d"}, b"", ["d"]),
    ],
)
def test_of_a_json_body(field: dict[str, Any], body: bytes, values: list[str]) -> None:
    assert extracted(field, headers=JSON, body=body) == values
    assert extracted(field, headers=JSON, body=StreamBody([body[:3], body[3:]])) == values


def test_text_beyond_latin_1_is_sent_as_utf_8() -> None:
    values = extracted({"json": "$.a"}, headers=JSON, body='{"a": "ключ"}'.encode())
    assert isinstance(values, list)
    assert values[0].encode("latin-1").decode() == "ключ"


def test_a_body_that_is_no_json_is_not_read() -> None:
    body = StreamBody([b'{"a": 1}'])
    assert extracted({"json": "$.a"}, headers={"Content-Type": "text/plain"}, body=body) == []
    assert body.complete is None


@pytest.mark.parametrize(
    ("field", "target", "body", "reason"),
    [
        ({"path": "/(.*)"}, "/a%0D%0AX-Admin:%201", b"", "extract_unfit"),
        ({"query": "id"}, "/?id=%00", b"", "extract_unfit"),
        ({"json": "$.a"}, "/", b'{"a": "b\\r\\nX-Admin: 1"}', "extract_unfit"),
        ({"query": "id"}, "/?id=1&id=2", b"", "extract_ambiguous"),
        ({"json": "$.a"}, "/", b'{"a": 1, "a": 2}', "extract_ambiguous"),
        ({"json": "$.a"}, "/", b'{"a": 1, "b": {"c": 1, "\\u0063": 2}}', "extract_ambiguous"),
    ],
)
def test_what_cannot_travel_or_is_there_twice_is_refused(
    field: dict[str, Any], target: str, body: bytes, reason: str
) -> None:
    verdict = extracted(field, target, headers=JSON, body=body)
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason) == (400, reason)
    assert verdict.rule[:2] == ("fields", 0)


@pytest.mark.parametrize(
    "body", [bytes(200 << 10), StreamBody([bytes(200 << 10)]), StreamBody([], 200 << 10)]
)
def test_a_large_body_is_not_read(body: Any) -> None:
    verdict = extracted({"json": "$.a"}, headers=JSON, body=body)
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.rule) == (413, "body_too_large", ("max_size",))


@given(st.text())
def test_whatever_text_is_found_it_travels_or_is_refused_and_never_is_two_lines(text: str) -> None:
    import json

    body = json.dumps({"a": text}).encode()
    values = extracted({"json": "$.a"}, headers=JSON, body=body)
    if isinstance(values, list):
        assert all("\r" not in value and "\n" not in value and "\0" not in value for value in values)
    else:
        assert isinstance(values, Fault)


@pytest.mark.parametrize(
    "field",
    [
        {"header": "X-A"},
        {"header": "X-A", "param": "a", "query": "b"},
        {"header": "Host", "param": "a"},
        {"header": "X A", "param": "a"},
        {"header": "X-A", "json": "a.b"},
        {"header": "X-A", "path": "/(a*)*"},
        {"header": "X-A", "param": "a", "default_null": "x"},
        {"header": "X-A", "param": "a", "default": "a\nb"},
    ],
)
def test_options_that_do_not_fit_are_refused(field: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        build(Extract, {"fields": [field]})


async def test_a_clients_own_field_is_stripped_in_every_spelling() -> None:
    filters = [{"extract": {"fields": [{"header": "X-Tenant", "path": "/v2/([^/]+)/.*"}]}}]
    headers = (("X-Tenant", "root"), ("x_tenant", "root"))
    found = await outcome(request(target="/v2/p1/x", headers=headers), filters=filters)
    assert found.forwarded is not None
    assert [line for line in found.forwarded.headers if "enant" in line[0]] == [("X-Tenant", "p1")]
    found = await outcome(request(target="/other", headers=headers), filters=filters)
    assert found.forwarded is not None
    assert [line for line in found.forwarded.headers if "enant" in line[0]] == []


def test_several_fields_are_set_in_their_order() -> None:
    fields = [{"header": "X-A", "path": "/(.*)"}, {"header": "X-B", "query": "b"}]
    made: Exchange = exchange(target="/a?b=c")
    assert judge(build(Extract, {"fields": fields}), made) is None
    assert list(made.request.headers) == [(b"X-A", b"a"), (b"X-B", b"c")]
