"""How supervisor and workers talk."""

import asyncio
import struct
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.model import Address
from gateway.registry import Registry
from gateway.supervisor import message

SHIPPED = Path(__file__).parents[2] / "config"


def reader(data: bytes) -> asyncio.StreamReader:
    made = asyncio.StreamReader()
    made.feed_data(data)
    made.feed_eof()
    return made


async def test_messages_arrive_as_they_were_sent_one_after_another() -> None:
    begin = message.Begin(1, 2, console=False)
    commit = message.Commit((message.Handed(3, Address("127.0.0.1", 80), 2),))
    stream = reader(message.frame(0, begin) + message.frame(7, commit))
    assert await message.receive(stream) == (0, begin)
    assert await message.receive(stream) == (7, commit)
    with pytest.raises(EOFError):
        await message.receive(stream)


@pytest.mark.parametrize(
    "path", [SHIPPED / "gateway.yaml", *sorted(SHIPPED.glob("examples/*.yaml"))], ids=lambda path: path.name
)
async def test_a_configuration_arrives_whole(path: Path) -> None:
    """With its positions, and with the secrets that were read by then: a worker reads no file of them again."""
    loaded = load(path, registry=Registry())
    _, told = await message.receive(reader(message.frame(1, message.Prepare(loaded))))
    assert told.loaded.configuration == loaded.configuration
    assert told.loaded.revision == loaded.revision
    place = ("upstreams",)
    assert told.loaded.marks.position(place) == loaded.marks.position(place)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\0", message.frame(1, "x")[:-1], struct.pack("!I", message.MAX_FRAME + 1) + b"x"],
    ids=["nothing", "a piece of a length", "a piece of a message", "too long"],
)
async def test_a_broken_stream_is_an_end(data: bytes) -> None:
    with pytest.raises(EOFError):
        await message.receive(reader(data))
