"""WebSocket (RFC 6455) through a tunnel, with aiohttp's own server and client at its ends: an echo, in the manner of
the Autobahn test suite."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from typing import NamedTuple

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from tests.support.client import Client, get
from tests.support.deadline import within
from tests.support.gateway import Running, proxy
from tests.support.message import status_of

MIB = 1 << 20
_ROUTES = [{"name": "ws", "path": "/{rest*}", "upstream": "main", "upgrade": ["websocket"]}]
_KEY = ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")


class Echo(NamedTuple):
    """A gateway in front of a server that echoes messages, and a session of a client."""

    gateway: Running
    session: aiohttp.ClientSession
    closes: list[int | None]
    """The close codes that the server has seen."""

    def connect(
        self, *, compress: int = 0, autoping: bool = True, protocols: tuple[str, ...] = ()
    ) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        return self.session.ws_connect(
            f"{self.gateway.url}/ws",
            compress=compress,
            autoping=autoping,
            protocols=protocols,
            max_msg_size=8 * MIB,
        )


@asynccontextmanager
async def echoing(*, compress: bool = False) -> AsyncIterator[Echo]:
    closes: list[int | None] = []

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(
            compress=compress, max_msg_size=8 * MIB, protocols=("echo.1",), autoping=True
        )
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
            elif message.data.startswith("close "):
                await socket.close(code=int(message.data[6:]), message=b"as asked")
            elif message.data == "vanish":
                assert request.transport is not None
                request.transport.abort()
            else:
                await socket.send_str(message.data)
        closes.append(socket.close_code)
        return socket

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=403, text="no")

    application = web.Application()
    application.router.add_get("/ws", echo)
    application.router.add_get("/refused", refuse)
    runner = web.AppRunner(application, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with (
            proxy([f"http://127.0.0.1:{port}"], routes=_ROUTES) as gateway,
            aiohttp.ClientSession() as session,
        ):
            yield Echo(gateway, session, closes)
    finally:
        await runner.cleanup()


SIZES = (0, 1, 125, 126, 127, 128, 65535, 65536, 65537, MIB)
"""Where the form of a frame's length changes, and beyond the buffers on the way."""


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
async def test_text_and_binary_messages_of_all_sizes_come_back(compress: bool) -> None:
    async with echoing(compress=compress) as made:
        async with made.connect(compress=15 if compress else 0) as socket:
            assert bool(socket.compress) == compress
            for size in SIZES:
                text = ("žluťoučký kůň " * (size // 14 + 1))[:size]
                await socket.send_str(text)
                assert await within(socket.receive_str(), "a text") == text
                data = os.urandom(size)
                await socket.send_bytes(data)
                assert await within(socket.receive_bytes(), "bytes") == data
        record = await made.gateway.record()
        assert made.closes == [1000]
        assert record["gateway.reason"] in ("tunnel_client_closed", "tunnel_upstream_closed")
        assert record["gateway.decision"] == "forward"
        carried = record["http.response.body.size"]
        # Random bytes do not shrink, texts do.
        assert (carried < 1.2 * sum(SIZES)) == compress
        assert carried > sum(SIZES)


async def test_many_messages_in_flight_keep_their_order() -> None:
    async with echoing() as made, made.connect() as socket:
        sent = [os.urandom(1 + number * 37 % 5000) for number in range(500)]

        async def send() -> None:
            for data in sent:
                await socket.send_bytes(data)

        sending = asyncio.ensure_future(send())
        assert [await within(socket.receive_bytes(), "bytes") for _ in sent] == sent
        await sending


async def test_many_tunnels_at_once_are_kept_apart() -> None:
    async with echoing() as made:

        async def talk(name: str) -> None:
            async with made.connect() as socket:
                for number in range(20):
                    await socket.send_str(f"{name} {number}")
                    assert await within(socket.receive_str(), "a text") == f"{name} {number}"

        await asyncio.gather(*(talk(f"talker {number}") for number in range(20)))
        records = await made.gateway.records(20)
        assert {record["http.response.status_code"] for record in records} == {101}
        assert made.gateway.listener.tunnels == 0


async def test_a_ping_is_answered_by_the_other_end() -> None:
    async with echoing() as made, made.connect(autoping=False) as socket:
        for payload in (b"", b"are you there", os.urandom(125)):
            await socket.ping(payload)
            message = await within(socket.receive(), "a pong")
            assert (message.type, message.data) == (WSMsgType.PONG, payload)
        await socket.pong(b"unasked")
        await socket.send_str("on")
        assert await within(socket.receive_str(), "a text") == "on"


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1008, 1009, 1011, 3000, 4999])
async def test_close_codes_reach_the_other_end_both_ways(code: int) -> None:
    async with echoing() as made:
        async with made.connect() as socket:
            assert await within(socket.close(code=code, message=b"bye"), "the close")
        async with made.connect() as socket:
            await socket.send_str(f"close {code}")
            message = await within(socket.receive(), "a close")
            assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, code, "as asked")
        for record in await made.gateway.records(2):
            assert record["gateway.reason"] in ("tunnel_client_closed", "tunnel_upstream_closed")
        assert made.closes == [code, 1000], "what aiohttp's client answers to a close"


