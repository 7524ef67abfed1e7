"""Bodies: complete, wrapped, collected."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import Body, Refused, too_large


def test_a_complete_body_knows_its_length() -> None:
    assert Body(b"abc").length == 3
    assert Body(None, 7).length == 7
    assert Body(None).length is None


def test_collecting_gives_the_whole_up_to_the_limit() -> None:
    assert asyncio.run(_collect(Body(b"abc"), 3)) == b"abc"
    with pytest.raises(Refused) as raised:
        asyncio.run(_collect(Body(b"abc"), 2))
    fault = raised.value.fault
    assert (fault.status, fault.reason, fault.retry_after) == (413, "body_too_large", None)


async def _collect(body: Body, limit: int) -> bytes:
    return await body.collect(limit)


def test_a_wrapper_that_resizes_takes_the_length_away() -> None:
    body = Body(b"abc")
    body.wrap(lambda chunk: chunk, resizes=False)
    assert not body.resized
    body.wrap(lambda chunk: chunk * 2, resizes=True)
    assert body.length is None
    assert body.resized
    assert body.through(b"ab") == b"abab"


@given(st.lists(st.binary(min_size=1)))
def test_what_a_wrapper_holds_back_comes_out_at_the_end_through_the_later_ones(chunks: list[bytes]) -> None:
    held: list[bytes] = []

    def hold(chunk: bytes) -> bytes:
        if chunk:
            held.append(chunk)
            return b""
        return b"".join(held)

    seen: list[bytes] = []

    def see(chunk: bytes) -> bytes:
        seen.append(chunk)
        return chunk

    body = Body(None)
    body.wrap(hold)
    body.wrap(see)
    assert b"".join(body.through(chunk) for chunk in chunks) == b""
    assert body.through(b"") == b"".join(chunks)
    whole = b"".join(chunks)
    assert seen == ([whole, b""] if whole else [b""]), "the end comes once"


def test_the_refusal_of_a_large_body_says_the_limit() -> None:
    refused = too_large(100)
    assert isinstance(refused, Refused)
    assert refused.fault.details == "At most 100 bytes are accepted."


def test_what_replaces_a_body_is_made_of_what_the_wrappers_of_before_let_through() -> None:
    body = Body(b"abc")
    seen: list[bytes] = []

    def see(chunk: bytes) -> bytes:
        seen.append(chunk)
        return chunk.upper()

    body.wrap(see)
    body.replace(lambda data: data + b"!!")
    assert (body.complete, body.length, body.wrappers, body.resized) == (b"ABC!!", 5, (), True)
    assert seen == [b"abc", b""]
    body.replace(lambda data: b"")
    assert (body.complete, body.length) == (b"", 0)


def test_a_body_that_is_still_to_come_cannot_be_replaced() -> None:
    with pytest.raises(RuntimeError):
        Body(None).replace(lambda data: data)
