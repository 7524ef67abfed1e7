"""Bodies by their announced length, and by count while they stream."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.body_size import BodySize
from gateway.api import Body, Fault, Refused
from gateway.api.testing import StreamBody, build, exchange, judge

REFUSAL = Fault(
    413,
    "body_too_large",
    "Request body is too large.",
    rule=("max",),
    details="At most 10 bytes are accepted.",
)


def filter_of_ten() -> BodySize:
    return build(BodySize, {"max": 10})


def test_a_body_of_exactly_max_passes() -> None:
    assert judge(filter_of_ten(), exchange("POST", body=b"x" * 10)) is None


def test_a_complete_body_over_max_is_refused_without_retry_after() -> None:
    verdict = judge(filter_of_ten(), exchange("POST", body=b"x" * 11))
    assert verdict == REFUSAL
    assert REFUSAL.retry_after is None


def test_an_announced_length_is_judged_before_a_byte_is_read() -> None:
    body = StreamBody([b"never read"], length=11)
    assert judge(filter_of_ten(), exchange("POST", body=body)) == REFUSAL
    assert body.wrappers == ()


def test_an_announced_length_within_max_is_not_counted_again() -> None:
    body = StreamBody([b"x" * 10], length=10)
    assert judge(filter_of_ten(), exchange("POST", body=body)) is None
    assert body.wrappers == ()


def test_a_chunked_body_is_stopped_at_the_first_byte_too_many() -> None:
    body = StreamBody([b"12345", b"67890", b"1", b"never reached"])
    assert judge(filter_of_ten(), exchange("POST", body=body)) is None
    assert body.through(b"12345") == b"12345"
    assert body.through(b"67890") == b"67890"
    with pytest.raises(Refused) as refused:
        body.through(b"1")
    assert refused.value.fault == REFUSAL


def test_two_exchanges_are_counted_apart() -> None:
    guard = filter_of_ten()
    for _ in range(2):
        body = StreamBody([b"12345", b"67890"])
        assert judge(guard, exchange("POST", body=body)) is None
        assert body.pump() == b"1234567890"


def test_the_bytes_that_an_earlier_wrapper_makes_are_counted() -> None:
    body = StreamBody([b"123"], length=3)
    body.wrap(lambda chunk: chunk * 4, resizes=True)
    assert judge(filter_of_ten(), exchange("POST", body=body)) is None
    with pytest.raises(Refused):
        body.pump()


@given(whole=st.binary(max_size=40), cuts=st.lists(st.integers(0, 40), max_size=8), limit=st.integers(0, 40))
def test_any_chunking_of_a_body_gets_the_verdict_of_the_whole(
    whole: bytes, cuts: list[int], limit: int
) -> None:
    guard = build(BodySize, {"max": limit})
    ends = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    chunks = [whole[start:end] for start, end in pairwise(ends) if start < end]
    body = StreamBody(chunks)
    assert judge(guard, exchange("POST", body=body)) is None
    announced = judge(guard, exchange("POST", body=Body(None, len(whole))))
    assert announced == judge(guard, exchange("POST", body=whole))
    if announced is None:
        assert body.pump() == whole
    else:
        with pytest.raises(Refused) as refused:
            body.pump()
        assert refused.value.fault == announced


def test_the_default_is_what_openstack_services_accept() -> None:
    guard = build(BodySize)
    assert judge(guard, exchange("POST", body=Body(None, 114688))) is None
    assert judge(guard, exchange("POST", body=Body(None, 114689))) is not None


def test_max_reads_sizes_as_people_write_them() -> None:
    assert judge(build(BodySize, {"max": "1KiB"}), exchange("PUT", body=Body(None, 1024))) is None


@pytest.mark.parametrize("size", [-1, "ten", 1.5, True])
def test_refuses_what_is_no_size(size: object) -> None:
    with pytest.raises(ValidationError):
        build(BodySize, {"max": size})