async def test_an_end_that_vanishes_is_an_abnormal_closure() -> None:
    async with echoing() as made:
        async with made.connect() as socket:
            await socket.send_str("vanish")
            message = await within(socket.receive(), "the end")
            assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSING)
            assert socket.close_code == 1006
        assert (await made.gateway.record())["gateway.reason"] == "tunnel_upstream_closed"


async def test_a_subprotocol_is_negotiated() -> None:
    async with echoing() as made, made.connect(protocols=("echo.2", "echo.1")) as socket:
        assert socket.protocol == "echo.1"


async def test_a_refused_handshake_is_an_ordinary_answer() -> None:
    async with echoing() as made:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await made.session.ws_connect(f"{made.gateway.url}/refused")
        assert refused.value.status == 403
        assert (await made.gateway.record())["gateway.reason"] == "passed"


# ---- frames that aiohttp's client does not send


def frame(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    """A masked frame (RFC 6455 section 5.2)."""
    mask = b"\x01\x02\x03\x04"
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = b"\xfe" + struct.pack("!H", size)
    else:
        length = b"\xff" + struct.pack("!Q", size)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    return bytes([final << 7 | opcode]) + length + mask + masked


async def read_frame(client: Client) -> tuple[int, bytes]:
    first, second = await client.take(2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", await client.take(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await client.take(8))
    assert first & 0x80 and not second & 0x80, "the server sends whole messages, not masked"
    return first & 0x0F, await client.take(size)


@pytest.mark.parametrize("early", [False, True], ids=["behind the 101", "behind the request"])
async def test_a_fragmented_message_with_a_ping_in_it_comes_back_whole(early: bool) -> None:
    """Each frame cut into segments at every byte; also where the client does not wait for the 101."""
    text = "Dobrý den, žluťoučký koni.".encode()
    cuts = [0, 4, 5, 5, 11, len(text)]
    pieces = [text[begin:end] for begin, end in pairwise(cuts)]
    frames = [
        frame(0x1 if number == 0 else 0x0, piece, final=number == len(pieces) - 1)
        for number, piece in enumerate(pieces)
    ]
    frames.insert(2, frame(0x9, b"ping"))
    async with echoing() as made:
        client = await made.gateway.connect()
        await client.send(get("/ws", "Connection: Upgrade", "Upgrade: websocket", *_KEY))
        if not early:
            assert status_of(await client.head())[0] == 101
        await client.send_split(b"".join(frames))
        if early:
            assert status_of(await client.head())[0] == 101
        assert await read_frame(client) == (0xA, b"ping")
        assert await read_frame(client) == (0x1, text)
        await client.send(frame(0x8, struct.pack("!H", 1000) + b"done"))
        opcode, payload = await read_frame(client)
        assert (opcode, payload[:2]) == (0x8, struct.pack("!H", 1000))
        client.half_close()
        await client.ended()
        assert made.closes == [1000]


async def test_a_malformed_frame_is_the_other_ends_to_refuse() -> None:
    async with echoing() as made:
        client = await made.gateway.connect()
        await client.send(get("/ws", "Connection: Upgrade", "Upgrade: websocket", *_KEY))
        assert status_of(await client.head())[0] == 101
        await client.send(b"\x83\x80\x00\x00\x00\x00")  # opcode 3 is reserved
        opcode, payload = await read_frame(client)
        assert (opcode, payload[:2]) == (0x8, struct.pack("!H", 1002))
