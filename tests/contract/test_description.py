"""The image-metadata API by its description, in OpenAPI and in WADL: in place of the filters that say the same by hand.

That both come to the same verdict on every request of this whole suite is seen to by the deployment of each test.
"""

import json
from collections.abc import Mapping

import pytest

from gateway.demo.sample import READER_TOKEN, SAMPLE_METADATA
from tests.contract.answer import made_here, passed_on
from tests.contract.deployment import IMAGE, LABEL, METADATA, Deploy, Deployment, request
from tests.contract.description import OPENAPI, PASSES, WADL, Told, both


def by(description: str) -> Mapping[str, str]:
    """The shipped configuration with the description in place of the lists of methods."""
    entry = f"      - api: {{ description: examples/api/{description}, path_status: 400 }}\n"
    return {
        "      - methods: { allow: [GET, POST, PUT] }\n": entry,
        "      - methods: { allow: [GET, PUT, DELETE] }\n": entry,
    }


CASES: list[tuple[str, str, bytes | None, int, str]] = [
    ("GET", METADATA, None, 200, "passed"),
    ("POST", METADATA, b'{"metadata": {"a": "b"}}', 200, "passed"),
    ("PUT", METADATA, b'{"metadata": {}}', 200, "passed"),
    ("GET", LABEL, None, 404, "passed"),
    ("PUT", f"{METADATA}/a%20b%3Ac", b'{"meta": {"a b:c": "1"}}', 200, "passed"),
    ("PUT", LABEL, b'{"meta": {"other": "1"}}', 400, "passed"),
    ("DELETE", f"{METADATA}/a%20b%3Ac", None, 204, "passed"),
    ("DELETE", METADATA, None, 405, "method_not_allowed"),
    ("PATCH", LABEL, b"{}", 405, "method_not_allowed"),
    ("HEAD", METADATA, None, 405, "method_not_allowed"),
    ("GET", METADATA.replace("70a599e0", "70A599E0"), None, 400, "path_parameter_invalid"),
    ("GET", f"{METADATA}/{'k' * 256}", None, 400, "path_parameter_invalid"),
    ("GET", f"{METADATA}/%C5%BE", None, 400, "path_parameter_invalid"),
    ("GET", IMAGE, None, 404, "route_not_found"),
    ("POST", METADATA, b"", 400, "body_missing"),
    ("POST", METADATA, b"{", 400, "json_invalid"),
    ("POST", METADATA, b'{"metadata": {"a": "1", "a": "2"}}', 400, "json_duplicate_key"),
    ("POST", METADATA, b'{"metadata": ' + 40 * b"[" + 40 * b"]" + b"}", 400, "json_too_deep"),
    ("POST", METADATA, b'{"meta": {"a": "b"}}', 400, "schema_mismatch"),
    ("POST", METADATA, b'{"metadata": {}, "more": 1}', 400, "schema_mismatch"),
    ("POST", METADATA, b'{"metadata": {"": "v"}}', 400, "schema_mismatch"),
    ("POST", METADATA, b'{"metadata": {"a/b": "v"}}', 400, "schema_mismatch"),
    ("POST", METADATA, b'{"metadata": {"a": 1}}', 400, "schema_mismatch"),
    ("POST", METADATA, b'{"metadata": {"a": null}}', 400, "schema_mismatch"),
    ("POST", METADATA, b'{"metadata": {"a": "' + 256 * b"v" + b'"}}', 400, "schema_mismatch"),
    ("POST", METADATA, b'{"metadata": {"a": "' + 255 * "ž".encode() + b'"}}', 200, "passed"),
    ("PUT", LABEL, b'{"meta": {}}', 400, "schema_mismatch"),
    ("PUT", LABEL, b'{"meta": {"label": "v", "b": "v"}}', 400, "schema_mismatch"),
    ("PUT", METADATA, b"[" * 200_000, 413, "body_too_large"),
]


UNLIMITED = {
    "          rate: 10/minute\n          burst: 10\n": "          rate: 10000/minute\n          burst: 10000\n"
}


