"""413 and 429: too often, too large, too many. Three causes that a client must be able to tell apart."""

import asyncio
import json

import pytest

from gateway.demo.sample import (
    ADMIN_TOKEN,
    FOREIGN_IMAGE,
    OTHER_PROJECT,
    READER_TOKEN,
    SAMPLE_METADATA,
)
from tests.contract.answer import JSON, XML, XMLNS, made_here, passed_on
from tests.contract.deployment import LABEL, METADATA, Deploy, Deployment, request
from tests.support.client import chunked
from tests.support.upstream import Upstream

EMPTY = b'{"metadata": {}}'
WHOLE = json.dumps({"metadata": SAMPLE_METADATA})

# ---- by rate


async def writes(site: Deployment, count: int) -> None:
    for _ in range(count):
        passed_on(await site.ask("POST", METADATA, EMPTY), 200, WHOLE)


def told_by(seconds: int, name: str = "writes", quota: int = 10) -> dict[str, str]:
    """What a refusal by rate says in its header."""
    return {
        "Retry-After": str(seconds),
        "RateLimit-Policy": f'"{name}";q={quota};w=60',
        "RateLimit": f'"{name}";r=0;t={seconds}',
    }


def rate_limited(seconds: int, at: str, status: int = 413, method: str = "POST", every: str = "10") -> str:
    return (
        f'{{"overLimit": {{"code": {status}, "message": "This request was rate-limited.", '
        f'"details": "Only {every} {method} request(s) can be made to * every minute.", '
        f'"retryAfter": "{seconds}", "retryAt": "{at}"}}}}'
    )


async def test_ten_writes_a_minute_pass_and_the_next_waits_for_six_seconds(site: Deployment) -> None:
    await writes(site, 10)
    answer = await site.ask("POST", METADATA, EMPTY)
    made_here(answer, 413, rate_limited(6, "2023-11-14T22:13:26Z"), told_by(6))
    record = await site.decided(answer, "rate_limited", "rate_limit", "name: writes")
    assert "gateway.upstream.attempts" not in record
    facts = record["gateway.filters"][-1]["facts"]
    assert facts["instant"] == 1000.0
    ((label, hashed, cost, cell),) = facts["cells"]
    assert (label, cost, cell) == ("writes", 1, [60.0, 0.0, 0.0])
    assert len(hashed) == 32


async def test_a_refusal_costs_nothing_and_the_wait_shrinks(site: Deployment) -> None:
    await writes(site, 10)
    for elapsed, seconds in ((0.0, 6), (0.5, 6), (0.5, 5), (4.9, 1)):
        site.clock.advance(elapsed)
        for _ in range(3):
            answer = await site.ask("POST", METADATA, EMPTY)
            assert answer.status == 413
            assert answer.get("Retry-After") == answer.json()["overLimit"]["retryAfter"] == str(seconds)
    site.clock.advance(0.1)
    await writes(site, 1)
    assert (await site.ask("POST", METADATA, EMPTY)).get("Retry-After") == "6"


async def test_a_client_that_waits_as_long_as_it_was_told_gets_through(site: Deployment) -> None:
    await writes(site, 10)
    for _ in range(5):
        answer = await site.ask("POST", METADATA, EMPTY)
        site.clock.advance(float(answer.get("Retry-After") or 0))
        await writes(site, 1)


async def test_the_next_second_at_which_a_write_fits_is_said_twice(site: Deployment) -> None:
    """`retryAt` is the instant of `retryAfter`, never before it."""
    site.clock.advance(0.25)
    await writes(site, 10)
    answer = await site.ask("POST", METADATA, EMPTY)
    assert answer.json()["overLimit"]["retryAfter"] == "6"
    assert answer.json()["overLimit"]["retryAt"] == "2023-11-14T22:13:27Z"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_writes_of_all_methods_and_callers_of_a_project_count_together(
    site: Deployment, method: str
) -> None:
    await writes(site, 4)
    for _ in range(3):
        assert (await site.ask("PUT", LABEL, b'{"meta": {"label": "v"}}')).status == 200
        assert (await site.ask("POST", METADATA, EMPTY, token=READER_TOKEN)).status == 403
    answer = await site.ask(method, LABEL, token=READER_TOKEN)
    made_here(answer, 413, rate_limited(6, "2023-11-14T22:13:26Z", method=method), told_by(6))


