"""Clients ask for their limits."""

import json
import re
from datetime import datetime
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest

from filters.rate_limit import RateLimit
from gateway.api import Fault, Principal, Response
from gateway.api.testing import FrozenServices, build, exchange

WHO = Principal(user_id="u1", project_id="p1", roles=("member",))
LIMITS = [
    {
        "name": "writes",
        "rate": "10/minute",
        "key": ["project_id"],
        "methods": ["POST", "PUT"],
        "path": "/v2/{rest*}",
    },
    {"name": "all", "rate": "3/hour", "key": ["user_id"]},
    {"name": "everybody", "rate": "1000/second", "key": ["global"], "status": 503},
    {"name": "each", "rate": "5/minute", "key": ["project_id", "captures"], "path": "/v2/images/{id}"},
]


class Desk:
    def __init__(
        self, endpoint: dict[str, Any] | None = None, directory: Path | None = None, **options: Any
    ) -> None:
        self.services = FrozenServices(directory=directory)
        given = {"limits": LIMITS, "endpoint": {"path": "/v2/limits", **(endpoint or {})}, **options}
        self.filter = build(RateLimit, given, self.services)

    async def ask(
        self, method: str = "GET", target: str = "/v2/limits", principal: Principal = WHO, **headers: str
    ) -> Fault | Response | None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.exchange = exchange(
            method, target, principal=principal, headers=named, clock=self.services.now()
        )
        verdict = self.filter.on_request(self.exchange)
        return await verdict if isawaitable(verdict) else verdict

    async def answered(self, status: int, body: bytes, **headers: str) -> Any:
        self.exchange.response = Response(status, list(headers.items()), body)
        verdict = self.filter.on_response(self.exchange)
        return await verdict if isawaitable(verdict) else verdict


def told(response: Any) -> list[tuple[str, str, int, int, str]]:
    assert isinstance(response, Response)
    assert response.body.complete is not None
    rates = json.loads(response.body.complete)["limits"]["rate"]
    return [
        (rate["uri"], limit["verb"], limit["value"], limit["remaining"], limit["next-available"])
        for rate in rates
        for limit in rate["limit"]
    ]


async def test_a_limit_is_listed_by_its_uri() -> None:
    limit = {"rate": "3/hour", "key": ["user_id"], "path": "regex:/v2/[^/]+/x", "uri": "/v2/{id}/x"}
    response = await Desk(limits=[limit]).ask()
    assert isinstance(response, Response) and response.body.complete is not None
    (rate,) = json.loads(response.body.complete)["limits"]["rate"]
    assert (rate["uri"], rate["regex"]) == ("/v2/{id}/x", "/v2/[^/]+/x")


async def test_a_template_is_told_as_an_expression_that_any_client_can_read() -> None:
    limit = {"rate": "3/hour", "key": ["user_id"], "path": "/v2.1/{project_id}/os-volumes/{rest*}"}
    response = await Desk(limits=[limit]).ask()
    assert isinstance(response, Response) and response.body.complete is not None
    (rate,) = json.loads(response.body.complete)["limits"]["rate"]
    assert rate["regex"] == r"/v2\.1/[^/]+/os-volumes/.+"
    assert re.fullmatch(rate["regex"], "/v2.1/p1/os-volumes/a/b")


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/v2/limits/", "application/json"),
        ("/v2/limits.json", "application/json"),
        ("/v2/limits.xml", "application/xml"),
    ],
)
async def test_a_slash_or_a_suffix_behind_it_asks_for_the_same(target: str, kind: str) -> None:
    response = await Desk().ask(target=target)
    assert isinstance(response, Response)
    assert response.headers.get("Content-Type") == kind
    for other in ("/v2/limits//", "/v2/limits.txt", "/v2/limits.xml/"):
        assert await Desk().ask(target=other) is None
    assert await Desk({"path": "regex:/v2/limits"}).ask(target=target) is None


