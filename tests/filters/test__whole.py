"""Judging by the whole of a body."""

import asyncio
import inspect

from filters._whole import judged_whole, too_deep_fault, too_large_fault
from gateway.api import Body, Fault, Refused, Verdict
from gateway.api.testing import StreamBody, exchange

TOO_LARGE = too_large_fault(3, "max")


def verdict(body: Body) -> Verdict:
    async def run() -> Verdict:
        found = judged_whole(exchange(body=body), 3, TOO_LARGE, lambda raw: Fault(400, "x", raw.decode()))
        return await found if inspect.isawaitable(found) else found

    return asyncio.run(run())


def test_a_body_is_judged_whole_however_it_comes() -> None:
    assert verdict(Body(b"abc")) == verdict(StreamBody([b"a", b"bc"])) == Fault(400, "x", "abc")


def test_one_that_is_here_is_judged_without_waiting() -> None:
    assert judged_whole(exchange(body=b"abc"), 3, TOO_LARGE, lambda raw: None) is None


def test_one_that_is_too_large_is_413_before_it_is_read_where_its_length_is_known() -> None:
    assert verdict(Body(b"abcd")) is verdict(StreamBody([b"abcd"])) is TOO_LARGE
    assert judged_whole(exchange(body=StreamBody([], length=4)), 3, TOO_LARGE, lambda raw: None) is TOO_LARGE


def test_another_refusal_of_a_body_is_kept() -> None:
    other = Fault(408, "body_timeout", "late")

    class Late(Body):
        async def _collected(self, limit: int) -> bytes:
            raise Refused(other)

    assert verdict(Late(None)) is other


def test_refusals_say_what_is_accepted() -> None:
    assert (TOO_LARGE.status, TOO_LARGE.rule, TOO_LARGE.details) == (
        413,
        ("max",),
        "At most 3 bytes are accepted.",
    )
    assert too_deep_fault(5, "deep").details == "At most 5 levels are accepted."
