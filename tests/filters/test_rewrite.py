"""Another path for the upstream, and Location turned back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.rewrite import Rewrite
from gateway.api import Exchange, Fault, Response
from gateway.api.testing import build, exchange, judge, judge_response
from gateway.trial.given import Answer
from tests.trial.tried import given as request
from tests.trial.tried import outcome

Options = dict[str, Any]


def sent(target: str, options: Options, **headers: str) -> Exchange:
    made = exchange(target=target, headers=headers)
    assert judge(build(Rewrite, options), made) is None
    assert made.target == target.encode("latin-1")
    return made


@pytest.mark.parametrize(
    ("options", "target", "after"),
    [
        ({"strip_prefix": "/compute"}, "/compute/v2/x?y=1", "/v2/x?y=1"),
        ({"strip_prefix": "/compute"}, "/compute", "/"),
        ({"strip_prefix": "/compute"}, "/compute/", "/"),
        ({"strip_prefix": "/compute"}, "/computer/x", "/computer/x"),
        ({"strip_prefix": "/compute"}, "/c%6Fmpute/x%20y", "/x%20y"),
        ({"strip_prefix": "/compute"}, "/x/compute", "/x/compute"),
        ({"strip_prefix": "/a/b"}, "/a/b/c", "/c"),
        ({"strip_prefix": "/a/b"}, "/a", "/a"),
        ({"add_prefix": "/v2.1"}, "/x", "/v2.1/x"),
        ({"add_prefix": "/v2.1"}, "/", "/v2.1/"),
        ({"strip_prefix": "/compute", "add_prefix": "/v2.1"}, "/compute", "/v2.1"),
        ({"strip_prefix": "/compute", "add_prefix": "/v2.1"}, "/compute/x", "/v2.1/x"),
        ({"drop_segment": 1}, "/v2/p1/servers", "/v2/servers"),
        ({"drop_segment": 0}, "/p1", "/"),
        ({"drop_segment": 1}, "/v2/", "/v2/"),
        ({"drop_segment": 9}, "/v2/p1", "/v2/p1"),
        ({"drop_segment": 1, "strip_prefix": "/a/c"}, "/a/b/c/d", "/d"),
        ({"suffixes": {"json": "application/json"}}, "/x.json?a", "/x?a"),
        ({"suffixes": {"json": "application/json"}}, "/x.JSON", "/x"),
        ({"suffixes": {"json": "application/json"}}, "/.json", "/.json"),
        ({"suffixes": {"json": "application/json"}}, "/x.json/y", "/x.json/y"),
        ({"suffixes": {"json": "application/json"}}, "/x.foo", "/x.foo"),
        ({"suffixes": {"1": "text/plain"}}, "/x.y.1", "/x.y"),
        ({"strip_prefix": "/a", "suffixes": {"json": "application/json"}}, "/a", "/"),
    ],
)
def test_the_upstream_is_sent_another_path(options: Options, target: str, after: str) -> None:
    assert sent(target, options).outgoing == after.encode()


def test_a_suffix_asks_for_its_type_whatever_accept_was() -> None:
    made = sent("/x.xml", {"suffixes": {"xml": "application/xml"}}, Accept="text/html")
    assert made.request.headers.all("accept") == ["application/xml"]


@pytest.mark.parametrize(
    ("accept", "after"),
    [
        (None, "application/xml"),
        ("*/*", "application/xml"),
        ("text/html", "text/html"),
        ("*/*;q=0.1", "*/*;q=0.1"),
    ],
)
def test_without_a_suffix_the_preferred_type_is_asked_for(accept: str | None, after: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    made = sent("/x", {"preferred": "application/xml"}, **headers)
    assert made.request.headers.all("accept") == [after]
    assert made.outgoing == b"/x"


def test_the_asterisk_form_is_left_alone() -> None:
    assert sent("*", {"add_prefix": "/a", "suffixes": {"json": "application/json"}}).outgoing == b"*"


def test_two_of_them_go_on_from_each_other() -> None:
    made = sent("/a/b/c", {"strip_prefix": "/a"})
    assert judge(build(Rewrite, {"strip_prefix": "/b"}), made) is None
    assert made.outgoing == b"/c"


@pytest.mark.parametrize("target", ["/a//evil.example/x", "/a/../x", "/a/%2e%2e", "/a/b%2fc"])
def test_what_was_let_through_as_odd_is_not_sent_in_another_form(target: str) -> None:
    verdict = judge(build(Rewrite, {"strip_prefix": "/a"}), exchange(target=target))
    assert isinstance(verdict, Fault)
    assert (verdict.status, verdict.reason, verdict.rule) == (400, "target_ambiguous", ("strip_prefix",))


def turned(
    options: Options, location: str, target: str = "/compute/x", field: str = "Location", **more: Any
) -> str:
    made = exchange(target=target, response=Response(201, [(field, location)]), scheme="https", **more)
    assert judge_response(build(Rewrite, options), made) is None
    assert made.response is not None
    value = made.response.headers.get(field)
    assert value is not None
    return value


MOVED = {
    "strip_prefix": "/compute",
    "add_prefix": "/v2.1",
    "location_hosts": ["nova:8774", "plain.internal"],
}


@pytest.mark.parametrize(
    ("location", "after"),
    [
        ("/v2.1/servers/1?a=b#c", "/compute/servers/1?a=b#c"),
        ("/v2.1", "/compute"),
        ("/v2.1/", "/compute/"),
        ("/other", "/other"),
        ("/v2.10/x", "/v2.10/x"),
        ("http://api.test/v2.1/servers/1", "http://api.test/compute/servers/1"),
        ("http://API.test:80/v2.1/x", "http://API.test:80/compute/x"),
        ("http://nova:8774/v2.1/x?y", "https://api.test/compute/x?y"),
        ("http://plain.internal:80/v2.1/x", "https://api.test/compute/x"),
        ("http://nova:8774/other", "http://nova:8774/other"),
        ("http://foreign.example/v2.1/x", "http://foreign.example/v2.1/x"),
        ("http://nova:8774.evil.example/v2.1/x", "http://nova:8774.evil.example/v2.1/x"),
        ("http://nova:8774@evil.example/v2.1/x", "http://nova:8774@evil.example/v2.1/x"),
        ("//evil.example/v2.1/x", "//evil.example/v2.1/x"),
        ("servers/1", "servers/1"),
        ("?next", "?next"),
        ("", ""),
        ("urn:x", "urn:x"),
    ],
)
def test_location_is_turned_back_where_it_is_about_us(location: str, after: str) -> None:
    assert turned(MOVED, location) == after


def test_the_segment_that_was_dropped_comes_back() -> None:
    assert turned({"drop_segment": 1}, "/v2/servers/7", "/v2/p%201/servers") == "/v2/p%201/servers/7"
    assert turned({"drop_segment": 0}, "/", "/p1") == "/p1/"
    assert turned({"drop_segment": 3}, "/v2/x", "/v2/p1") == "/v2/x"


def test_where_nothing_was_stripped_nothing_comes_back() -> None:
    assert turned({"strip_prefix": "/compute"}, "/servers/1", "/image/x") == "/servers/1"


def test_content_location_too_and_none_where_it_is_off() -> None:
    assert turned(MOVED, "/v2.1/x", field="Content-Location") == "/compute/x"
    assert turned(MOVED | {"location": False}, "/v2.1/x") == "/v2.1/x"


segment = st.text("abc", min_size=1, max_size=3)


@given(st.lists(segment, min_size=1), st.lists(segment), st.integers(0, 3))
def test_a_location_that_names_what_the_upstream_got_names_what_the_client_asked(
    prefix: list[str], rest: list[str], place: int
) -> None:
    options = {"strip_prefix": "/" + "/".join(prefix), "add_prefix": "/v9"}
    target = "/" + "/".join([*prefix, *rest])
    assert turned(options, sent(target, options).outgoing.decode(), target) == target
    dropped = {"drop_segment": place}
    assert turned(dropped, sent(target, dropped).outgoing.decode(), target).rstrip("/") == target


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strip_prefix": "compute"},
        {"strip_prefix": "/"},
        {"strip_prefix": "/a/"},
        {"strip_prefix": "/{id}"},
        {"add_prefix": "/a/../b"},
        {"add_prefix": "/a?b"},
        {"suffixes": {".json": "application/json"}},
        {"suffixes": {"json": "json"}},
        {"drop_segment": -1},
    ],
)
def test_options_that_do_not_fit_are_refused(options: Options) -> None:
    with pytest.raises(ValueError):
        build(Rewrite, options)


async def test_filters_behind_it_judge_by_the_path_that_was_received() -> None:
    filters = [
        {"rewrite": {"strip_prefix": "/compute", "location_hosts": ["upstream.invalid:1"]}},
        {"rbac": {"rows": [{"path": "/compute/{rest*}", "roles": "any"}]}},
    ]
    answer = Answer(201, (("Location", "http://upstream.invalid:1/servers/1"),), b"")
    found = await outcome(request(target="/compute/servers?a=%20", answer=answer), filters=filters)
    assert found.forwarded is not None
    assert found.forwarded.line == "GET /servers?a=%20 HTTP/1.1"
    assert found.answer is not None
    location = dict(found.answer.headers)["Location"]
    assert location.endswith("/compute/servers/1")
    assert "upstream.invalid" not in location


@given(
    st.sampled_from(["http", "https", "HTTP"]),
    st.text("apitesnova.:8774@x-", max_size=24),
    st.sampled_from(["", "/v2.1", "/v2.1/x?y", "?y", "#z"]),
)
def test_a_location_at_another_host_is_left_alone(scheme: str, authority: str, rest: str) -> None:
    ours = {"api.test", "api.test:80", "api.test:443", "nova:8774", "plain.internal"}
    location = f"{scheme}://{authority}{rest}"
    after = turned(MOVED, location)
    if authority not in ours:
        assert after == location