async def test_a_caller_is_told_of_the_limits_that_are_his() -> None:
    desk = Desk()
    now, later = "2023-11-14T22:13:20Z", "2023-11-14T22:33:20Z"
    for _ in range(2):
        await desk.ask("POST", "/v2/images")
    assert told(await desk.ask()) == [
        ("/v2/{rest*}", "POST", 10, 8, now),
        ("/v2/{rest*}", "PUT", 10, 8, now),
        ("*", "ALL", 3, 0, later),
    ]
    other = Principal(user_id="u2", project_id="p2")
    assert [line[3] for line in told(await desk.ask(principal=other))] == [10, 10, 2]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "cost", [3, {"default": 2, "methods": {"POST": 3}}, {"methods": {"PUT": 0, "POST": 3}}]
)
async def test_who_waits_until_the_next_is_available_passes_at_its_cost(cost: Any, method: str) -> None:
    limit = {"rate": "30/minute", "burst": 3, "cost": cost, "methods": ["POST", "PUT"]}
    desk = Desk(limits=[limit])
    assert await desk.ask("POST") is None
    desk.services.advance(0.5)
    (available,) = [line[4] for line in told(await desk.ask()) if line[1] == method]
    wait = datetime.fromisoformat(available).timestamp() - desk.services.now().wall
    if wait > 1.0:
        desk.services.advance(wait - 1.0)
        assert isinstance(await desk.ask(method), Fault)
        desk.services.advance(1.0)
    assert await desk.ask(method) is None


async def test_to_ask_is_counted_and_may_be_refused() -> None:
    desk = Desk()
    assert [isinstance(await desk.ask(), Response) for _ in range(3)] == [True] * 3
    fault = await desk.ask()
    assert isinstance(fault, Fault)
    assert fault.status == 413


async def test_other_methods_and_paths_go_on() -> None:
    desk = Desk()
    assert await desk.ask("PUT") is None
    assert await desk.ask("GET", "/v2/limits/more") is None
    assert isinstance(await desk.ask("HEAD"), Response)


async def test_the_terms_of_his_group_and_project_are_told(tmp_path: Path) -> None:
    (tmp_path / "terms.yaml").write_text("p1: { all: 7/hour }\np2: { all: unlimited }\n")
    desk = Desk(
        directory=tmp_path,
        overrides={"file": "terms.yaml"},
        groups=[
            {"name": "members", "for": {"roles": ["member"]}, "limits": [{"name": "g", "rate": "2/day"}]}
        ],
    )
    assert [(line[0], line[2]) for line in told(await desk.ask())][2:] == [("*", 7), ("*", 2)]
    other = Principal(user_id="u2", project_id="p2")
    assert [line[0] for line in told(await desk.ask(principal=other))] == ["/v2/{rest*}"] * 2


async def test_who_is_exempt_has_no_limits() -> None:
    assert told(await Desk(exempt={"roles": ["member"]}).ask()) == []


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/*;q=0.1", "application/json"),
        ("application/xml", "application/xml"),
        ("application/json;q=0.5, application/xml", "application/xml"),
        ("text/html, application/xml;q=0.1", "application/xml"),
        ("text/html", None),
        ("", None),
        ("application/json;q=0", None),
        ("application/json;q=0, application/xml;q=0, */*", None),
    ],
)
async def test_accept_chooses_or_is_refused(accept: str | None, kind: str | None) -> None:
    desk = Desk()
    answer = await (desk.ask() if accept is None else desk.ask(Accept=accept))
    if kind is None:
        assert isinstance(answer, Fault)
        assert (answer.status, answer.reason) == (406, "limits_unacceptable")
    else:
        assert isinstance(answer, Response)
        assert answer.headers.all("Content-Type") == [kind]


# ---- with the upstream's

UPSTREAM = b'{"limits": {"rate": [{"uri": "theirs"}], "absolute": {"maxImageMeta": 128}}}'


