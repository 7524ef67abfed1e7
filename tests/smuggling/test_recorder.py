"""The recorder keeps what came, whole or not, and answers what is whole."""

import asyncio
import socket

from tests.smuggling.recorder import Recorder
from tests.support.client import Client
from tests.support.deadline import until

HEAD = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"


async def connect(recorder: Recorder) -> Client:
    sock = socket.socket()
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", recorder.port))
    return Client(sock, "gateway")


async def test_each_whole_request_is_kept_and_answered_by_its_number() -> None:
    async with Recorder() as recorder, await connect(recorder) as client:
        await client.send_split(HEAD + b"\r\nhello" + b"HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n")
        answers = [await client.answer("POST"), await client.answer("HEAD")]
        assert [answer.get("x-seen") for answer in answers] == ["0", "1"]
        assert [answer.body for answer in answers] == [b"ok", b""]
        assert [(entry.message.target, entry.whole) for entry in recorder.entries] == [
            (b"/a", True),
            (b"/b", True),
        ]
        assert recorder.strays == []
        recorder.forget()
        assert recorder.entries == []


async def test_a_request_that_was_broken_off_is_kept_in_part() -> None:
    async with Recorder() as recorder:
        async with await connect(recorder) as client:
            await client.send(HEAD + b"\r\nhel")
        await until(lambda: bool(recorder.entries), "the end of the connection is seen")
        (entry,) = recorder.entries
        assert (entry.message.body, entry.whole) == (b"hel", False)


async def test_what_is_no_request_is_stray() -> None:
    async with Recorder() as recorder:
        async with await connect(recorder) as client:
            await client.send(HEAD + b"\r\nhelloX\x00\r\n")
            await client.gone()
        async with await connect(recorder) as client:
            await client.send(b"GET /a HT")
        await until(lambda: len(recorder.strays) == 2, "the end of the connection is seen")
        first, second = recorder.strays
        assert (first.data, first.reason) == (b"X\x00\r\n", "request line")
        assert first.behind is not None
        assert first.behind.target == b"/a"
        assert second.data == b"GET /a HT"


async def test_an_expectation_is_met() -> None:
    async with Recorder() as recorder, await connect(recorder) as client:
        await client.send(HEAD + b"Expect: 100-continue\r\n\r\n")
        assert await client.status() == 100
        await client.send(b"hello")
        assert (await client.answer("POST")).status == 200


async def test_an_eager_one_answers_before_the_body() -> None:
    async with Recorder(eager=True) as recorder, await connect(recorder) as client:
        await client.send(HEAD + b"\r\nhe")
        assert (await client.answer("POST")).get("x-seen") == "0"
        assert recorder.entries == []
        await client.send(b"llo" + HEAD + b"\r\nhello")
        assert (await client.answer("POST")).get("x-seen") == "1"
        assert [entry.message.body for entry in recorder.entries] == [b"hello", b"hello"]


async def test_an_upgrade_is_taken_where_the_recorder_switches() -> None:
    async with Recorder(switches=True) as recorder, await connect(recorder) as client:
        await client.send(b"GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\nGET /b")
        head = await client.head()
        assert (head.first[:12], head.get("upgrade"), head.get("x-seen")) == (b"HTTP/1.1 101", "x", "0")
        (entry,) = recorder.entries
        assert entry.tunnel is not None
        assert (entry.message.target, bytes(entry.tunnel)) == (b"/a", b"GET /b")
        await client.send(b" HTTP/1.1\r\n\r\n")
        brought = entry.tunnel
        await until(lambda: bytes(brought) == b"GET /b HTTP/1.1\r\n\r\n", "the tunnel brings the rest")
        assert (len(recorder.entries), recorder.strays) == (1, [])
