"""Judging a request by the whole of its body."""

from collections.abc import Awaitable, Callable

from gateway.api import Body, Exchange, Fault, Refused, Verdict


def judged_whole(
    exchange: Exchange, most: int, too_large: Fault, judge: Callable[[bytes], Verdict]
) -> Verdict | Awaitable[Verdict]:
    """The verdict of `judge` on the body; `too_large` where it has more than `most` bytes. At once where it is here."""
    body = exchange.request.body
    length = body.length
    if length is not None and length > most:
        return too_large
    if body.complete is not None:
        return judge(body.complete)
    return _collected(body, most, too_large, judge)


async def _collected(body: Body, most: int, too_large: Fault, judge: Callable[[bytes], Verdict]) -> Verdict:
    try:
        raw = await body.collect(most)
    except Refused as refused:
        return too_large if refused.fault.reason == "body_too_large" else refused.fault
    return judge(raw)


def too_large_fault(most: int, option: str) -> Fault:
    """The refusal of a body of more than `most` bytes: 413 without Retry-After (RFC 9110 section 15.5.14)."""
    return Fault(
        413,
        "body_too_large",
        "Request body is too large.",
        rule=(option,),
        details=f"At most {most} bytes are accepted.",
    )


def too_deep_fault(most: int, option: str) -> Fault:
    """The refusal of a body that nests deeper than `most`."""
    return Fault(
        400,
        "json_too_deep",
        "The request body nests too deep.",
        rule=(option,),
        details=f"At most {most} levels are accepted.",
    )
