"""400: what is wrong with the request itself, said by the metadata API or by the gateway before it."""

import json

import pytest

from gateway.demo.sample import OTHER_PROJECT, SAMPLE_IMAGE, SAMPLE_METADATA, SAMPLE_PROJECT
from tests.contract.answer import JSON, XML, XMLNS, made_here, passed_on
from tests.contract.deployment import IMAGE, LABEL, METADATA, Deploy, Deployment

BAD_UUID = (
    '{"badRequest": {"code": 400, "message": "The path parameter image_id is not a UUID in canonical form."}}'
)


@pytest.mark.parametrize(
    "image_id",
    [
        "garbage",
        SAMPLE_IMAGE.upper(),
        SAMPLE_IMAGE.replace("-", ""),
        SAMPLE_IMAGE + "0",
        SAMPLE_IMAGE[:-1],
        "{" + SAMPLE_IMAGE + "}",
        f"urn:uuid:{SAMPLE_IMAGE}",
        SAMPLE_IMAGE + "%0A",
        SAMPLE_IMAGE[:-1] + "%C2%B2",
        "1",
    ],
)
@pytest.mark.parametrize("rest", ["/metadata", "/metadata/label"])
async def test_an_image_id_that_is_no_uuid_is_malformed(deploy: Deploy, image_id: str, rest: str) -> None:
    image_id = image_id.replace("{", "%7B").replace("}", "%7D")
    async with deploy() as site:
        answer = await site.ask("GET", f"/v2/{SAMPLE_PROJECT}/images/{image_id}{rest}")
        made_here(answer, 400, BAD_UUID)
        await site.decided(answer, "uuid_invalid", "uuid" if rest == "/metadata" else "uuid-2", "image_id")


async def test_a_malformed_image_id_is_not_found_where_nova_is_to_be_matched(deploy: Deploy) -> None:
    async with deploy({"version: any, status: 400, lenient": "version: any, status: 404, lenient"}) as site:
        answer = await site.ask("GET", f"/v2/{SAMPLE_PROJECT}/images/garbage/metadata")
        made_here(answer, 404, '{"itemNotFound": {"code": 404, "message": "Resource not found."}}')
        await site.decided(answer, "uuid_invalid", "uuid", "image_id")


