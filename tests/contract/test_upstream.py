"""500, 502, 503 and 504: the service behind, and the gateway itself, at their worst."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from gateway.demo.metadata_api import build_app
from gateway.demo.sample import BROKEN_IMAGE, OFFLINE_IMAGE, SAMPLE_METADATA, SAMPLE_PROJECT
from tests.contract.answer import JSON, XML, XMLNS, made_here, passed_on
from tests.contract.deployment import METADATA, Deploy, Deployment, request
from tests.support.certificates import authority, server_context, written
from tests.support.upstream import Conversation, Upstream, answers, answers_and_closes, closed_port

BROKEN = f"/v2/{SAMPLE_PROJECT}/images/{BROKEN_IMAGE}/metadata"
FAILED = "The server has either erred or is incapable of performing the requested operation."
OFFLINE = f"/v2/{SAMPLE_PROJECT}/images/{OFFLINE_IMAGE}/metadata"

# ---- what the API answers passes


async def test_the_apis_500_passes(site: Deployment) -> None:
    answer = await site.ask("GET", BROKEN)
    passed_on(answer, 500, f'{{"computeFault": {{"code": 500, "message": "{FAILED}"}}}}', content_type=JSON)
    record = await site.decided(answer, "passed")
    assert record["gateway.decision"] == "forward"
    answer = await site.ask("GET", BROKEN, None, "Accept: application/xml")
    told = f'<computeFault code="500" {XMLNS}><message>{FAILED}</message></computeFault>'
    passed_on(answer, 500, told, content_type=XML)


async def test_the_apis_503_passes_with_its_own_retry_after(site: Deployment) -> None:
    message = "The image store is temporarily unavailable."
    wait = {"Retry-After": "30"}
    answer = await site.ask("GET", OFFLINE)
    told = f'{{"serviceUnavailable": {{"code": 503, "message": "{message}"}}}}'
    passed_on(answer, 503, told, wait, content_type=JSON)
    await site.decided(answer, "passed")
    answer = await site.ask("GET", OFFLINE, None, "Accept: application/xml")
    told = f'<serviceUnavailable code="503" {XMLNS}><message>{message}</message></serviceUnavailable>'
    passed_on(answer, 503, told, wait, content_type=XML)


# ---- the API is not there

DOWN_JSON = (
    '{"serviceUnavailable": {"code": 503, "message": "The service is temporarily unavailable.", '
    '"retryAfter": "5", "retryAt": "2023-11-14T22:13:25Z"}}'
)
DOWN_XML = (
    f'<serviceUnavailable code="503" {XMLNS}><message>The service is temporarily unavailable.</message>'
    "<retryAfter>5</retryAfter></serviceUnavailable>"
)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_upstream_that_is_down_is_503(deploy: Deploy, method: str) -> None:
    port = closed_port()
    async with deploy(upstream=f"http://127.0.0.1:{port}") as site:
        body = b'{"metadata": {}}' if method == "POST" else None
        answer = await site.ask(method, METADATA, body)
        made_here(answer, 503, DOWN_JSON, {"Retry-After": "5"})
        record = await site.decided(answer, "upstream_connect_failed")
        assert record["gateway.decision"] == "fail"
        (attempt,) = record["gateway.upstream.attempts"]
        assert attempt["address"] == record["gateway.upstream.address"] == f"127.0.0.1:{port}"
        assert attempt["error"] == "upstream_connect_failed"
        answer = await site.ask(method, METADATA, body, "Accept: application/xml")
        made_here(answer, 503, DOWN_XML, {"Retry-After": "5"}, content_type=XML)


async def test_the_gateway_still_refuses_while_the_upstream_is_down(deploy: Deploy) -> None:
    async with deploy(upstream=f"http://127.0.0.1:{closed_port()}") as site:
        assert (await site.ask("GET", token=None)).status == 401
        assert (await site.ask("PATCH")).status == 405
        assert (await site.ask("GET", "/nowhere")).status == 404


# ---- the API answers what nobody can understand

ODD_JSON = (
    '{"computeFault": {"code": 502, "message": "The service gave an answer that could not be understood."}}'
)
ODD_XML = (
    f'<computeFault code="502" {XMLNS}>'
    "<message>The service gave an answer that could not be understood.</message></computeFault>"
)
CUT_JSON = (
    '{"computeFault": {"code": 502, "message": "The service closed the connection without a whole answer."}}'
)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n",
        b"HTTP/1.1 abc Wrong\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_an_answer_that_is_none_is_502(deploy: Deploy, data: bytes) -> None:
    async with Upstream(answers_and_closes(data)) as upstream, deploy(upstream=upstream.url) as site:
        answer = await site.ask("GET")
        made_here(answer, 502, ODD_JSON)
        record = await site.decided(answer, "upstream_response_invalid")
        assert record["gateway.decision"] == "fail"
        answer = await site.ask("GET", METADATA, None, "Accept: application/xml")
        made_here(answer, 502, ODD_XML, content_type=XML)


async def test_a_connection_closed_without_an_answer_is_502_and_a_post_is_sent_once(deploy: Deploy) -> None:
    async with Upstream(answers_and_closes(b"")) as upstream, deploy(upstream=upstream.url) as site:
        answer = await site.ask("POST", METADATA, b'{"metadata": {}}')
        made_here(answer, 502, CUT_JSON)
        await site.decided(answer, "upstream_closed")
        assert len(upstream.requests) == 1


# ---- the API does not answer

LATE_JSON = '{"computeFault": {"code": 504, "message": "The service did not answer in time."}}'
LATE_XML = (
    f'<computeFault code="504" {XMLNS}><message>The service did not answer in time.</message></computeFault>'
)
IMPATIENT = {"      first_byte: 60s  ": "      first_byte: 50ms "}


async def silent(conversation: Conversation) -> None:
    await conversation.request()
    await conversation.ended()


async def test_an_upstream_that_does_not_answer_is_504(deploy: Deploy) -> None:
    async with Upstream(silent) as upstream, deploy(IMPATIENT, upstream=upstream.url) as site:
        answer, other = await asyncio.gather(
            site.ask("GET"), site.ask("GET", METADATA, None, "Accept: application/xml")
        )
        made_here(answer, 504, LATE_JSON)
        made_here(other, 504, LATE_XML, content_type=XML)
        record = await site.decided(answer, "upstream_first_byte_timeout")
        assert record["gateway.decision"] == "fail"
        assert [attempt["error"] for attempt in record["gateway.upstream.attempts"]] == [
            "upstream_first_byte_timeout"
        ]


async def test_an_answer_that_stops_in_the_middle_is_never_taken_for_a_whole_one(deploy: Deploy) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{"
    async with Upstream(answers_and_closes(half)) as upstream, deploy(upstream=upstream.url) as site:
        data = request("GET")
        site.counted(data)
        client = await site.connect()
        await client.send(data)
        answer = await client.answer()
        assert (answer.status, answer.whole) == (200, False)
        (record,) = await site.gateway.records(1)
        assert (record["gateway.decision"], record["gateway.reason"]) == ("abort", "upstream_closed")


async def test_statuses_that_nobody_knows_pass(deploy: Deploy) -> None:
    data = b"HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n"
    async with Upstream(answers(data)) as upstream, deploy(upstream=upstream.url) as site:
        answer = await site.ask("GET")
        assert (answer.status, answer.phrase) == (299, "Odd")


# ---- the API over TLS


def trusting(directory: Path) -> dict[str, str]:
    """The edit of the shipped file that trusts our authority."""
    ca = json.dumps(str(written(directory, ca=authority().certificate) / "ca.pem"))
    return {"    resolve: 30s ": f"    tls: {{ ca: {ca} }}\n    resolve: 30s "}


@asynccontextmanager
async def secure_api(directory: Path, database: bytes, *names: str) -> AsyncIterator[str]:
    """The metadata API over TLS; gives its URL."""
    images = directory / "secure.sqlite"
    images.write_bytes(database)
    runner = web.AppRunner(build_app(images), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    context = server_context(authority().sign(*names), directory)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_api_answers_over_tls_as_without(deploy: Deploy, seeded: bytes, tmp_path: Path) -> None:
    async with (
        secure_api(tmp_path, seeded, "127.0.0.1") as url,
        deploy(trusting(tmp_path), upstream=url) as site,
    ):
        passed_on(await site.ask("GET"), 200, json.dumps({"metadata": SAMPLE_METADATA}))
        large = {f"key-{number}": "v" * 200 for number in range(100)}
        answer = await site.write({"metadata": large}, "PUT")
        passed_on(answer, 200, json.dumps({"metadata": large}))
        record = await site.decided(answer, "passed")
        assert f"https://{record['gateway.upstream.address']}" == url
        assert (await site.ask("PATCH")).status == 405


async def test_an_api_that_cannot_prove_who_it_is_is_502_and_sees_nothing(
    deploy: Deploy, seeded: bytes, tmp_path: Path
) -> None:
    unreached = '{"computeFault": {"code": 502, "message": "The service could not be reached."}}'
    async with (
        secure_api(tmp_path, seeded, "other.test") as url,
        deploy(trusting(tmp_path), upstream=url) as site,
    ):
        answer = await site.write({"metadata": {"a": "b"}})
        made_here(answer, 502, unreached)
        record = await site.decided(answer, "upstream_tls_unverified")
        assert record["gateway.decision"] == "fail"
        (attempt,) = record["gateway.upstream.attempts"]
        assert attempt["detail"] == "IP address mismatch, certificate is not valid for '127.0.0.1'"


# ---- a filter has a bug

BROKEN_FILTER = {"      # - ip_allow: { allow: [192.0.2.0/24] }": "      - contract.broken: {}"}


async def test_a_bug_of_a_filter_is_a_500_that_says_nothing(deploy: Deploy) -> None:
    async with deploy(BROKEN_FILTER) as site:
        answer = await site.ask("GET")
        assert site.gateway.bugs == ["contract.broken.on_request"]
        told = f'{{"computeFault": {{"code": 500, "message": "{FAILED}"}}}}'
        made_here(answer, 500, told)
        record = await site.decided(answer, "filter_failed", "contract.broken", "contract.broken")
        assert record["gateway.filters"][-1]["verdict"] == "error"
        assert "secret of the broken filter" not in str(record)
        answer = await site.ask("GET", METADATA, None, "Accept: application/xml")
        assert site.gateway.bugs == ["contract.broken.on_request"]
        told = f'<computeFault code="500" {XMLNS}><message>{FAILED}</message></computeFault>'
        made_here(answer, 500, told, content_type=XML)


async def test_a_bug_of_a_filter_leaves_the_other_routes_alone(deploy: Deploy) -> None:
    async with deploy(BROKEN_FILTER) as site:
        assert (await site.ask("GET", f"{METADATA}/label")).status == 200
        assert (await site.ask("PATCH")).status == 405
