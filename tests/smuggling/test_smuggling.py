"""Nothing reaches the upstream as something that the client did not send as such (RFC 9112 section 11.2).

The catalogue, each byte in each place, splits at every byte, and generated cases, all judged by the reference parser.
`python -m tests.smuggling` generates for as long as one likes.
"""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from itertools import islice

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings

from tests.smuggling.catalogue import CATALOGUE, DIALOGUES, PLACES, SWEPT, with_byte
from tests.smuggling.grammar import asked, cases, dialogues, seeded
from tests.smuggling.rig import SETTINGS, Case, Setting, rig, run

NAMES = {Case(data): name for name, data in CATALOGUE.items()}
NAMES |= {asked(segments): f"dialogue: {name}" for name, segments in DIALOGUES.items()}


async def nothing_fails(played: Iterable[Case], setting: Setting, *, forwarded: int) -> None:
    """Plays the cases; a gateway that refused them all would tell nothing, so some have to be forwarded."""
    tally = await run(played, setting)
    told = [f"{NAMES.get(failure.case, '')} {failure}" for failure in tally.failures]
    assert not told, f"{len(told)} of {tally.played}\n" + "\n".join(told[:40])
    assert tally.forwarded >= forwarded, tally.forwarded


@pytest.mark.parametrize("setting", SETTINGS, ids=["plain", "lenient", "collect", "eager", "tunnel"])
async def test_the_catalogue(setting: Setting) -> None:
    await nothing_fails([Case(data) for data in CATALOGUE.values()], setting, forwarded=1000)


async def test_the_dialogues_of_the_catalogue() -> None:
    """A gateway may know a head from its last request; it is judged as if it had come for the first time."""
    await nothing_fails(dialogues(), SETTINGS[1], forwarded=1500)


async def test_each_byte_in_each_place() -> None:
    payloads = [Case(with_byte(place, byte)) for place in PLACES.values() for byte in SWEPT]
    await nothing_fails(payloads, SETTINGS[1], forwarded=2000)


SPLIT = (
    "framing: CL.TE: plain",
    "framing: TE.CL: plain",
    "framing: TE only: plain",
    "framing: TE only: space before the colon",
    "framing: TE only: folded before the value",
    "framing: TE only: ended by a bare LF",
    "framing: TE only: lines: identity, chunked",
    "framing: TE in HTTP/1.0: plain",
    "length: length: plain",
    "length: length: list of equals",
    "length: lengths 5 and 6",
    "length: length of a GET: plain",
    "chunks: chunk size: plain",
    "chunks: chunk size: many leading zeros",
    "chunks: chunk size: extension with a quoted value",
    "chunks: chunk size: a line end in quotes",
    "chunks: chunk size: ended by a bare LF",
    "chunks: chunk size: CR and a letter for LF",
    "chunks: chunk size: beyond 64 bits",
    "chunks: chunk size: an empty extension and one",
    "chunks: chunk end: CR and a letter",
    "chunks: chunk end: nothing",
    "chunks: last chunk: trailer",
    "chunks: last chunk: trailer Host",
    "chunks: last chunk: the empty line by LF",
    "chunks: last chunk: ended by CR CR LF",
    "chunks: TERM.EXT",
    "head: before the first request: an empty line",
    "head: before the second request: CR",
    "head: before the second request: CR CR LF",
    "head: request line: two spaces before the target",
    "head: request line end: CR CR LF",
    "stream: of all kinds",
    "stream: malformed second",
    "stream: behind close and a body",
    "stream: behind an expectation",
    "stream: behind an upgrade to websocket and a body",
    "stream: the end inside a chunk",
)


async def test_a_request_split_at_every_byte() -> None:
    payloads = [CATALOGUE[name] for name in SPLIT]
    played = [Case(data, (cut,)) for data in payloads for cut in range(1, len(data))]
    played += [Case(data, tuple(range(1, len(data)))) for data in payloads]
    await nothing_fails(played, SETTINGS[0], forwarded=4000)


@pytest.mark.parametrize("setting", SETTINGS, ids=["plain", "lenient", "collect", "eager", "tunnel"])
async def test_generated_cases(setting: Setting) -> None:
    seed = 2000 + SETTINGS.index(setting)
    await nothing_fails(islice(seeded(seed), 1000), setting, forwarded=300)


def test_cases_that_hypothesis_draws() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()
        made = runner.run(stack.enter_async_context(rig(SETTINGS[1])))

        @settings(max_examples=300, suppress_health_check=list(HealthCheck))
        @given(cases())
        def right(case: Case) -> None:
            assert runner.run(made.play_alone(case)) is None

        try:
            right()
        finally:
            runner.run(stack.aclose())


PASSES: dict[str, int] = {
    "stream: two": 2,
    "stream: twenty": 20,
    "stream: twenty with bodies": 20,
    "stream: of all kinds": 6,
    "stream: empty lines between": 3,
    "stream: behind close": 1,
    "stream: behind HTTP/1.0": 1,
    "stream: behind an expectation": 2,
    "stream: behind an expectation and chunks": 2,
    "stream: behind HEAD with a body": 2,
    "stream: a request in a body": 2,
    "stream: requests in chunks": 2,
    "stream: malformed third": 2,
    "length: length: leading zeros": 2,
    "length: length of a request: white space around": 2,
    "chunks: chunk size: leading zero": 2,
    "chunks: chunk size: two extensions": 2,
    "chunks: chunks of one byte": 2,
    "framing: TE only: mixed case": 2,
    "target: target b'http://evil.test/a' of GET": 2,
    "target: target b'/a??' of GET": 2,
}


@pytest.mark.parametrize("name", PASSES)
async def test_what_is_right_passes(name: str) -> None:
    """The other side of it: requests that real clients send are not refused."""
    async with rig() as made:
        assert await made.play_alone(Case(CATALOGUE[name])) is None
        assert made.forwarded == PASSES[name]