BAD_BODIES: dict[str, tuple[str, bytes, str]] = {
    "no JSON": (METADATA, b'{"metadata": {', "Malformed request body"),
    "no UTF-8": (METADATA, b'{"metadata": {"a": "\xff"}}', "Malformed request body"),
    "no body": (METADATA, b"", "Malformed request body"),
    "no object": (METADATA, b"[]", "The request body is not an object"),
    "another root": (METADATA, b'{"meta": {}}', "'metadata' is a required property"),
    "two roots": (
        METADATA,
        b'{"metadata": {}, "a": 1}',
        "Additional properties beside 'metadata' are not allowed",
    ),
    "a root that is no object": (METADATA, b'{"metadata": []}', "'metadata' is not an object"),
    "a blank key": (METADATA, b'{"metadata": {"": "v"}}', "Image metadata key cannot be blank"),
    "a long key": (METADATA, b'{"metadata": {"' + 256 * b"k" + b'": "v"}}', "Image metadata key too long"),
    "a number": (METADATA, b'{"metadata": {"a": 1}}', "Image metadata value of 'a' is not a string"),
    "a long value": (
        METADATA,
        b'{"metadata": {"a": "' + 256 * b"v" + b'"}}',
        "Image metadata value of 'a' too long",
    ),
    "a key ending in a line feed": (
        METADATA,
        b'{"metadata": {"a\\n": "v"}}',
        "Image metadata key has a character other than letters, digits, '-', '_', ':', '.' and ' '",
    ),
    "a key that is not the URI's": (LABEL, b'{"meta": {"other": "v"}}', "Request body and URI mismatch"),
    "two items for one": (
        LABEL,
        b'{"meta": {"label": "v", "b": "v"}}',
        "Request body contains too many items",
    ),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_what_the_api_says_of_a_body_passes(site: Deployment, name: str) -> None:
    target, body, message = BAD_BODIES[name]
    answer = await site.ask("PUT", target, body)
    told = json.dumps({"badRequest": {"code": 400, "message": message}})
    passed_on(answer, 400, told, content_type=JSON)
    await site.decided(answer, "passed")
    passed_on(await site.ask("GET"), 200, json.dumps({"metadata": SAMPLE_METADATA}))


async def test_what_the_api_says_in_xml_passes(site: Deployment) -> None:
    answer = await site.ask("POST", METADATA, b"{", "Accept: application/xml")
    told = f'<badRequest code="400" {XMLNS}><message>Malformed request body</message></badRequest>'
    passed_on(answer, 400, told, content_type=XML)


async def test_a_project_in_the_path_that_is_not_the_tokens_is_malformed(site: Deployment) -> None:
    answer = await site.ask("GET", f"/v2/{OTHER_PROJECT}/images/{SAMPLE_IMAGE}/metadata")
    passed_on(
        answer,
        400,
        '{"badRequest": {"code": 400, "message": "Malformed request URL: URL\'s project_id '
        f"'{OTHER_PROJECT}' doesn't match Context's project_id '{SAMPLE_PROJECT}'\"}}}}",
        content_type=JSON,
    )


STRICT_SET = {
    "      # - json_body: { metadata: set, max_depth: 32 } ": "      - json_body: { metadata: set, max_depth: 32 } #"
}
STRICT_ITEM = {
    "      - methods: { allow: [GET, PUT, DELETE] }\n": (
        "      - methods: { allow: [GET, PUT, DELETE] }\n      - json_body: { metadata: item }\n"
    )
}
KEY_RULE = "A metadata key must have 1 to 255 characters: letters, digits, '-', '_', ':', '.' and space."
VALUE_RULE = "A metadata value must be a string of at most 255 characters."
ROOT_RULE = "The request body must be an object whose only member is metadata, an object."

JUDGED_BODIES: dict[str, tuple[bytes, str, str, str, str | None]] = {
    "no JSON": (b'{"metadata": {', "json_invalid", "The request body is not valid JSON.", "json_body", None),
    "no UTF-8": (
        b'{"metadata": {"a": "\xff"}}',
        "json_invalid",
        "The request body is not valid JSON.",
        "json_body",
        None,
    ),
    "NaN": (
        b'{"metadata": {"a": NaN}}',
        "json_invalid",
        "The request body is not valid JSON.",
        "json_body",
        None,
    ),
    "a key twice": (
        b'{"metadata": {"a": "1", "a": "2"}}',
        "json_duplicate_key",
        "The request body names a key twice.",
        "json_body",
        None,
    ),
    "too deep": (
        b'{"metadata": ' + 40 * b"[" + 40 * b"]" + b"}",
        "json_too_deep",
        "The request body nests too deep.",
        "max_depth",
        "At most 32 levels are accepted.",
    ),
    "no body": (b"", "metadata_invalid", "A request body is required.", "metadata", None),
    "another root": (b'{"meta": {"a": "b"}}', "metadata_invalid", ROOT_RULE, "metadata", None),
    "a blank key": (b'{"metadata": {"": "v"}}', "metadata_invalid", KEY_RULE, "metadata", None),
    "a slash in a key": (b'{"metadata": {"a/b": "v"}}', "metadata_invalid", KEY_RULE, "metadata", None),
    "a number": (b'{"metadata": {"a": 1}}', "metadata_invalid", VALUE_RULE, "metadata", None),
    "256 characters": (
        b'{"metadata": {"a": "' + 256 * b"v" + b'"}}',
        "metadata_invalid",
        VALUE_RULE,
        "metadata",
        None,
    ),
}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("name", JUDGED_BODIES)
async def test_the_gateway_judges_a_body_where_it_is_told_to(deploy: Deploy, name: str, method: str) -> None:
    body, reason, message, source, details = JUDGED_BODIES[name]
    async with deploy(STRICT_SET) as site:
        answer = await site.ask(method, METADATA, body)
        told = {"code": 400, "message": message} | ({"details": details} if details else {})
        made_here(answer, 400, json.dumps({"badRequest": told}))
        record = await site.decided(answer, reason, "json_body", source)
        assert "gateway.upstream.attempts" not in record
        passed_on(await site.ask("GET"), 200, json.dumps({"metadata": SAMPLE_METADATA}))


async def test_a_body_that_the_gateway_has_judged_reaches_the_api_whole(deploy: Deploy) -> None:
    async with deploy(STRICT_SET) as site:
        body = b'{"metadata":{"k": "' + 255 * b"v" + b'"}}'
        whole = SAMPLE_METADATA | {"k": 255 * "v"}
        passed_on(await site.ask("POST", METADATA, body), 200, json.dumps({"metadata": whole}))


@pytest.mark.parametrize(
    ("body", "message", "source"),
    [
        (b'{"meta": {"other": "v"}}', "Request body and URI mismatch.", "json_body"),
        (
            b'{"meta": {"label": "v", "b": "v"}}',
            "The request body must have exactly one metadata entry.",
            "metadata",
        ),
        (b'{"meta": {}}', "The request body must have exactly one metadata entry.", "metadata"),
    ],
)
async def test_the_gateway_holds_an_item_against_its_uri(
    deploy: Deploy, body: bytes, message: str, source: str
) -> None:
    async with deploy(STRICT_ITEM) as site:
        answer = await site.ask("PUT", LABEL, body)
        made_here(answer, 400, json.dumps({"badRequest": {"code": 400, "message": message}}))
        await site.decided(answer, "metadata_invalid", "json_body", source)
        passed_on(await site.write({"meta": {"label": "v"}}, "PUT", LABEL), 200, '{"meta": {"label": "v"}}')


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (f"{IMAGE}/../{SAMPLE_IMAGE}/metadata", "The path contains a dot segment."),
        (f"{IMAGE}/%2e%2E/{SAMPLE_IMAGE}/metadata", "The path contains a dot segment."),
        (f"{IMAGE}%2Fmetadata", "The path contains an encoded slash, backslash or NUL."),
        (f"{METADATA}/a%5cb", "The path contains an encoded slash, backslash or NUL."),
        (f"{METADATA}/a%00", "The path contains an encoded slash, backslash or NUL."),
        (f"/{METADATA}", "The path contains an empty segment."),
        (f"{METADATA}/a\\b", "The path contains a backslash."),
        (f"{METADATA}/%zz", "The request target contains a percent sign that begins no escape."),
        (f"{METADATA}?a=%", "The request target contains a percent sign that begins no escape."),
        (f"{METADATA}/a|b", "The path contains a character that a path cannot hold unencoded."),
    ],
)
async def test_a_target_that_two_could_read_as_two_paths_is_refused(
    site: Deployment, target: str, message: str
) -> None:
    """Before the chain: it would be judged in one form, and served in the other."""
    answer = await site.ask("GET", target)
    made_here(answer, 400, json.dumps({"badRequest": {"code": 400, "message": message}}), closes=True)
    record = await site.decided(answer, "target_ambiguous")
    assert record["gateway.filters"] == []


async def test_other_oddities_of_a_query_pass(site: Deployment) -> None:
    assert (await site.ask("GET", f"{METADATA}?")).status == 200
    assert (await site.ask("GET", f"{METADATA}?a=/../&&=;?")).status == 200
