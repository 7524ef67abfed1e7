"""In which form a fault is written: suffix, then Accept, then JSON; and the other styles on request."""

import json
from typing import Any

import pytest

from tests.contract.answer import JSON, XML, XMLNS, made_here, passed_on
from tests.contract.deployment import LABEL, METADATA, Deploy, Deployment
from tests.support.message import Answer

BAD_METHOD = '{"badMethod": {"code": 405, "message": "Method not allowed."}}'
BAD_METHOD_XML = f'<badMethod code="405" {XMLNS}><message>Method not allowed.</message></badMethod>'
ALLOW = {"Allow": "GET, POST, PUT"}
ITEM_ALLOW = {"Allow": "DELETE, GET, PUT"}


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/json", "json"),
        ("application/xml", "xml"),
        ("application/vnd.openstack.compute+json", "json"),
        ("application/vnd.openstack.compute+xml", "xml"),
        ("*/*", "json"),
        ("text/html", "json"),
        ("text/html, application/xml;q=0.9, */*;q=0.8", "xml"),
        ("application/xml;q=0.5, application/json;q=0.6", "json"),
        ("application/xml;q=0, application/json;q=0", "json"),
        ("nonsense", "json"),
    ],
)
async def test_accept_chooses(site: Deployment, accept: str, form: str) -> None:
    answer = await site.ask("DELETE", METADATA, None, f"Accept: {accept}")
    if form == "xml":
        made_here(answer, 405, BAD_METHOD_XML, ALLOW, content_type=XML)
    else:
        made_here(answer, 405, BAD_METHOD, ALLOW, content_type=JSON)


@pytest.mark.parametrize("accept", [None, "application/json", "application/xml"])
async def test_a_suffix_wins_over_accept_and_makes_no_vary(site: Deployment, accept: str | None) -> None:
    lines = [f"Accept: {accept}"] if accept else []
    answer = await site.ask("POST", f"{LABEL}.xml", None, *lines)
    made_here(answer, 405, BAD_METHOD_XML, ITEM_ALLOW, content_type=XML, vary=False)
    answer = await site.ask("POST", f"{LABEL}.json", None, *lines)
    made_here(answer, 405, BAD_METHOD, ITEM_ALLOW, content_type=JSON, vary=False)


async def test_a_suffix_on_the_set_is_no_route_and_is_answered_in_its_form(site: Deployment) -> None:
    told = (
        f'<itemNotFound code="404" {XMLNS}><message>The resource could not be found.</message></itemNotFound>'
    )
    made_here(await site.ask("GET", f"{METADATA}.xml"), 404, told, content_type=XML, vary=False)


async def test_a_suffix_in_the_query_is_none(site: Deployment) -> None:
    made_here(await site.ask("DELETE", f"{METADATA}?a=.xml"), 405, BAD_METHOD, ALLOW)


# ---- other styles


FAULTS: dict[str, dict[str, Any]] = {
    "401": {
        "ask": {"method": "GET", "token": None},
        "status": 401,
        "title": "Unauthorized",
        "message": "The request you have made requires authentication.",
        "reason": "token_missing",
        "headers": {"WWW-Authenticate": "Keystone"},
    },
    "404": {
        "ask": {"method": "GET", "target": "/nowhere"},
        "status": 404,
        "title": "Not Found",
        "message": "The resource could not be found.",
        "reason": "route_not_found",
    },
    "405": {
        "ask": {"method": "DELETE"},
        "status": 405,
        "title": "Method Not Allowed",
        "message": "Method not allowed.",
        "reason": "method_not_allowed",
        "headers": ALLOW,
    },
    "415": {
        "ask": {"method": "POST", "body": b"{}", "content_type": "text/plain"},
        "status": 415,
        "title": "Unsupported Media Type",
        "message": "Unsupported Content-Type.",
        "details": "Accepted here: application/json, application/xml.",
        "reason": "content_type_unsupported",
        "headers": {"Accept": "application/json, application/xml"},
    },
    "413": {
        "ask": {"method": "POST", "body": b'{"metadata": {}}'},
        "status": 413,
        "title": "Content Too Large",
        "message": "This request was rate-limited.",
        "details": "Only 10 POST request(s) can be made to * every minute.",
        "reason": "rate_limited",
        "headers": {
            "Retry-After": "6",
            "RateLimit-Policy": '"writes";q=10;w=60',
            "RateLimit": '"writes";r=0;t=6',
        },
    },
}


