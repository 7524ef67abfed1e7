"""404, 405, 409 and 415: what is not there, not possible, not possible now, and not understood."""

import pytest

from gateway.demo.sample import SAMPLE_PROJECT, SAVING_IMAGE, UNKNOWN_IMAGE
from tests.contract.answer import JSON, XML, XMLNS, made_here, passed_on
from tests.contract.deployment import IMAGE, LABEL, METADATA, Deploy, Deployment, request
from tests.support.client import chunked

NO_ROUTE = '{"itemNotFound": {"code": 404, "message": "The resource could not be found."}}'
NO_METHOD = '{"badMethod": {"code": 405, "message": "Method not allowed."}}'
NO_TYPE = (
    '{"badMediaType": {"code": 415, "message": "Unsupported Content-Type.", '
    '"details": "Accepted here: application/json, application/xml."}}'
)
SET_ALLOWS = {"Allow": "GET, POST, PUT"}
ITEM_ALLOWS = {"Allow": "DELETE, GET, PUT"}

# ---- 404


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v2",
        "/v3/p/images/i/metadata",
        IMAGE,
        f"{IMAGE}/Metadata",
        f"{METADATA}/",
        f"{LABEL}/",
        f"{LABEL}/more",
        "*",
    ],
)
async def test_a_path_without_a_route_is_404(site: Deployment, target: str) -> None:
    """A trailing slash is another path: judged in one form and served in another, it would be a way around."""
    answer = await site.ask("OPTIONS" if target == "*" else "GET", target)
    made_here(answer, 404, NO_ROUTE)
    record = await site.decided(answer, "route_not_found")
    assert "http.route" not in record
    assert [step["name"] for step in record["gateway.filters"]] == ["token_auth", "rate_limit"]


async def test_a_path_without_a_route_is_404_in_xml(site: Deployment) -> None:
    answer = await site.ask("GET", IMAGE, None, "Accept: application/xml")
    told = (
        f'<itemNotFound code="404" {XMLNS}><message>The resource could not be found.</message></itemNotFound>'
    )
    made_here(answer, 404, told, content_type=XML)


async def test_an_image_that_the_api_does_not_know_is_its_404(site: Deployment) -> None:
    target = f"/v2/{SAMPLE_PROJECT}/images/{UNKNOWN_IMAGE}/metadata"
    told = '{"itemNotFound": {"code": 404, "message": "Image not found."}}'
    for answer in (await site.ask("GET", target), await site.write({"metadata": {}}, "POST", target)):
        passed_on(answer, 404, told, content_type=JSON)
        await site.decided(answer, "passed")
    answer = await site.ask("GET", target, None, "Accept: application/xml")
    told = f'<itemNotFound code="404" {XMLNS}><message>Image not found.</message></itemNotFound>'
    passed_on(answer, 404, told, content_type=XML)


async def test_a_key_that_the_image_does_not_have_is_404(site: Deployment) -> None:
    told = '{"itemNotFound": {"code": 404, "message": "Invalid metadata key"}}'
    for method in ("GET", "DELETE"):
        passed_on(await site.ask(method, f"{METADATA}/nothing"), 404, told, content_type=JSON)


# ---- 405


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "PROPFIND", "REPORT"])
async def test_a_method_that_the_set_does_not_have_is_405(site: Deployment, method: str) -> None:
    answer = await site.ask(method)
    made_here(answer, 405, NO_METHOD, SET_ALLOWS)
    record = await site.decided(answer, "method_not_allowed", "methods", "allow: [GET, POST, PUT]")
    assert "gateway.upstream.attempts" not in record


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS"])
async def test_a_method_that_an_item_does_not_have_is_405(site: Deployment, method: str) -> None:
    answer = await site.ask(method, LABEL)
    made_here(answer, 405, NO_METHOD, ITEM_ALLOWS)
    await site.decided(answer, "method_not_allowed", "methods-2", "allow: [GET, PUT, DELETE]")


async def test_a_405_to_head_has_the_length_of_a_body_and_no_body(site: Deployment) -> None:
    made_here(await site.ask("HEAD"), 405, NO_METHOD, SET_ALLOWS, head=True)
    made_here(await site.ask("HEAD", LABEL), 405, NO_METHOD, ITEM_ALLOWS, head=True)


async def test_a_405_in_xml(site: Deployment) -> None:
    answer = await site.ask("DELETE", METADATA, None, "Accept: application/xml")
    told = f'<badMethod code="405" {XMLNS}><message>Method not allowed.</message></badMethod>'
    made_here(answer, 405, told, SET_ALLOWS, content_type=XML)


async def test_a_wrong_method_on_a_malformed_image_is_405(site: Deployment) -> None:
    """The filters of a route are asked in their order: what a resource can do comes before which one it is."""
    answer = await site.ask("PATCH", f"/v2/{SAMPLE_PROJECT}/images/garbage/metadata")
    made_here(answer, 405, NO_METHOD, SET_ALLOWS)