async def test_the_upstream_s_absolute_limits_are_kept() -> None:
    desk = Desk({"absolute": True})
    assert await desk.ask(Accept="application/xml", Accept_Encoding="gzip") is None
    assert desk.exchange.request.headers.all("Accept") == ["application/json"]
    assert not desk.exchange.request.headers.has("Accept-Encoding")
    answer = await desk.answered(
        200, UPSTREAM, **{"Content-Type": "application/json", "X-Own": "1", "ETag": '"a"'}
    )
    assert isinstance(answer, Response)
    assert answer.headers.all("Content-Type") == ["application/xml"]
    assert (answer.headers.get("X-Own"), answer.headers.get("ETag")) == ("1", None)
    assert answer.body.complete is not None
    assert b'<limit name="maxImageMeta" value="128"/>' in answer.body.complete
    assert b"theirs" not in answer.body.complete


async def test_caches_are_told_that_the_answer_depends_on_accept() -> None:
    told = await Desk().ask()
    assert isinstance(told, Response)
    assert told.headers.all("Vary") == ["Accept"]
    desk = Desk({"absolute": True})
    await desk.ask()
    merged = await desk.answered(200, UPSTREAM, Vary="Origin, accept")
    assert merged.headers.all("Vary") == ["Origin, accept"]


async def test_the_head_of_limits_says_nothing_of_the_upstream_s_body() -> None:
    desk = Desk({"absolute": True})
    assert await desk.ask("HEAD", Accept="application/xml") is None
    theirs = {"Content-Type": "application/json", "Content-Length": "77", "ETag": '"a"', "X-Own": "1"}
    assert await desk.answered(200, b"", **theirs) is None
    assert desk.exchange.response is not None
    headers = desk.exchange.response.headers
    assert [headers.get(name) for name in theirs] == ["application/xml", None, None, "1"]
    assert (headers.get("Vary"), desk.exchange.response.body.length) == ("Accept", None)


async def test_what_the_upstream_refuses_it_refuses() -> None:
    desk = Desk({"absolute": True})
    await desk.ask()
    assert await desk.answered(404, b"no") is None


@pytest.mark.parametrize("body", [b"", b"<limits/>", b"x" * (1 << 21)])
async def test_an_answer_that_holds_no_limits_is_502(body: bytes) -> None:
    desk = Desk({"absolute": True})
    await desk.ask()
    fault = await desk.answered(200, body)
    assert isinstance(fault, Fault)
    assert (fault.status, fault.reason, fault.rule) == (502, "limits_unreadable", ("endpoint", "absolute"))


@pytest.mark.parametrize(
    ("status", "kind", "merged"),
    [
        (203, "application/json; charset=utf-8", True),
        (203, "text/html", False),
        (206, "application/json", False),
        (300, "application/json", False),
    ],
)
async def test_any_success_in_json_has_the_upstream_s_limits(status: int, kind: str, merged: bool) -> None:
    desk = Desk({"absolute": True})
    assert await desk.ask() is None
    response = await desk.answered(status, UPSTREAM, **{"Content-Type": kind})
    assert isinstance(response, Response) == merged


async def test_a_blocked_project_is_promised_no_time(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("p1: { each: blocked }")
    limits = [
        {"name": "each", "rate": "5/minute", "methods": ["POST"]},
        {"name": "other", "rate": "1/hour", "methods": ["POST"]},
    ]
    desk = Desk(directory=tmp_path, limits=limits, overrides={"file": "own.yaml"})
    assert [line[2:] for line in told(await desk.ask())] == [
        (0, 0, "9999-12-31T23:59:59Z"),
        (1, 1, "2023-11-14T22:13:20Z"),
    ]
    refused = await desk.ask("POST", "/v2/images")
    assert isinstance(refused, Fault)
    assert (refused.status, refused.retry_after) == (413, None)


async def test_other_answers_are_left_alone() -> None:
    desk = Desk({"absolute": True})
    assert await desk.ask("HEAD") is None
    assert await desk.answered(200, b"") is None
    await desk.ask("GET", "/v2/images")
    assert await desk.answered(200, UPSTREAM) is None


async def test_nothing_is_remembered_of_who_has_asked() -> None:
    desk = Desk({"absolute": True})
    await desk.ask()
    assert desk.filter._asking
    for callback in desk.exchange.take_deferred():
        callback()
    assert not desk.filter._asking
