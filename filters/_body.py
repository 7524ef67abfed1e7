"""Request bodies that a filter reads whole, up to its own limit."""

from collections.abc import Awaitable, Callable

from gateway.api import Body, Fault, Refused, Rule, Verdict


def too_large(limit: int, rule: Rule) -> Fault:
    """The refusal of a body of more than `limit` bytes, which the option `rule` says: 413 (RFC 9110 section 15.5.14)."""
    return Fault(
        413,
        "body_too_large",
        "Request body is too large.",
        rule=rule,
        details=f"At most {limit} bytes are accepted.",
    )


def too_deep(limit: int, rule: Rule) -> Fault:
    """The refusal of a body that nests deeper than `limit`, which the option `rule` says."""
    return Fault(
        400,
        "json_too_deep",
        "The request body nests too deep.",
        rule=rule,
        details=f"At most {limit} levels are accepted.",
    )


def judged_whole(
    body: Body, limit: int, refusal: Fault, judge: Callable[[bytes], Verdict]
) -> Verdict | Awaitable[Verdict]:
    """What `judge` says of the body, once it is here; `refusal` of one that is larger than `limit`."""
    length = body.length
    if length is not None and length > limit:
        return refusal
    if body.complete is not None:
        return judge(body.complete)
    return _collected(body, limit, refusal, judge)


async def _collected(body: Body, limit: int, refusal: Fault, judge: Callable[[bytes], Verdict]) -> Verdict:
    try:
        raw = await body.collect(limit)
    except Refused as refused:
        return refusal if refused.fault.reason == "body_too_large" else refused.fault
    return judge(raw)
