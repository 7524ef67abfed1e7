"""Request bodies that are read whole."""

import pytest

from filters._body import judged_whole, too_deep, too_large
from gateway.api import Body, Fault, Filter, Options, Refused, Verdict
from gateway.api.testing import StreamBody, build, exchange, judge

LARGE = too_large(4, ("max",))


class Reader(Filter[Options]):
    """Refuses what it has read, so that a test can see it."""

    name = "reader"
    Config = Options
    reads = frozenset({"body"})  # type: ignore[arg-type] # a Fact by another way

    def on_request(self, exchange):  # type: ignore[no-untyped-def] # the contract's
        return judged_whole(exchange.request.body, 4, LARGE, lambda raw: Fault(400, "read", raw.decode()))


def read(body: Body | bytes) -> Verdict:
    return judge(build(Reader), exchange("POST", body=body))


@pytest.mark.parametrize("body", [b"", b"four", StreamBody([b"fo", b"ur"]), StreamBody([b"fo", b"ur"], 4)])
def test_a_body_up_to_the_limit_is_judged(body: Body | bytes) -> None:
    verdict = read(body)
    assert isinstance(verdict, Fault)
    assert verdict.message == ("" if body == b"" else "four")


@pytest.mark.parametrize("body", [b"5five", StreamBody([b"5f", b"ive"]), StreamBody([], 5)])
def test_a_larger_one_is_refused_by_the_filters_own_fault(body: Body | bytes) -> None:
    assert read(body) is LARGE
    assert (LARGE.status, LARGE.rule, LARGE.details) == (413, ("max",), "At most 4 bytes are accepted.")


def test_another_refusal_of_a_body_is_kept() -> None:
    other = Fault(408, "body_timeout", "late")

    class Late(Body):
        async def _collected(self, limit: int) -> bytes:
            raise Refused(other)

    assert read(Late(None)) is other


def test_what_is_too_deep_is_told_how_deep_it_may_be() -> None:
    assert too_deep(5, ("deep",)).details == "At most 5 levels are accepted."
