"""A bug in a filter, a renderer or a callback costs one exchange and tells the client nothing."""

import asyncio

import pytest

from tests.support.client import chunked, get, post
from tests.support.deadline import until
from tests.support.expect import marked
from tests.support.filters import Hold, RaiseInDefer, Seen
from tests.support.gateway import proxy, test_filters
from tests.support.message import read_answer_body, read_request_body
from tests.support.upstream import Upstream, answers, echo


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """What the filters of other tests have seen."""
    Seen.events.clear()
    RaiseInDefer.ran.clear()
    Hold.events.clear()


@pytest.mark.parametrize("name", ["raise_on_request", "raise_later", "wrong_verdict"])
async def test_a_bug_on_the_way_inward_is_a_500_that_names_the_filter_in_the_record_only(name: str) -> None:
    registry = test_filters("seen", name)
    filters = [{"test.seen": {}}, {f"test.{name}": {"name": "broken"}}]
    async with Upstream(echo) as upstream, proxy(upstream, registry=registry, filters=filters) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.fault, answer.closes) == (500, "computeFault", False)
        text = answer.body.decode()
        assert "broken" not in text and "secret" not in text and "Error" not in text
        marked(answer)
        assert answer.get("x-seen") == "yes", "the filter that passed the request sees the answer"
        assert Seen.events == ["request GET", "response 500", "over"]
        assert upstream.conversations == []
        record = await gateway.record()
        assert (record["gateway.reason"], record["gateway.filter"]) == ("filter_failed", "broken")
        assert record["gateway.source"].startswith("gateway.yaml:")
        assert record["gateway.filters"][1]["verdict"] == "error"
        assert "secret" not in str(record)
        assert gateway.bugs == ["broken.on_request"]
        # The next exchange finds everything as it was.
        assert (await client.ask(get("/b"))).status == 500
        assert gateway.bugs == ["broken.on_request"]


@pytest.mark.parametrize(
    "what",
    [
        *(
            "fault status",
            "fault status beyond",
            "fault retry_after",
            "fault rule",
            "response body",
            "note rule",
        ),
        *("attribute", "cancelled", "no response", "status", "phrase", "body", "wrapper"),
    ],
)
async def test_a_value_that_no_answer_can_be_made_of_is_a_500_that_names_the_filter(what: str) -> None:
    registry = test_filters("seen", "misfit")
    filters: list[dict[str, object]] = [{"test.seen": {}}, {"test.misfit": {"name": "odd", "what": what}}]
    async with Upstream(echo) as upstream, proxy(upstream, registry=registry, filters=filters) as gateway:
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.fault, answer.closes) == (500, "computeFault", False)
        if what != "wrapper":  # it is met when the filters are done with the answer
            assert answer.get("x-seen") == "yes"
        record = await gateway.record()
        assert (record["gateway.reason"], record["gateway.filter"]) == ("filter_failed", "odd")
        assert (await client.ask(get("/b"))).status == 500, "the connection is as good as before"
        assert {where.partition(".")[0] for where in gateway.bugs} == {"odd"}


async def test_a_bug_on_the_way_outward_is_a_500_and_the_others_still_unwind() -> None:
    registry = test_filters("seen", "raise_on_response")
    filters = [{"test.seen": {}}, {"test.raise_on_response": {"name": "broken"}}]
    async with Upstream(echo) as upstream, proxy(upstream, registry=registry, filters=filters) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            Seen.events.clear()
            answer = await client.ask(get("/a"))
            assert (answer.status, answer.closes) == (500, False)
            assert "bytes" not in answer.body.decode() and "secret" not in answer.body.decode()
            assert answer.get("x-seen") == "yes"
            assert Seen.events == ["request GET", "response 500", "over"]
            marked(answer)
        record = (await gateway.records(2))[0]
        assert (record["gateway.reason"], record["gateway.filter"]) == ("filter_failed", "broken")
        assert gateway.bugs == ["broken.on_response"] * 2