async def test_a_405_before_a_body_is_read_ends_the_connection(site: Deployment) -> None:
    client = await site.connect()
    data = request("PATCH", METADATA, b"x" * 100)
    site.counted(data)
    await client.send(data[:-100])
    answer = await client.answer("PATCH")
    made_here(answer, 405, NO_METHOD, SET_ALLOWS, closes=True)
    await client.send(data[-100:])
    await client.ended()


async def test_methods_that_a_route_leaves_out_are_405_by_the_core(deploy: Deploy) -> None:
    routed = {
        "    # methods: [GET, POST, PUT] ": "    methods: [GET, POST, PUT] #",
        "      - methods: { allow: [GET, POST, PUT] }\n": "",
    }
    async with deploy(routed) as site:
        answer = await site.ask("DELETE")
        told = '{"badMethod": {"code": 405, "message": "The method is not allowed."}}'
        made_here(answer, 405, told, SET_ALLOWS)
        await site.decided(answer, "method_not_routed")
        assert (await site.ask("DELETE", token=None)).status == 401


# ---- 409


async def test_an_image_that_is_being_saved_is_the_apis_409(site: Deployment) -> None:
    target = f"/v2/{SAMPLE_PROJECT}/images/{SAVING_IMAGE}/metadata"
    message = f"Image {SAVING_IMAGE} is being saved: its metadata cannot be changed now."
    told = f'{{"conflictingRequest": {{"code": 409, "message": "{message}"}}}}'
    for method in ("POST", "PUT"):
        answer = await site.write({"metadata": {"a": "b"}}, method, target)
        passed_on(answer, 409, told, content_type=JSON)
        await site.decided(answer, "passed")
    passed_on(await site.ask("DELETE", f"{target}/label"), 409, told, content_type=JSON)
    answer = await site.ask("PUT", f"{target}/label", b'{"meta": {"label": "b"}}', "Accept: application/xml")
    told = f'<conflictingRequest code="409" {XMLNS}><message>{message}</message></conflictingRequest>'
    passed_on(answer, 409, told, content_type=XML)
    passed_on(await site.ask("GET", target), 200, '{"metadata": {"label": "Snapshot"}}')


# ---- 415

NO_TYPE_HEADERS = {"Accept": "application/json, application/xml"}


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/jsonx", "application/x-www-form-urlencoded", "json", "*/*", None],
)
@pytest.mark.parametrize(
    ("method", "target", "filter"), [("POST", METADATA, "content_type"), ("PUT", LABEL, "content_type-2")]
)
async def test_a_body_of_another_type_is_415(
    site: Deployment, content_type: str | None, method: str, target: str, filter: str
) -> None:
    answer = await site.ask(method, target, b"{}", content_type=content_type)
    made_here(answer, 415, NO_TYPE, NO_TYPE_HEADERS)
    await site.decided(
        answer, "content_type_unsupported", filter, "allow: [application/json, application/xml]"
    )


async def test_a_body_of_two_types_is_malformed(site: Deployment) -> None:
    """The field is a singleton (RFC 9110 section 8.3): refused before anybody must choose one of them."""
    answer = await site.ask("POST", METADATA, b"{}", "Content-Type: application/json")
    told = '{"badRequest": {"code": 400, "message": "The request is malformed."}}'
    made_here(answer, 400, told, closes=True)
    await site.decided(answer, "malformed_request")


async def test_a_415_in_xml(site: Deployment) -> None:
    answer = await site.ask("POST", METADATA, b"{}", "Accept: application/xml", content_type="text/plain")
    told = (
        f'<badMediaType code="415" {XMLNS}><message>Unsupported Content-Type.</message>'
        "<details>Accepted here: application/json, application/xml.</details></badMediaType>"
    )
    made_here(answer, 415, told, NO_TYPE_HEADERS, content_type=XML)


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=UTF-8", "Application/JSON", "application/json;charset=utf-8"]
)
async def test_parameters_and_case_of_the_type_make_no_difference(
    site: Deployment, content_type: str
) -> None:
    assert (await site.ask("POST", METADATA, b'{"metadata": {}}', content_type=content_type)).status == 200


async def test_an_xml_body_passes_the_gateway_and_is_the_apis_415(site: Deployment) -> None:
    """XML was the API's other language, and is none of today's: the gateway leaves that to it."""
    answer = await site.ask("POST", METADATA, b"<metadata/>", content_type="application/xml")
    told = '{"badMediaType": {"code": 415, "message": "Unsupported Content-Type"}}'
    passed_on(answer, 415, told, {"Accept": "application/json"}, content_type=JSON)
    await site.decided(answer, "passed")


async def test_a_chunked_body_of_another_type_is_415(site: Deployment) -> None:
    head = request("POST", METADATA, None, "Content-Type: text/plain", "Transfer-Encoding: chunked")
    client = await site.connect()
    site.counted(head)
    await client.send(head)
    answer = await client.answer("POST")
    made_here(answer, 415, NO_TYPE, NO_TYPE_HEADERS, closes=True)
    await client.send(chunked(b"hello"))
    await client.ended()