async def refusal(site: Deployment, fault: dict[str, Any]) -> Answer:
    """The answer to what is asked last: ten writes go before, so that the limit is one request away."""
    if fault["reason"] == "rate_limited":
        for _ in range(10):
            assert (await site.ask("POST", METADATA, b'{"metadata": {}}')).status == 200
    # An Accept of XML makes no difference: these styles have one form each.
    ask = {"target": METADATA, "body": None, **fault["ask"]}
    method, target, body = ask.pop("method"), ask.pop("target"), ask.pop("body")
    return await site.ask(method, target, body, "Accept: application/xml", **ask)


def style(name: str) -> dict[str, str]:
    return {"\nfaults: compute\n": f"\nfaults: {name}\n"}


@pytest.mark.parametrize("name", FAULTS)
async def test_the_style_of_keystone(deploy: Deploy, name: str) -> None:
    fault = FAULTS[name]
    async with deploy(style("keystone")) as site:
        answer = await refusal(site, fault)
    told = {"code": fault["status"], "title": fault["title"], "message": fault["message"]}
    if "details" in fault:
        told["details"] = fault["details"]
    made_here(answer, fault["status"], json.dumps({"error": told}), fault.get("headers"), vary=False)


@pytest.mark.parametrize("name", FAULTS)
async def test_the_style_of_the_api_sig(deploy: Deploy, name: str) -> None:
    fault = FAULTS[name]
    async with deploy(style("errors")) as site:
        answer = await refusal(site, fault)
    detail = f"{fault['message']} {fault['details']}" if "details" in fault else fault["message"]
    told = {
        "request_id": answer.get("X-Openstack-Request-Id"),
        "code": f"gateway.{fault['reason']}",
        "status": fault["status"],
        "title": fault["title"],
        "detail": detail,
        "links": [{"rel": "help", "href": "https://www.rfc-editor.org/rfc/rfc9110.html#section-15"}],
    }
    made_here(answer, fault["status"], json.dumps({"errors": [told]}), fault.get("headers"), vary=False)


@pytest.mark.parametrize("name", FAULTS)
async def test_the_style_of_rfc_9457(deploy: Deploy, name: str) -> None:
    fault = FAULTS[name]
    async with deploy(style("problem")) as site:
        answer = await refusal(site, fault)
    request_id = answer.get("X-Openstack-Request-Id")
    assert request_id is not None
    detail = f"{fault['message']} {fault['details']}" if "details" in fault else fault["message"]
    told = {
        "type": "about:blank",
        "title": fault["title"],
        "status": fault["status"],
        "detail": detail,
        "instance": f"urn:uuid:{request_id.removeprefix('req-')}",
        "request_id": request_id,
        "reason": fault["reason"],
    }
    made_here(
        answer,
        fault["status"],
        json.dumps(told),
        fault.get("headers"),
        content_type="application/problem+json",
        vary=False,
    )


@pytest.mark.parametrize("name", ["keystone", "errors", "problem"])
async def test_a_style_is_the_gateways_own_and_changes_nothing_of_the_apis(deploy: Deploy, name: str) -> None:
    async with deploy(style(name)) as site:
        told = '{"itemNotFound": {"code": 404, "message": "Invalid metadata key"}}'
        passed_on(await site.ask("GET", f"{METADATA}/nothing"), 404, told, content_type=JSON)