async def test_a_bug_in_a_deferred_callback_keeps_no_other_from_running() -> None:
    registry = test_filters("raise_in_defer")
    async with (
        Upstream(echo) as upstream,
        proxy(upstream, registry=registry, filters=[{"test.raise_in_defer": {}}]) as gateway,
    ):
        client = await gateway.connect()
        assert (await client.ask(get("/a"))).status == 200
        assert RaiseInDefer.ran == ["last", "first"]
        assert gateway.bugs == ["defer"]
        assert (await gateway.record())["gateway.reason"] == "passed"
        assert (await client.ask(get("/a"))).status == 200
        assert gateway.bugs == ["defer"]


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "streamed"])
async def test_a_bug_in_a_request_body_wrapper_is_a_500_and_cuts_the_upstream_off(whole: bool) -> None:
    registry = test_filters("seen", "raise_in_body")
    filters = [{"test.seen": {}}, {"test.raise_in_body": {"name": "broken"}}]
    async with Upstream() as upstream, proxy(upstream, registry=registry, filters=filters) as gateway:
        client = await gateway.connect()
        if whole:
            await client.send(post(b"hello"))
        else:
            await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
            conversation = await upstream.accepted()
            await conversation.request_head()
            await client.send(b"hello")
        answer = await client.answer("POST")
        assert (answer.status, answer.closes) == (500, not whole)
        assert answer.get("x-seen") == "yes"
        if not whole:
            await conversation.gone()
            client.half_close()
        record = await gateway.record()
        assert (record["gateway.reason"], record["gateway.filter"]) == ("filter_failed", "broken")
        assert record["gateway.decision"] == "refuse"
        assert gateway.bugs == ["broken.body"]
        assert Seen.events == ["request POST", "response 500", "over"]


@pytest.mark.parametrize("after", [0, 5])
async def test_a_bug_in_an_answers_body_is_a_500_before_the_head_has_left_and_aborts_after(
    after: int,
) -> None:
    registry = test_filters("raise_in_answer")
    filters = [{"test.raise_in_answer": {"name": "broken", "after": after}}]
    async with Upstream() as upstream, proxy(upstream, registry=registry, filters=filters) as gateway:
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        await conversation.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        if after:
            assert b" 200 " in (await client.head()).first
            assert await client.take(5) == b"hello"
            await conversation.send(b"world")
            await client.ended()
        else:
            answer = await client.answer()
            assert (answer.status, answer.closes) == (500, False)
            assert "secret" not in answer.body.decode()
        await conversation.gone()
        record = await gateway.record()
        assert record["gateway.reason"] == "filter_failed"
        assert record["http.response.status_code"] == (200 if after else 500)
        if after:
            assert record["gateway.decision"] == "abort"
        assert gateway.bugs == ["broken.body"]


async def test_a_bug_in_an_answer_that_is_whole_at_once_is_a_500() -> None:
    registry = test_filters("raise_in_answer")
    filters = [{"test.raise_in_answer": {"after": 1}}]
    async with Upstream(echo) as upstream, proxy(upstream, registry=registry, filters=filters) as gateway:
        client = await gateway.connect()
        for _ in range(2):
            answer = await client.ask(get("/a"))
            assert (answer.status, answer.whole, answer.closes) == (500, True, False)
        assert len(gateway.bugs) == 2


async def test_a_bug_in_the_renderer_is_a_plain_500(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise ZeroDivisionError("secret detail of a bug")

    registry = test_filters("seen", "forbid")
    filters: list[dict[str, object]] = [{"test.seen": {}}, {"test.forbid": {}}]
    async with Upstream() as upstream, proxy(upstream, registry=registry, filters=filters) as gateway:
        client = await gateway.connect()
        monkeypatch.setattr("gateway.faults.json.dumps", broken)
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.closes) == (500, False)
        assert answer.body and b"secret" not in answer.body
        marked(answer)
        assert Seen.events == ["request GET", "response 500", "over"]
        assert gateway.bugs == ["render"]
        # A head that is refused before the chain is rendered as well.
        await client.send(get("/a/../b"))
        answer = await client.answer()
        assert answer.closes and answer.status in (400, 500)
        await client.ended()
        assert gateway.bugs == ["render"]