async def test_what_other_filters_refuse_counts_too(site: Deployment) -> None:
    """The limit is asked before the route's filters: a client cannot hammer by being wrong."""
    for _ in range(10):
        assert (await site.ask("POST", METADATA, b"{}", content_type="text/plain")).status == 415
    assert (await site.ask("POST", METADATA, EMPTY)).status == 413


async def test_reads_and_other_projects_are_not_touched(site: Deployment) -> None:
    await writes(site, 10)
    assert (await site.ask("POST", METADATA, EMPTY)).status == 413
    passed_on(await site.ask("GET"), 200, WHOLE)
    other = f"/v2/{OTHER_PROJECT}/images/{FOREIGN_IMAGE}/metadata"
    assert (await site.ask("POST", other, EMPTY, token=ADMIN_TOKEN)).status == 200


async def test_a_caller_without_a_token_takes_nothing_from_anybody(site: Deployment) -> None:
    for _ in range(12):
        assert (await site.ask("POST", METADATA, EMPTY, token=None)).status == 401
    await writes(site, 10)


async def test_the_burst_of_reads_is_its_own_limit(site: Deployment) -> None:
    client = await site.connect()
    for _ in range(100):
        data = request("GET")
        site.counted(data)
        assert (await client.ask(data)).status == 200
    answer = await site.ask("GET")
    told = rate_limited(1, "2023-11-14T22:13:21Z", method="GET", every="1000")
    made_here(answer, 413, told, told_by(1, "reads", 1000))
    await site.decided(answer, "rate_limited", "rate_limit", "name: reads")


async def test_a_413_by_rate_in_xml_has_the_wait_as_an_attribute(site: Deployment) -> None:
    await writes(site, 10)
    answer = await site.ask("POST", METADATA, EMPTY, "Accept: application/xml")
    told = (
        f'<overLimit code="413" retryAfter="6" {XMLNS}><message>This request was rate-limited.</message>'
        "<details>Only 10 POST request(s) can be made to * every minute.</details></overLimit>"
    )
    made_here(answer, 413, told, told_by(6), content_type=XML)


async def test_429_is_one_word_of_configuration_away(deploy: Deploy) -> None:
    async with deploy({"      status: 413  ": "      status: 429  "}) as site:
        await writes(site, 10)
        answer = await site.ask("POST", METADATA, EMPTY)
        made_here(answer, 429, rate_limited(6, "2023-11-14T22:13:26Z", 429), told_by(6))
        await site.decided(answer, "rate_limited", "rate_limit", "name: writes")


async def test_answers_say_what_remains_where_that_is_asked_for(deploy: Deploy) -> None:
    async with deploy(
        {
            "      status: 413  ": "      headers: [ietf, x-ratelimit]\n      headers_on: all\n      status: 413  "
        }
    ) as site:
        for remaining, reset in ((9, 6), (8, 12)):
            passed_on(
                await site.ask("POST", METADATA, EMPTY),
                200,
                WHOLE,
                {
                    "RateLimit-Policy": '"writes";q=10;w=60',
                    "RateLimit": f'"writes";r={remaining};t={reset}',
                    "X-RateLimit-Limit": "10",
                    "X-RateLimit-Remaining": str(remaining),
                    "X-RateLimit-Reset": str(reset),
                },
            )