@pytest.mark.parametrize("description", [OPENAPI, WADL])
async def test_each_request_is_answered_as_described(deploy: Deploy, description: str) -> None:
    async with deploy({**by(description), **UNLIMITED}) as site:
        for method, target, body, status, reason in CASES:
            answer = await site.ask(method, target, body)
            assert answer.status == status, (method, target, body)
            record = await site.record(answer)
            assert record["gateway.reason"] == reason, (method, target, body)
            if reason not in ("passed", "route_not_found"):
                assert record["gateway.filter"].startswith("api")


@pytest.mark.parametrize("description", [OPENAPI, WADL])
async def test_a_refusal_names_the_place_in_the_body(deploy: Deploy, description: str) -> None:
    async with deploy(by(description)) as site:
        answer = await site.write({"metadata": {"good": "1", "bad:key": 5}})
        fault = {
            "code": 400,
            "message": "The request body does not fit its schema.",
            "details": 'At /metadata/bad:key: the value is not of type "string".',
        }
        made_here(answer, 400, json.dumps({"badRequest": fault}))
        await site.decided(answer, "schema_mismatch", "api", "description")


@pytest.mark.parametrize("description", [OPENAPI, WADL])
async def test_405_and_415_say_what_there_is(deploy: Deploy, description: str) -> None:
    async with deploy(by(description)) as site:
        assert (await site.ask("DELETE")).get("allow") == "GET, POST, PUT"
        answer = await site.ask("PUT", METADATA, b"<metadata/>", content_type="application/xml")
        assert (answer.status, answer.get("accept")) == (415, "application/json")


@pytest.mark.parametrize("description", [OPENAPI, WADL])
async def test_who_may_only_read_is_told_so_before_the_body_is_looked_at(
    deploy: Deploy, description: str
) -> None:
    async with deploy(by(description)) as site:
        assert (await site.ask("GET", token=READER_TOKEN)).status == 200
        answer = await site.ask("POST", METADATA, b"{", token=READER_TOKEN)
        assert answer.status == 403
        await site.decided(answer, "role_missing", "api", "api")


async def test_in_shadow_it_only_says_what_it_would_have_done(deploy: Deploy) -> None:
    edits = {old: new.replace(" }", ", mode: shadow }") for old, new in by(OPENAPI).items()}
    async with deploy(edits) as site:
        answer = await site.write({"metadata": {"a": 1}})
        assert answer.status == 400
        record = await site.record(answer)
        (step,) = [step for step in record["gateway.filters"] if step["name"] == "api"]
        assert (step["verdict"], step["shadow"], step["reason"]) == ("refuse", True, "schema_mismatch")
        assert record["gateway.reason"] == "passed"
        passed_on(await site.ask("GET"), 200, json.dumps({"metadata": SAMPLE_METADATA}))


async def test_answers_of_the_real_api_are_as_described(deploy: Deploy) -> None:
    shadow = ", mode: shadow, validate_responses: { percent: 100 } }"
    edits = {old: new.replace(" }", shadow) for old, new in by(OPENAPI).items()}
    async with deploy({**edits, **UNLIMITED}) as site:
        for method, target, body, *_ in CASES[:7]:
            record = await site.record(await site.ask(method, target, body))
            steps = [step for step in record["gateway.filters"] if step.get("shadow")]
            assert steps
            assert [step["verdict"] for step in steps] == ["pass"] * len(steps), (method, target)


def test_requests_are_judged_by_both_as_they_were_sent() -> None:
    assert both(request("GET")) == (PASSES, PASSES)
    assert (
        both(request("GET", token=None))
        == (Told(401, "principal_missing", (("WWW-Authenticate", "Keystone"),)),) * 2
    )
    chunked = request("PUT", METADATA, None, "Content-Type: application/json", "Transfer-Encoding: chunked")
    assert both(chunked + b'd\r\n{"metadata":{}\r\n1\r\n}\r\n0\r\n\r\n'.replace(b"d\r\n", b"e\r\n")) == (
        PASSES,
        PASSES,
    )
    found = both(chunked + b"2\r\n{}\r\n0\r\n\r\n")
    assert found is not None
    assert found[0] == found[1] == Told(400, "schema_mismatch", (), {"pointer": ""})
    assert both(b"GET\r\n\r\n") is None


async def test_a_deployment_holds_what_it_was_asked_against_both(site: Deployment) -> None:
    await site.ask("GET")
    await site.ask("DELETE")
    assert len(site.compared()) == 2
