import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.via import default_pseudonym, hops, member

OURS = b"weir-ab12cd34"


def test_writes_version_pseudonym_and_comment() -> None:
    assert member("1.1", "weir-ab12cd34", "Weir/0.1.0") == b"1.1 weir-ab12cd34 (Weir/0.1.0)"
    assert member("1.0", "weir-ab12cd34", None) == b"1.0 weir-ab12cd34"


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([], 0),
        ([b""], 0),
        ([b"1.1 other"], 0),
        ([b"1.1 weir-ab12cd34"], 1),
        ([b"HTTP/1.0 WEIR-AB12CD34 (Weir/0.1.0)"], 1),
        ([b"1.1 weir-ab12cd34(c)"], 1),
        ([b"1.0 a, 1.1 weir-ab12cd34 (x, y),2 b", b"1.1\tweir-ab12cd34"], 2),
        ([b"1.1 weir-ab12cd34:80, 1.1 xweir-ab12cd34, 1.1 weir-ab12cd345"], 0),
        ([b"1.1 other (1.1 weir-ab12cd34)"], 0),
        ([b"1.1 other (, 1.1 weir-ab12cd34, )"], 0),
        ([b"1.1 other (a (b) , 1.1 weir-ab12cd34, (c)), 1.1 weir-ab12cd34"], 1),
        ([b"1.1 other (\\), 1.1 weir-ab12cd34, ), 1.1 x"], 0),
        ([b"1.1 other (\\(), 1.1 weir-ab12cd34"], 1),
        ([b"weir-ab12cd34"], 0),
        ([b"1.1 weir-ab12cd34 extra"], 0),
        ([b"1.1 weir-(x)ab12cd34"], 0),
        # A comment that a client never closes does not hide what gateways append.
        ([b"1.1 other (, 1.1 weir-ab12cd34 (Weir/0.1.0)"], 1),
        ([b"1.1 other ((, 1.1 weir-ab12cd34, 1.1 weir-ab12cd34 (Weir)"], 2),
    ],
)
def test_counts_members_that_are_wholly_ours(values: list[bytes], count: int) -> None:
    assert hops(values, OURS) == count


@given(
    st.lists(st.sampled_from(["weir-ab12cd34", "Weir-AB12CD34", "other", "weir-ab12cd34:80"]), max_size=6),
    st.text('ab ,()\\"1.weir-cd234', max_size=20),
)
def test_counts_what_was_written_whatever_the_comments(names: list[str], comment: str) -> None:
    line = b", ".join(member("1.1", name, comment) for name in names)
    assert hops([line], OURS) == sum(name.lower() == "weir-ab12cd34" for name in names)


@given(st.binary(max_size=40))
def test_our_own_member_counts_after_any_other_text_on_another_line(junk: bytes) -> None:
    assert hops([junk, member("1.1", "weir-ab12cd34", "Weir")], OURS) >= 1


def test_the_default_pseudonym_is_stable_and_does_not_show_the_host() -> None:
    name = default_pseudonym(b"machine-7")
    assert name == default_pseudonym(b"machine-7") != default_pseudonym(b"machine-8")
    prefix, digits = name.split("-")
    assert prefix == "weir"
    assert len(digits) == 8
    assert set(digits) <= set("0123456789abcdef")