async def test_a_limit_on_all_together_is_503_and_its_record_says_who_has_used_it(deploy: Deploy) -> None:
    line = "          methods: [GET, HEAD]\n"
    every = "        - { name: all, rate: 2/minute, key: [global], status: 503 }\n"
    async with deploy({line: line + every}) as site:
        await writes(site, 2)
        answer = await site.ask("POST", METADATA, EMPTY)
        told = (
            '{"serviceUnavailable": {"code": 503, "message": "This request was rate-limited.", '
            '"details": "Only 2 POST request(s) can be made to * every minute."}}'
        )
        inner = answer.json()["serviceUnavailable"]
        assert (inner.pop("retryAfter"), inner.pop("retryAt")) == ("30", "2023-11-14T22:13:50Z")
        assert json.dumps({"serviceUnavailable": inner}) == told
        assert answer.get("Retry-After") == "30"
        record = await site.decided(answer, "rate_limited", "rate_limit", "{ name: all")
        facts = record["gateway.filters"][-1]["facts"]
        assert (facts["limit"], facts["key"]) == ("all", {})
        ((who, count),) = facts["consumers"]
        assert who == record["user.id"] and count == 2


async def test_a_limit_for_one_path_names_it(deploy: Deploy) -> None:
    path = "/v2/{project_id}/images/{image_id}/metadata"
    async with deploy({f"          # path: {path}\n": f"          path: {path}\n"}) as site:
        await writes(site, 10)
        answer = await site.ask("POST", METADATA, EMPTY)
        assert (
            answer.json()["overLimit"]["details"]
            == f"Only 10 POST request(s) can be made to {path} every minute."
        )
        assert (await site.ask("PUT", LABEL, b'{"meta": {"label": "v"}}')).status == 200


# ---- by size

LARGEST = 112 * 1024
TOO_LARGE = (
    '{"overLimit": {"code": 413, "message": "Request body is too large.", '
    '"details": "At most 114688 bytes are accepted."}}'
)


def padded(size: int) -> bytes:
    """The empty update in `size` bytes."""
    return EMPTY + b" " * (size - len(EMPTY))


async def test_the_largest_body_passes(site: Deployment) -> None:
    passed_on(await site.ask("POST", METADATA, padded(LARGEST)), 200, WHOLE)


@pytest.mark.parametrize(
    ("method", "target", "filter"),
    [("POST", METADATA, "body_size"), ("PUT", METADATA, "body_size"), ("PUT", LABEL, "body_size-2")],
)
async def test_one_byte_more_is_413_before_a_byte_of_it_is_read(
    site: Deployment, method: str, target: str, filter: str
) -> None:
    """No Retry-After: the same body will never fit (RFC 9110 section 15.5.14)."""
    data = request(method, target, padded(LARGEST + 1))
    client = await site.connect()
    site.counted(data)
    await client.send(data[: data.index(b"\r\n\r\n") + 4])
    answer = await client.answer(method)
    made_here(answer, 413, TOO_LARGE, closes=True)
    record = await site.decided(answer, "body_too_large", filter, "max: 112KiB")
    assert "gateway.upstream.attempts" not in record


async def test_the_answer_is_readable_by_a_client_that_uploads_first(site: Deployment) -> None:
    """It writes all before it reads, which a connection that is closed at once would answer by a reset."""
    data = request("POST", METADATA, padded(512 * 1024))
    client = await site.connect()
    site.counted(data)
    for start in range(0, len(data), 16 * 1024):
        await client.send(data[start : start + 16 * 1024])
        await asyncio.sleep(0)
    answer = await client.answer("POST")
    assert not client.was_reset
    made_here(answer, 413, TOO_LARGE, closes=True)
    await client.ended()


async def test_a_client_that_asks_first_need_not_upload(site: Deployment) -> None:
    data = request("POST", METADATA, padded(LARGEST + 1), "Expect: 100-continue")
    client = await site.connect()
    site.counted(data)
    await client.send(data[: data.index(b"\r\n\r\n") + 4])
    made_here(await client.answer("POST"), 413, TOO_LARGE, closes=True)
    await client.ended()


CHUNKED = ("Content-Type: application/json", "Transfer-Encoding: chunked")


