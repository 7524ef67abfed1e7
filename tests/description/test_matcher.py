"""Paths to what stands at them."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.description.matcher import Matcher
from gateway.description.model import Segment

A: Segment = ("a",)
P: Segment = ("", "p", "")


def matcher(*paths: tuple[Segment, ...]) -> Matcher[tuple[Segment, ...]]:
    made: Matcher[tuple[Segment, ...]] = Matcher()
    for path in paths:
        made.at(path).append(path)
    return made


def test_the_more_specific_from_the_beginning_on_comes_first() -> None:
    mixed: Segment = ("a", "p", "")
    made = matcher((P, A), (A, P), (mixed, P), (P, P), (A, A))
    assert made.find(["a", "a"]) == [(A, A), (A, P), (P, A), (P, P)]
    assert made.find(["ab", "a"]) == [(mixed, P), (P, A), (P, P)]


def test_what_has_one_shape_stands_together_in_its_order() -> None:
    other: Segment = ("", "q", "")
    assert matcher((other,), (P,)).find(["x"]) == [(other,), (P,)]


def test_a_parameter_is_never_empty_and_a_literal_may_be() -> None:
    assert matcher((P,)).find([""]) == []
    assert matcher((("",),)).find([""]) == [(("",),)]


def test_segments_with_the_same_texts_stand_together() -> None:
    one, other, third = ("v", "a", ".", "b", ""), ("v", "c", ".", "d", ""), ("v", "a", "-", "b", "")
    made = matcher((one,), (third,), (other,))
    assert made.find(["v1.2"]) == [(one,), (other,)]
    assert made.find(["v1.2-3"]) == [(one,), (other,), (third,)]


_SEGMENTS = st.sampled_from([A, ("b",), P, ("a", "p", ""), ("", "p", "b")])


def fits(path: tuple[Segment, ...], parts: list[str]) -> bool:
    return len(path) == len(parts) and all(
        part == segment[0]
        if len(segment) == 1
        else part.startswith(segment[0])
        and part.endswith(segment[2])
        and len(part) > len(segment[0] + segment[2])
        for segment, part in zip(path, parts, strict=True)
    )


@given(
    st.lists(st.lists(_SEGMENTS, min_size=1, max_size=4).map(tuple), unique=True, max_size=12),
    st.lists(st.sampled_from(["a", "b", "ab", "aab", "c", ""]), min_size=1, max_size=4),
)
def test_finds_what_looking_at_each_path_finds(paths: list[tuple[Segment, ...]], parts: list[str]) -> None:
    found = matcher(*paths).find(parts)
    assert sorted(found) == sorted(path for path in paths if fits(path, parts))
    kinds = [[0 if len(segment) == 1 else 2 if segment == P else 1 for segment in path] for path in found]
    assert kinds == sorted(kinds)
