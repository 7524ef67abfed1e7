"""The rig condemns a proxy that looks at the first request line of a connection only."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing

import pytest

from tests.smuggling.catalogue import CHUNKED, NEXT, chunks, length, request
from tests.smuggling.recorder import Recorder
from tests.smuggling.rig import Case, Rig, Setting, confirmed, rig
from tests.smuggling.spelling import SMUGGLED

OURS = (
    b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: %b\r\nVia: 1.1 weir-test\r\n"
    b"X-Openstack-Request-Id: req-70a599e0-31e7-49b7-b260-868f441e862b\r\n\r\n"
)
Rewrite = Callable[[bytes], bytes]


@asynccontextmanager
async def naive(rewrite: Rewrite = lambda data: data) -> AsyncIterator[Rig]:
    """A proxy that adds its fields to the first head and lets everything else pass."""
    serving: set[asyncio.Task[None]] = set()
    async with Recorder() as recorder:

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            serving.add(task)
            task.add_done_callback(serving.discard)
            with closing(writer):
                data = rewrite(await reader.read())
                peer = writer.get_extra_info("peername")[0].encode()
                head, end, rest = data.partition(b"\r\n\r\n")
                if end:
                    host = b"plain.test" if b"plain.test" in head else b"api.test"
                    head += b"\r\n" + OURS % (peer, host)
                inward, outward = await asyncio.open_connection("127.0.0.1", recorder.port)
                with closing(outward):
                    outward.write(head + rest)
                    outward.write_eof()
                    writer.write(await inward.read())

        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(serve, sock=sock)
        try:
            yield Rig(Setting(), sock.getsockname(), recorder)
        finally:
            server.close()
            await server.wait_closed()
            # A connection that was condemned may wait for an answer that never comes.
            ending = list(serving)
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)


async def test_what_passes_unchanged_is_right() -> None:
    async with naive() as made:
        for data in (NEXT, request(length(5), body=b"hello"), request(body=b"")):
            assert await made.play_alone(Case(data)) is None
        assert made.forwarded == 3


@pytest.mark.parametrize(
    "data",
    [
        NEXT + SMUGGLED,
        request(length(4), CHUNKED, body=chunks(b"hello")),
        request(length(5), body=b"hello" + SMUGGLED),
        request(b"Content-Length: 0\r\n", length(5), body=b"hello"),
        request(CHUNKED, body=b"5;\nhello\r\n0\r\n\r\n"),
        request(b"X-A: b\nX-B: c\r\n"),
        request(b"Connection: X-A\r\n"),
        b"\n" + NEXT,
    ],
)
async def test_what_passes_and_should_not_is_condemned(data: bytes) -> None:
    async with naive() as made:
        assert await made.play_alone(Case(data)) is not None


async def test_a_changed_request_is_condemned() -> None:
    async with naive(lambda data: data.replace(b"/../", b"/")) as made:
        assert await made.play_alone(Case(request(target=b"/a/b"))) is None
        assert await made.play_alone(Case(request(target=b"/a/../b"))) is not None


async def test_an_exchange_that_suffers_from_the_one_before_is_condemned() -> None:
    async with naive(lambda data: data.replace(b"/plain/", b"/smuggled/")) as made:
        problem = await made.play_alone(Case(NEXT))
        assert problem is not None
        assert problem.startswith("the next exchange")


async def test_a_client_that_waits_for_its_answers_gets_them() -> None:
    async with rig(Setting(patient=True)) as made:
        assert await made.play_alone(Case(NEXT * 3)) is None
        assert await made.play_alone(Case(NEXT + request(length(5), body=b"hel"))) is None
        assert made.forwarded == 4


async def test_a_tunnel_is_judged_by_what_it_brings() -> None:
    upgrade = b"GET /a HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with rig(Setting(tunnel=True)) as made:
        for behind in (b"", b"hello", NEXT + b"\x00"):
            assert await made.play_alone(Case(upgrade + behind)) is None
            assert (
                await made.play_alone(Case(NEXT + upgrade + behind, (len(NEXT + upgrade),), asks=True))
                is None
            )
        assert made.forwarded == 9
        assert await made.play_alone(Case(upgrade.replace(b"websocket", b"h2c") + NEXT)) is None


async def test_nothing_to_confirm_is_nothing() -> None:
    assert await confirmed([]) == []
