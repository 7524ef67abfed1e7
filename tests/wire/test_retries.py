"""`retries`: which request goes again, to which endpoint, how often; and what its client, the filters and the record see."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.upstream.pool import OUT_OF_REACH
from tests.support.client import chunked, get, post
from tests.support.deadline import until
from tests.support.gateway import Running, proxy, test_filters
from tests.support.upstream import OK, Conversation, Upstream, answers, closed_port, echo

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"
QUICK = {"backoff": {"base": "1ms", "max": "2ms"}}


def retries(**options: Any) -> dict[str, Any]:
    return {"retries": {**QUICK, **options}}


async def resets(conversation: Conversation) -> None:
    await conversation.request()
    conversation.reset()


def attempts(record: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    return [(one.get("status"), one.get("error")) for one in record["gateway.upstream.attempts"]]


async def test_a_get_goes_to_another_endpoint_after_a_reset_and_the_record_shows_both() -> None:
    async with (
        Upstream(resets) as bad,
        Upstream(echo) as good,
        proxy([bad.url, good.url], upstream_options=retries()) as gateway,
    ):
        client = await gateway.connect()
        for _ in range(4):
            assert (await client.ask(get("/a"))).status == 200
        told = [attempts(record) for record in await gateway.records(4)]
        assert [(None, "upstream_closed"), (200, None)] in told
        assert max(map(len, told)) == 2
        assert len(good.requests) == 4


@pytest.mark.parametrize(
    ("request_bytes", "keyed", "status"),
    [
        (post(b"hello"), True, 502),
        (post(b"hello", "Idempotency-Key: 8e03978e"), False, 502),
        (post(b"hello", "Idempotency-Key: 8e03978e"), True, 200),
        (post(b"hello", "Idempotency-Key:"), True, 502),
        (post(b"hello", method="PATCH"), True, 502),
        (post(b"hello", method="PUT"), False, 200),
    ],
    ids=["post", "key-off", "key-on", "key-empty", "patch", "put"],
)
async def test_what_may_have_been_acted_on_goes_again_only_where_that_changes_nothing(
    request_bytes: bytes, keyed: bool, status: int
) -> None:
    async with (
        Upstream(resets) as bad,
        proxy(bad, upstream_options=retries(idempotency_key=keyed, attempts=2)) as gateway,
    ):
        client = await gateway.connect()
        await client.send(request_bytes)
        if status == 200:
            await until(lambda: len(bad.requests) == 2, "the request is sent twice")
            assert bad.requests[0] == bad.requests[1]
            assert (await client.answer()).status == 502
        else:
            assert (await client.answer()).status == status
            assert len(bad.requests) == 1


async def test_requests_that_go_again_are_divided_among_the_others() -> None:
    async with (
        Upstream(answers(BUSY)) as bad,
        Upstream(echo) as first,
        Upstream(echo) as second,
        proxy(
            [bad.url, first.url, second.url], upstream_options=retries(on=[503], budget={"percent": 100})
        ) as gateway,
    ):
        client = await gateway.connect()
        for _ in range(30):
            assert (await client.ask(get("/a"))).status == 200
        assert abs(len(first.requests) - len(second.requests)) <= 2


async def test_a_listed_status_is_given_up_for_another_answer_that_filters_see_alone() -> None:
    registry = test_filters("answers_seen")
    async with (
        Upstream(answers(BUSY, OK)) as upstream,
        proxy(
            upstream,
            upstream_options=retries(on=[503]),
            registry=registry,
            filters=[{"test.answers_seen": {}}],
        ) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.get("x-seen")) == (200, "200")
        record = await gateway.record()
        assert attempts(record) == [(503, "upstream_status_retried"), (200, None)]
        assert record["gateway.upstream.attempts"][1]["reused"], (
            "the first connection is fit for another request"
        )
        assert len(upstream.requests) == 2


async def test_the_last_answer_passes_as_it_is() -> None:
    async with (
        Upstream(answers(BUSY)) as upstream,
        proxy(upstream, upstream_options=retries(on=[503], attempts=3)) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.body) == (503, b"busy")
        record = await gateway.record()
        assert [status for status, _ in attempts(record)] == [503, 503, 503]
        assert record["gateway.reason"] == "passed"


@pytest.mark.parametrize(
    ("given", "sent"), [(b"0", 2), (b"3600", 1), (b"Thu, 01 Jan 2099 00:00:00 GMT", 1), (b"soon", 2)]
)
async def test_a_retry_after_is_waited_for_where_the_time_allows(given: bytes, sent: int) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: %b\r\nContent-Length: 4\r\n\r\nbusy" % given
    async with (
        Upstream(answers(busy, OK)) as upstream,
        proxy(upstream, upstream_options=retries(on=[503])) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, len(upstream.requests)) == (200 if sent == 2 else 503, sent)
        assert sent == 2 or answer.get("retry-after") == given.decode()


async def test_an_attempt_that_takes_too_long_is_made_again_elsewhere() -> None:
    async with (
        Upstream() as silent,
        Upstream(echo) as good,
        proxy(
            [silent.url, good.url], upstream_options=retries(on=["timeout"], per_try_timeout="100ms")
        ) as gateway,
    ):
        client = await gateway.connect()
        for _ in range(2):
            assert (await client.ask(get("/a"))).status == 200
        told = [attempts(record) for record in await gateway.records(2)]
        assert [(None, "upstream_try_timeout"), (200, None)] in told


async def test_a_post_that_was_sent_is_not_sent_again_when_its_attempt_takes_too_long() -> None:
    async with (
        Upstream() as silent,
        proxy(silent, upstream_options=retries(on=["timeout"], per_try_timeout="100ms")) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(post(b"hello"))
        assert answer.status == 504
        record = await gateway.record()
        assert (record["gateway.reason"], attempts(record)) == (
            "upstream_try_timeout",
            [(None, "upstream_try_timeout")],
        )
        assert len(silent.conversations) == 1


async def test_the_total_time_ends_all_attempts() -> None:
    async with (
        Upstream() as silent,
        proxy(
            silent,
            upstream_options={
                **retries(on=["timeout"], per_try_timeout="100ms", attempts=10),
                "timeouts": {"total": "250ms"},
            },
        ) as gateway,
    ):
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 504
        record = await gateway.record()
        assert 2 <= len(silent.conversations) <= 4
        assert record["gateway.reason"] in ("upstream_total_timeout", "upstream_try_timeout")


async def test_a_streamed_body_that_is_kept_goes_again_and_on() -> None:
    """The first connection breaks in the middle of the upload; the second gets all of it."""
    async with Upstream() as upstream, proxy(upstream, upstream_options=retries()) as gateway:
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await client.send(chunked(b"hello", end=False))
        first = await upstream.accepted()
        await first.request_head()
        assert await first.take(10) == b"5\r\nhello\r\n"
        first.reset()
        second = await upstream.accepted()
        await second.request_head()
        assert await second.take(10) == b"5\r\nhello\r\n"
        await client.send(chunked(b" world"))
        assert await second.take_until(b"0\r\n\r\n") == b"6\r\n world\r\n0\r\n\r\n"
        await second.send(OK)
        assert (await client.answer("PUT")).status == 200


async def test_a_streamed_body_whose_end_was_sent_goes_again_with_it() -> None:
    async with Upstream() as upstream, proxy(upstream, upstream_options=retries()) as gateway:
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        first = await upstream.accepted()
        await first.request_head()
        await client.send(b"world")
        assert await first.take(10) == b"helloworld"
        first.reset()
        second = await upstream.accepted()
        assert (await second.answer()).body == b"helloworld"
        assert (await client.answer("PUT")).status == 200


async def test_a_body_beyond_the_buffer_is_not_sent_again() -> None:
    async with Upstream() as upstream, proxy(upstream, upstream_options=retries(buffer="8B")) as gateway:
        client = await gateway.connect()
        await client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nhello")
        first = await upstream.accepted()
        await first.request_head()
        await client.send(b"world")
        assert await first.take(10) == b"helloworld"
        first.reset()
        assert (await client.answer("PUT")).status == 502
        assert len(upstream.conversations) == 1


async def test_no_connection_means_nothing_was_sent_and_any_request_goes_again() -> None:
    async with Upstream(echo) as upstream:
        dead = f"http://127.0.0.1:{closed_port()}"
        async with proxy([dead, upstream.url], upstream_options=retries(on=["refused"])) as gateway:
            client = await gateway.connect()
            for _ in range(4):
                assert (await client.ask(post(b"hello"))).status == 200
            assert len(upstream.requests) == 4
            told = [attempts(record) for record in await gateway.records(4)]
            assert [(None, "upstream_connect_failed"), (200, None)] in told


async def test_what_is_not_listed_is_not_tried_again() -> None:
    dead = [f"http://127.0.0.1:{closed_port()}" for _ in range(2)]
    async with proxy(dead, upstream_options=retries(on=["reset"])) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 503
        assert len(attempts(await gateway.record())) == 1


async def test_an_answer_that_has_begun_is_never_given_up() -> None:
    async with Upstream() as upstream, proxy(upstream, upstream_options=retries()) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 2")
        conversation.half_close()
        assert (await client.answer()).status == 502
        assert len(upstream.conversations) == 1


async def test_a_client_that_leaves_during_a_pause_ends_it() -> None:
    async with (
        Upstream(answers(BUSY)) as upstream,
        proxy(
            upstream,
            upstream_options={
                "retries": {"on": [503], "backoff": {"base": "1h", "max": "1h"}},
                "timeouts": {"total": "2h"},
            },
        ) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/a"))
        await until(lambda: len(upstream.requests) == 1, "the request is sent")
        pool = gateway.pools["main"]
        assert pool.retry is not None
        budget = pool.retry.budget
        await until(lambda: budget.retrying == 1, "a retry is put off")
        client.reset()
        record = await gateway.record()
        assert record["gateway.reason"] == "client_disconnected"
        assert attempts(record) == [(503, "upstream_status_retried")]
        assert (budget.active, budget.retrying) == (0, 0)


NO_BUDGET = {"percent": 0, "min_concurrent": 0, "min_per_second": 0}


@pytest.mark.parametrize("request_bytes", [get("/a"), post(b"hello")], ids=["get", "post"])
async def test_a_used_up_budget_keeps_no_request_from_an_endpoint_that_is_there(request_bytes: bytes) -> None:
    dead = [f"http://127.0.0.1:{closed_port()}" for _ in range(2)]
    async with (
        Upstream(answers(OK)) as good,
        proxy([*dead, good.url], upstream_options=retries(budget=NO_BUDGET)) as gateway,
    ):
        client = await gateway.connect()
        for _ in range(60):
            assert (await client.ask(request_bytes)).status == 200
        retry = gateway.pools["main"].retry
        assert retry is not None
        assert retry.made == 0
        assert retry.over_budget > 0
        assert (retry.budget.active, retry.budget.retrying) == (0, 0)
        assert len(good.requests) == 60


async def test_without_budget_there_are_no_more_attempts_than_with_one() -> None:
    dead = [f"http://127.0.0.1:{closed_port()}" for _ in range(6)]
    async with proxy(dead, upstream_options=retries(attempts=2, budget=NO_BUDGET)) as gateway:
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 503
        assert len(attempts(await gateway.record())) == 2


async def test_without_budget_an_outage_of_all_endpoints_is_not_multiplied() -> None:
    dead = [f"http://127.0.0.1:{closed_port()}" for _ in range(3)]
    loop = asyncio.get_running_loop()
    async with proxy(dead, upstream_options=retries(budget=NO_BUDGET)) as gateway:
        began = loop.time()
        made = await outage(gateway, 20)
        # One each, and of every endpoint once a second what it takes to see that it is still out of reach.
        assert made <= 100 + 20 * len(dead) * (1 + (loop.time() - began) / OUT_OF_REACH)


async def test_a_failure_that_is_not_listed_goes_nowhere_else() -> None:
    async with Upstream(answers(OK)) as good:
        dead = f"http://127.0.0.1:{closed_port()}"
        async with proxy([dead, good.url], upstream_options=retries(on=["reset"])) as gateway:
            client = await gateway.connect()
            found = [(await client.ask(get("/a"))).status for _ in range(20)]
            assert found.count(503) == found.count(200) == 10


async def outage(gateway: Running, count: int) -> int:
    """Asks `count` times at once, and again; how many attempts that made."""
    clients = [await gateway.connect() for _ in range(count)]
    for _ in range(5):
        found = await asyncio.gather(*(client.ask(get("/a")) for client in clients))
        assert {answer.status for answer in found} <= {502, 503}
    return sum(len(attempts(record)) for record in await gateway.records(5 * count))


@pytest.mark.parametrize("refused", [True, False])
async def test_an_outage_is_not_multiplied(refused: bool) -> None:
    budget = {"percent": 20, "min_concurrent": 2, "min_per_second": 0.5}
    async with Upstream(resets) as bad:
        endpoint = f"http://127.0.0.1:{closed_port()}" if refused else bad.url
        async with proxy([endpoint], upstream_options=retries(attempts=5, budget=budget)) as gateway:
            made = await outage(gateway, 20)
            pool = gateway.pools["main"]
            assert pool.retry is not None
            # A fifth of a hundred, and what the least rate allows in ten seconds and the seconds that it took.
            assert 100 < made <= 100 + 20 + 5 + 5
            assert pool.retry.made == made - 100
            assert pool.retry.over_budget > 0
            assert (pool.retry.budget.active, pool.retry.budget.retrying) == (0, 0)
