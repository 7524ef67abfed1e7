"""The two ends that are played."""

import asyncio
from typing import Any

import pytest

from gateway.trial.given import Answer
from gateway.trial.memory import MemoryUpstream, answer_bytes
from gateway.upstream.connection import Owner


class _Nobody(Owner):
    def on_progress(self) -> None: ...
    def on_writable(self) -> None: ...


@pytest.mark.parametrize(
    ("head", "pieces"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", []),
        (b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\n", [b"ab", b"cd"]),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", [b"2\r\nab\r\n", b"0\r\n\r\n"]),
    ],
)
async def test_a_request_is_answered_when_it_is_whole(head: bytes, pieces: list[bytes]) -> None:
    taken: list[bytes] = []
    upstream = MemoryUpstream(taken.append)
    upstream.answer = Answer(200, (), b"ok")
    connection = await upstream.connect()
    connection.begin(_Nobody(), head, no_body=False)
    for piece in pieces:
        assert not taken
        connection.write(piece)
    assert taken == [head + b"".join(pieces)]
    await asyncio.sleep(0)
    assert (connection.status, connection.take(), connection.complete) == (200, b"ok", True)


async def test_where_no_answer_is_known_there_is_none() -> None:
    taken: list[bytes] = []
    connection = await MemoryUpstream(taken.append).connect()
    connection.begin(_Nobody(), b"GET / HTTP/1.1\r\n\r\n", no_body=False)
    await asyncio.sleep(0)
    assert taken and not connection.head_done


@pytest.mark.parametrize(
    ("answer", "to_head", "message"),
    [
        (Answer(200, (), b"ok"), False, b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"),
        (Answer(200, (("content-length", "2"),), b"ok"), True, b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\n"),
        (Answer(204), False, b"HTTP/1.1 204 \r\n\r\n"),
        (
            Answer(200, (("Transfer-Encoding", "chunked"),), b"0\r\n\r\n"),
            False,
            b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ],
)
def test_an_answer_is_framed(answer: Answer, to_head: bool, message: Any) -> None:
    assert answer_bytes(answer, to_head=to_head) == message