async def test_a_chunked_body_is_counted_on_its_way(site: Deployment) -> None:
    head = request("POST", METADATA, None, *CHUNKED)
    site.counted(head)
    client = await site.connect()
    chunk = b" " * 8192
    await client.send(head + chunked(EMPTY.ljust(8192), *[chunk] * 13, b" ", end=False))
    answer = await client.answer("POST")
    made_here(answer, 413, TOO_LARGE, closes=True)
    await client.ended()
    record = await site.decided(answer, "body_too_large", "body_size", "max: 112KiB")
    assert record["gateway.decision"] == "refuse"
    passed_on(await site.ask("GET"), 200, WHOLE)


async def test_a_chunked_body_of_the_largest_size_passes(site: Deployment) -> None:
    head = request("POST", METADATA, None, *CHUNKED)
    passed_on(await site.send(head + chunked(EMPTY.ljust(8192), *[b" " * 8192] * 13)), 200, WHOLE)


async def test_an_upstream_never_takes_a_body_that_was_cut_for_a_whole_one(deploy: Deploy) -> None:
    head = request("POST", METADATA, None, *CHUNKED)
    async with Upstream() as upstream, deploy(upstream=upstream.url) as site:
        site.counted(head)
        client = await site.connect()
        await client.send(head + chunked(b" " * 8192, end=False))
        conversation = await upstream.accepted()
        await client.send(chunked(b" " * LARGEST, end=False))
        received = await conversation.request()
        assert not received.whole
        made_here(await client.answer("POST"), 413, TOO_LARGE, closes=True)


async def test_a_413_by_size_in_xml(site: Deployment) -> None:
    data = request("POST", METADATA, padded(LARGEST + 1), "Accept: application/xml")
    client = await site.connect()
    site.counted(data)
    await client.send(data[:-1])
    answer = await client.answer("POST")
    told = (
        f'<overLimit code="413" {XMLNS}><message>Request body is too large.</message>'
        "<details>At most 114688 bytes are accepted.</details></overLimit>"
    )
    made_here(answer, 413, told, content_type=XML, closes=True)


async def test_a_limit_of_the_core_comes_before_every_filter(deploy: Deploy) -> None:
    """A length beyond the limit for all is refused unread, and without asking who it is."""
    async with deploy({"  body: null ": "  body: 1KiB "}) as site:
        data = request("POST", METADATA, padded(1025), token=None)
        client = await site.connect()
        site.counted(data)
        await client.send(data[:-1])
        answer = await client.answer("POST")
        made_here(
            answer,
            413,
            '{"overLimit": {"code": 413, "message": "Request body is too large."}}',
            closes=True,
        )
        record = await site.decided(answer, "request_too_large")
        assert record["gateway.filters"] == []
        passed_on(await site.ask("POST", METADATA, padded(1024)), 200, WHOLE)


# ---- over quota, by the upstream

OVER_QUOTA = '{"overLimit": {"code": 413, "message": "Image metadata limit exceeded", "retryAfter": "0"}}'


async def test_over_quota_is_the_apis_413_with_its_own_retry_after(site: Deployment) -> None:
    items = {f"k{number}": "v" for number in range(128 - len(SAMPLE_METADATA) + 1)}
    answer = await site.write({"metadata": items})
    passed_on(answer, 413, OVER_QUOTA, {"Retry-After": "0"}, content_type=JSON)
    await site.decided(answer, "passed")
    items.popitem()
    assert len((await site.write({"metadata": items})).json()["metadata"]) == 128
    passed_on(
        await site.write({"meta": {"one-more": "v"}}, "PUT", f"{METADATA}/one-more"),
        413,
        OVER_QUOTA,
        {"Retry-After": "0"},
        content_type=JSON,
    )


async def test_over_quota_in_xml(deploy: Deploy) -> None:
    async with deploy(quota=3) as site:
        answer = await site.ask("POST", METADATA, b'{"metadata": {"a": "b"}}', "Accept: application/xml")
        told = (
            f'<overLimit code="413" {XMLNS}><message>Image metadata limit exceeded</message>'
            "<retryAfter>0</retryAfter></overLimit>"
        )
        passed_on(answer, 413, told, {"Retry-After": "0"}, content_type=XML)
