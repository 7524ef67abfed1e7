"""W3C Trace Context, with the cases of its own test suite."""

import re
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.trace_context import Parent, SpanIds, parent_line, parse_parent, parse_state

TRACE = "12345678901234567890123456789012"
SPAN = "1234567890123456"
GOOD = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (GOOD, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"00-{TRACE}-{SPAN}-fe", False),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", True),
        (f"01-{TRACE}-{SPAN}-00-", False),
        (f"\t {GOOD} \t", True),
    ],
)
def test_a_valid_parent_is_read(value: str, sampled: bool) -> None:
    assert parse_parent(value.encode()) == Parent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"{GOOD}.",
        f"{GOOD}-",
        f"{GOOD}-what-the-future-will-be-like",
        f"cc-{TRACE}-{SPAN}-01.what-the-future-will-be-like",
        f"cc-{TRACE}-{SPAN}-012",
        f"ff-{TRACE}-{SPAN}-01",
        f".0-{TRACE}-{SPAN}-01",
        f"0.-{TRACE}-{SPAN}-01",
        f"000-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-.{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}3-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{'AB' * 16}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-.{SPAN[1:]}-01",
        f"00-{TRACE}-{SPAN}7-01",
        f"00-{TRACE}-{SPAN[1:]}-01",
        f"00-{TRACE}-{SPAN}-.0",
        f"00-{TRACE}-{SPAN}-0.",
        f"00-{TRACE}-{SPAN}-001",
        f"00-{TRACE}-{SPAN}-1",
        f"{GOOD},{GOOD}",
    ],
)
def test_what_is_no_parent_says_nothing(value: str) -> None:
    assert parse_parent(value.encode()) is None


@given(st.binary(max_size=80) | st.from_regex(rb"00-[0-9a-f]{31,33}-[0-9a-f]{15,17}-[0-9a-f]{1,3}.?"))
def test_a_parent_that_is_read_can_be_told_again(value: bytes) -> None:
    parent = parse_parent(value)
    if parent is not None:
        line = parent_line(*parent)
        assert line.endswith(b"\r\n")
        assert parse_parent(line.removeprefix(b"traceparent:").rstrip(b"\r\n")) == parent


LETTERS = "abcdefghijklmnopqrstuvwxyz"
KEY = f"{LETTERS}0123456789_-*/"
VALUE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in ",=")


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        (["foo=1,bar=2"], "foo=1,bar=2"),
        (["foo=1,bar=2", "rojo=1,congo=2", "baz=3"], "foo=1,bar=2,rojo=1,congo=2,baz=3"),
        (["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"),
        (["\t foo=1 \t"], "foo=1"),
        (["foo=1", ""], "foo=1"),
        (["", "foo=1"], "foo=1"),
        (["foo=1,,bar=2,"], "foo=1,bar=2"),
        ([f"{KEY}={VALUE}"], f"{KEY}={VALUE}"),
        ([f"{KEY}@a-z0-9_-*/={VALUE}"], f"{KEY}@a-z0-9_-*/={VALUE}"),
        (["foo= 1"], "foo= 1"),
        ([f"{'z' * 256}=1"], f"{'z' * 256}=1"),
        ([f"{'t' * 241}@{'v' * 14}=1"], f"{'t' * 241}@{'v' * 14}=1"),
        (["0t@v=1"], "0t@v=1"),
        ([f"foo={'v' * 256}"], f"foo={'v' * 256}"),
        ([",".join(f"bar{n:02}={n}" for n in range(32))], ",".join(f"bar{n:02}={n}" for n in range(32))),
    ],
)
def test_a_state_is_kept_in_its_order(lines: list[str], state: str) -> None:
    assert parse_state([line.encode() for line in lines]) == state.encode()


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [""],
        ["foo=1,foo=1"],
        ["foo=1", "foo=2"],
        ["foo =1"],
        ["FOO=1"],
        ["foo.bar=1"],
        ["foo@=1,bar=2"],
        ["@foo=1,bar=2"],
        ["foo@@bar=1,bar=2"],
        ["foo@bar@baz=1,bar=2"],
        ["0foo=1"],
        [f"{'z' * 257}=1"],
        [f"{'t' * 242}@v=1"],
        [f"t@{'v' * 15}=1"],
        [f"foo={'v' * 257}"],
        ["foo=bar=baz"],
        ["foo=,bar=3"],
        ["foo"],
        ["foo=\x01"],
        ["foo=caf\xe9"],
        [",".join(f"bar{n:02}={n}" for n in range(33))],
    ],
)
def test_a_state_with_a_member_that_is_none_is_dropped_whole(lines: list[str]) -> None:
    assert parse_state([line.encode("latin-1") for line in lines]) == b""


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_a_state_that_is_kept_is_a_valid_one(lines: list[bytes]) -> None:
    state = parse_state(lines)
    assert parse_state([state]) == state
    assert state.isascii()
    assert not re.search(rb"[\x00-\x1f\x7f]", state)


def test_ids_are_digits_and_never_given_twice() -> None:
    ids = SpanIds()
    spans = [ids.span() for _ in range(600)]
    assert len(set(spans)) == 600
    assert all(re.fullmatch("[0-9a-f]{16}", id) for id in spans)
    assert re.fullmatch("[0-9a-f]{32}", ids.trace())


def test_an_id_is_never_all_zeros() -> None:
    assert set(SpanIds(bytes).span()) == {"0", "1"}


def test_entropy_is_taken_in_blocks() -> None:
    asked: list[int] = []
    numbers = count(1)

    def entropy(size: int) -> bytes:
        asked.append(size)
        return b"".join(next(numbers).to_bytes(8) for _ in range(size // 8))

    ids = SpanIds(entropy)
    for _ in range(100):
        ids.trace()
    assert len(asked) == 1