async def test_an_answer_of_a_filter_itself_leaves_through_those_that_passed_the_request() -> None:
    registry = test_filters("seen", "answers")
    async with (
        Upstream() as upstream,
        proxy(upstream, registry=registry, filters=[{"test.seen": {}}, {"test.answers": {}}]) as gateway,
    ):
        client = await gateway.connect()
        answer = await client.ask(get("/a"))
        assert (answer.status, answer.body, answer.get("x-seen")) == (299, b"mine", "yes")
        assert (await client.ask(get("/a", method="HEAD"))).get("content-length") == "4"
        record = (await gateway.records(2))[0]
        assert (record["gateway.decision"], record["gateway.reason"]) == ("answer", "answered")
        assert upstream.conversations == []


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"", 502), (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 502)],
    ids=["closed", "garbage"],
)
async def test_a_failure_of_the_upstream_leaves_through_the_filters_too(data: bytes, status: int) -> None:
    async with (
        Upstream() as upstream,
        proxy(upstream, registry=test_filters("seen"), filters=[{"test.seen": {}}]) as gateway,
    ):
        client = await gateway.connect()
        await client.send(get("/a"))
        conversation = await upstream.accepted()
        await conversation.request()
        if data:
            await conversation.send(data)
        else:
            conversation.half_close()
        answer = await client.answer()
        assert (answer.status, answer.get("x-seen")) == (status, "yes")
        assert Seen.events == ["request GET", f"response {status}", "over"]


async def test_404_and_405_of_the_router_leave_through_the_global_filters() -> None:
    routes = [{"name": "one", "path": "/one", "methods": ["GET"], "upstream": "main"}]
    async with Upstream() as upstream:
        registry = test_filters("seen")
        async with proxy(upstream, routes=routes, registry=registry, filters=[{"test.seen": {}}]) as gateway:
            client = await gateway.connect()
            assert (await client.ask(get("/two"))).get("x-seen") == "yes"
            assert (await client.ask(get("/one", method="PUT"))).get("x-seen") == "yes"
            assert Seen.events.count("over") == 2


async def test_what_was_deferred_runs_once_however_the_exchange_ends() -> None:
    Hold.gate = asyncio.Event()
    registry = test_filters("hold")
    async with (
        Upstream(answers(b"")) as upstream,
        proxy(upstream, registry=registry, filters=[{"test.hold": {}}]) as gateway,
    ):
        clients = [await gateway.connect() for _ in range(3)]
        for client in clients:
            await client.send(get("/a"))
        await until(lambda: Hold.events.count("waits") == 3, "all wait")
        for client in clients:
            client.reset()
        await until(lambda: Hold.events.count("over") == 3, "each is over")
        await gateway.records(3)
        assert Hold.events.count("over") == 3


@pytest.mark.parametrize("value", [None, "3", "999"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("coding", ["length", "chunked"])
async def test_a_filter_cannot_falsify_the_length_of_a_message(
    value: str | None, streamed: bool, coding: str
) -> None:
    """P13: what frames a message is the core's own business, whatever a filter leaves among the fields."""
    registry = test_filters("wrong_length")
    filters: list[dict[str, object]] = [{"test.wrong_length": {"value": value}}]
    async with Upstream() as upstream, proxy(upstream, registry=registry, filters=filters) as gateway:
        client = await gateway.connect()
        field = "Content-Length: 5" if coding == "length" else "Transfer-Encoding: chunked"
        body = b"hello" if coding == "length" else chunked(b"hello")
        head = f"POST /a HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n".encode()
        await client.send(head if streamed else head + body)
        conversation = await upstream.accepted()
        parts = await conversation.request_head()
        if streamed:
            await client.send(body)
        received = await read_request_body(conversation, parts.method, parts.target, parts.head)
        assert (received.body, received.whole) == (b"hello", True)
        head = f"HTTP/1.1 200 OK\r\n{field}\r\n\r\n".encode()
        await conversation.send(head if streamed else head + body)
        answer_head = await client.head()
        if streamed:
            await conversation.send(body)
        answer = await read_answer_body(client, answer_head, "POST")
        assert (answer.body, answer.whole) == (b"hello", True)
        # Both connections are where they should be.
        await client.send(get("/b"))
        await conversation.answer()
        assert (await client.answer()).body == b"ok"


async def test_a_malformed_body_is_answered_through_the_filters_that_passed_its_head() -> None:
    """The balance rule: they let the request pass, so they see the answer."""
    filters = [{"headers": {"response": {"set": {"X-Outer": "seen"}}}}]
    async with Upstream() as upstream, proxy(upstream, filters=filters) as gateway:
        client = await gateway.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await (await upstream.accepted()).request_head()
        await client.send(b"zz\r\n")
        answer = await client.answer("POST")
        assert (answer.status, answer.get("x-outer"), answer.closes) == (400, "seen", True)
        record = await gateway.record()
        assert (record["gateway.decision"], record["gateway.reason"]) == ("refuse", "framing_invalid")
